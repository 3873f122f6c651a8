"""The commands of studies: what they say, their exit codes, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interp.cli import app
from interp.study.store import Store

STUDY = """\
title: One model
models: [pythia-small-0.2m{more}]
windows:
  few: {{sets: [held_out, planted-256], per_set: 1}}
measurements:
  - extract
  - measure: attribute
    settings: {{at_most: {at_most}}}
"""


def called(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def written(folder: Path, *, more: str = "", at_most: int = 2) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(more=more, at_most=at_most))
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run by its command."""
    path = written(tmp_path_factory.mktemp("study"))
    said = called("run", path, "--workers", 1)
    assert said.exit_code == 0, said.output
    store = path.parent / "study-store"
    assert said.stdout == f"2 of 2 units are in {store} (2 measured now); `interp report {store}` makes the page\n"
    lines = said.stderr.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "measured: extract of pythia-small-0.2m on few",
        "measured: attribute of pythia-small-0.2m on few",
    ]
    assert all("tokens/s" in line and "MiB" in line for line in lines)
    return path


def test_a_dry_run_says_what_is_there_and_measures_nothing(ran: Path) -> None:
    store = Store.open(ran.parent / "study-store")
    written(ran.parent, more=", olmo2-small-0.2m")
    said = called("run", ran, "--dry-run")
    assert said.exit_code == 0
    assert "4 units: 2 there, 2 to measure" in said.stdout
    assert "for 2 of them" in said.stdout
    assert len(store.records()) == 2
    elsewhere = called("run", ran, "--dry-run", "--store", ran.parent / "none")
    assert "no similar unit was measured yet" in elsewhere.stdout
    assert not (ran.parent / "none").exists()
    written(ran.parent)


def test_status_counts(ran: Path) -> None:
    assert called("status", ran).stdout.splitlines()[-1] == "2 there, 0 running, 0 failed, 0 missing"
    written(ran.parent, more=", olmo2-small-0.2m")
    assert called("status", ran).stdout.splitlines()[-1] == "2 there, 0 running, 0 failed, 2 missing"
    written(ran.parent)


def test_what_failed_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, more=", nobody/nothing")
    said = called("run", path, "--workers", 1, "--only", "extract")
    assert said.exit_code == 1
    assert "failed: extract of nobody/nothing on few, seed 0: nobody/nothing is neither in the local" in said.stderr
    assert said.stdout.startswith("1 of 2 units are in ")
    assert "correct this and run the same command again" in said.stdout
    assert called("run", path, "--workers", 1, "--only", "pythia*", "--quiet").stderr == ""


def test_verify_names_what_is_damaged(ran: Path, tmp_path: Path) -> None:
    store = ran.parent / "study-store"
    assert called("verify", ran).stdout == "all files of 2 units are unchanged\n"
    foreign = store / "tables" / "mine.parquet"
    foreign.write_text("mine")
    said = called("verify", store)
    assert said.exit_code == 1
    assert f"{foreign}: belongs to no finished unit" in said.stdout
    foreign.unlink()
    assert called("verify", tmp_path / "none").exit_code == 1


def test_gc_names_and_removes_what_no_study_asks_for(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert called("run", path, "--workers", 1, "--quiet").exit_code == 0
    assert "0 files, 0.0 MiB" in called("gc", path).stdout
    written(tmp_path, at_most=1)
    store = Store.open(tmp_path / "study-store")
    said = called("gc", path)
    assert "would be removed with --delete" in said.stdout
    assert len(store.records()) == 2
    assert called("gc", path, "--delete").exit_code == 0
    assert [record.entry for record in store.records()] == ["extract"]
    assert not list(store.verify())
    # Where a model is not there nobody can tell what is its own.
    written(tmp_path, more=", nobody/nothing")
    refused = called("gc", path, "--delete")
    assert refused.exit_code == 1
    assert "nothing was removed" in refused.stderr
    assert len(store.records()) == 1


def test_init_writes_a_study_and_never_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert called("init", path).exit_code == 0
    assert called("run", path, "--dry-run").exit_code == 0
    again = called("init", path)
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert not list(tmp_path.glob("*-store"))


@pytest.mark.parametrize("command", ["run", "status", "verify", "gc", "report"])
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, command: str) -> None:
    path = written(tmp_path, more=", pythia-small-0.2m")
    said = called(command, path)
    assert said.exit_code == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"error: {path}, line 2: models.1: 'pythia-small-0.2m' is named twice")
