"""The report of a study: each claim with its answer, figures and tables, made of the store alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from explored import CHROMIUM
from typer.testing import CliRunner

from interp.cli import app
from interp.measurements.extract import TEXTS
from interp.report.export import ExportError, export_figures
from interp.report.study import Results
from interp.study.config import read_study
from interp.study.run import run
from interp.study.store import Store, StoreError

STUDY = """\
title: Two models
question: |
  Which windows do they
  recite?
models: [pythia-small-0.2m, olmo2-small-0.2m]
windows:
  few: {sets: [held_out, planted-256], per_set: 2}
measurements:
  - measure: extract
    settings: {texts: true}
  - measure: ablate
    settings: {heads: ["0.1"], at_most: 3}
comparisons: [histogram, {compare: heads}]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file whose units are measured."""
    path = tmp_path_factory.mktemp("study") / "two.yaml"
    path.write_text(STUDY)
    run(read_study(path), workers=1)
    return path


@pytest.fixture
def results(ran: Path) -> Results:
    study = read_study(ran)
    return Results.of(study, Store.open(study.store))


def test_each_claim_has_its_answer_its_figures_and_its_tables(results: Results) -> None:
    histogram, heads, extract, ablate = results.sections()
    assert heads.answers == ["Not compared: ablate left no table by_window; its settings say whether it does"]
    assert [s.title for s in (histogram, extract, ablate)] == ["Histogram", "Extract", "Ablate"]
    assert histogram.question == "Share of windows in each bin of the score M, by model."
    assert "windows lie at M = 0 or M = 1" in histogram.answers[0]
    assert [answer.partition(":")[0] for answer in extract.answers] == ["pythia-small-0.2m", "olmo2-small-0.2m"]
    assert "memorization rate 50 % [" in extract.answers[0]
    assert list(extract.figures) == ["score_histogram"]
    assert extract.tables["scores"]["model"].unique().tolist() == ["pythia-small-0.2m", "olmo2-small-0.2m"]
    assert "--screen" not in ablate.question
    assert extract.read is not None
    memorized = extract.read[extract.read["kind"] == "memorized"]
    assert (memorized[TEXTS[1]] == memorized[TEXTS[2]]).all()
    assert len(memorized) == 4
    assert len(extract.read) == 8
    assert len(results.provenance()) >= 4
    assert all(p.time for p in results.provenance())


def test_the_store_alone_makes_the_page_on_another_machine(ran: Path, tmp_path: Path) -> None:
    store = tmp_path / "moved"
    shutil.copytree(read_study(ran).store, store)
    said = CliRunner().invoke(app, ["report", str(store), "--out", str(tmp_path / "page.html")])
    assert said.exit_code == 0, said.output
    page = (tmp_path / "page.html").read_text()
    assert '<p class="lead">Which windows do they recite?\n\n2 models, 2 measurements.' in page
    assert "not measured yet" not in page


def test_what_is_missing_is_said(ran: Path, tmp_path: Path) -> None:
    study = read_study(ran, store=tmp_path / "store")
    with pytest.raises(StoreError, match="no study two was run"):
        Results.of(study, Store.open(study.store, write=True))
    run(study, workers=1, only=["extract", "pythia*"])
    results = Results.of(study, Store.open(study.store))
    assert results.missing == 3
    assert [section.title for section in results.sections()] == ["Histogram", "Extract"]


def test_a_damaged_table_is_refused(ran: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(read_study(ran).store, store)
    (path, *_) = (store / "tables" / "measurement=extract").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    said = CliRunner().invoke(app, ["report", str(store)])
    assert said.exit_code == 1
    assert "has changed since it was written" in said.stderr
    assert not (store / "report.html").exists()


def test_what_cannot_be_compared_is_said_and_takes_nothing_with_it(ran: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(STUDY.replace("[histogram, {compare: heads}]", "[{compare: ratios, settings: {n_params: 9.0e+9}}]"))
    study = read_study(path, store=tmp_path / "store")
    shutil.copytree(read_study(ran).store, study.store)
    store = Store.open(study.store)
    with pytest.raises(StoreError, match="another text than the study two that was run"):
        Results.of(study, store)
    run(study, workers=1)
    first, *rest = Results.of(study, store).sections()
    assert first.answers[0].startswith("Not compared: ")
    assert len(rest) == 2


def test_no_browser_is_told_with_what_to_do(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ExportError, match="none was found: install Chromium or Chrome"):
        export_figures(dict(results.figures()), tmp_path, ["png"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_figures_are_written_as_files(results: Results, tmp_path: Path) -> None:
    figures = dict(list(results.figures())[:1])
    assert export_figures(figures, tmp_path, ["png", "svg", "pdf"]) == 3
    found = {path.suffix: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found[".png"].startswith(b"\x89PNG")
    assert found[".pdf"].startswith(b"%PDF")
    assert b"Windows by score" in found[".svg"]
    assert not list(tmp_path.rglob("*.partial"))
