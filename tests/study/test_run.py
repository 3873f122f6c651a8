"""A study that is run: what is stored is what is measured, nothing is measured twice, and nothing stale is taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from interp.errors import InterpError
from interp.measurements.measurement import run as measure
from interp.measurements.subject import NothingToMeasure, Subject, WindowsChoice
from interp.statistical.measured import ScoresError
from interp.study.config import MEASUREMENTS, read_study
from interp.study.plan import plan
from interp.study.run import Ran, forecast, run
from interp.study.store import Store, StoreError

MODEL = "pythia-small-0.2m"
STUDY = """\
title: A study
store: store
models: [{models}]
windows:
  few: {{sets: [held_out, planted-256], per_set: 2, {windows}}}
measurements:
  - measure: extract
    settings: {{prefix: {prefix}}}
  - measure: ablate
    settings: {{heads: ["0.1"], at_most: 3{ablate}}}
seeds: [{seeds}]
"""


def study(folder: Path, **changes: Any) -> Any:
    path = folder / "study.yaml"
    as_it_is = {"models": MODEL, "windows": "", "prefix": "false", "ablate": "", "seeds": 0}
    path.write_text(STUDY.format(**as_it_is | changes))
    return read_study(path)


def keys(asked: Any) -> list[str | None]:
    return [one.key for one in plan(asked)]


def states(ran: Ran) -> list[str]:
    return [outcome.state for outcome in ran.outcomes]


def instead(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Change a measurement for this test."""
    monkeypatch.setitem(MEASUREMENTS, name, replace(MEASUREMENTS[name], **changes))


@pytest.fixture
def never_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(subject: Subject, chosen: Any) -> Any:
        raise AssertionError("measured again")

    for name in ("extract", "ablate"):
        instead(monkeypatch, name, measure=refuse)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that was run."""
    folder = tmp_path_factory.mktemp("study")
    lines: list[Any] = []
    assert states(run(study(folder), workers=1, told=lines.append)) == ["measured", "measured"]
    assert [(line["state"], line["measurement"]) for line in lines] == [("measured", "extract"), ("measured", "ablate")]
    for line in lines:
        assert line["tokens"] == 16 * 64
        assert line["tokens_per_second"] == pytest.approx(line["tokens"] / line["seconds"], rel=0.01)
        assert line["peak_mib"] > 50
    return folder


def test_tables_are_what_the_measurement_gives(ran: Path) -> None:
    asked = study(ran)
    store = Store.open(asked.store)
    subject = Subject(MODEL, windows=WindowsChoice(sets=("held_out", "planted-256"), per_set=2))
    for entry, planned in zip(asked.entries, plan(asked), strict=True):
        expected = measure(entry.measurement, subject, entry.settings)
        record = store.record(planned.key or "")
        assert record is not None
        found = store.read([record])
        assert found.tables.keys() == expected.tables.keys()
        for name, rows in found.tables.items():
            pd.testing.assert_frame_equal(rows, expected[name], rtol=1e-5)
            assert [replace(p, time="") for p in expected.provenance[name]] == found.provenance[name]
        assert entry.measurement.finding(found) == entry.measurement.finding(expected)


@pytest.mark.usefixtures("never_measures")
def test_nothing_finished_is_measured_twice(ran: Path) -> None:
    again = run(study(ran), workers=1)
    assert states(again) == ["there", "there"]
    # Nor where only that is another which does not change its numbers.
    for how in ("batch_size: 7", "memory_budget: 1GiB"):
        assert states(run(study(ran, models=f"{{name: {MODEL}, {how}}}"), workers=1)) == ["there", "there"]


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"prefix": "true"}, [True, False]),
        ({"ablate": ", methods: mean"}, [False, True]),
        ({"seeds": 1}, [True, True]),
        ({"windows": "prefix_len: 31"}, [True, True]),
        ({"models": f"{{name: {MODEL}, dtype: bfloat16}}"}, [True, True]),
        ({"models": f"{{name: {MODEL}, label: another}}"}, [True, True]),
        ({"models": "olmo2-small-0.2m"}, [True, True]),
    ],
)
def test_what_changes_a_number_changes_the_key(tmp_path: Path, change: dict[str, Any], other: list[bool]) -> None:
    before, after = keys(study(tmp_path)), keys(study(tmp_path, **change))
    assert None not in before + after
    assert [a != b for a, b in zip(before, after, strict=True)] == other


def test_a_raised_version_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(study(tmp_path))
    instead(monkeypatch, "extract", version=MEASUREMENTS["extract"].version + 1)
    after = keys(study(tmp_path))
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, False]


def test_weights_tokenizer_and_text_that_were_overwritten_change_the_key(
    tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    model, text = tmp_path / "model", tmp_path / "text.txt"
    shutil.copytree(checkpoints["OLMo2"], model)
    words = "some words that stand here one after the other " * 40
    text.write_text(f"{words}\n")
    path = study(tmp_path, models=model).path
    path.write_text(path.read_text().replace("sets: [held_out, planted-256], per_set: 2", f"corpus: {text}"))
    seen = [keys(read_study(path))]

    def overwrite(file: Path, data: bytes) -> None:
        file.write_bytes(data)
        seen.append(keys(read_study(path)))

    weights, tokenizer = model / "model.safetensors", model / "tokenizer.json"
    overwrite(text, text.read_bytes())
    assert seen[0] == seen[1]
    overwrite(weights, weights.read_bytes()[:-1] + b"\x01")
    overwrite(tokenizer, tokenizer.read_bytes() + b"\n")
    overwrite(text, text.read_bytes().replace(b"here", b"there"))
    assert None not in [key for each in seen for key in each]
    for position in (0, 1):
        assert len({each[position] for each in seen}) == 4


def test_only_narrows_and_what_leaves_nothing_is_refused(tmp_path: Path) -> None:
    asked = study(tmp_path, models=f"{MODEL}, olmo2-small-0.2m", seeds="0, 1")
    assert len(plan(asked)) == 8
    assert {p.unit.names for p in plan(asked, only=["olmo*", "extract"])} == {("extract", "olmo2-small-0.2m", "few")}
    with pytest.raises(InterpError, match="nothing in the study is called nope; it has ablate, extract, few"):
        plan(asked, only=["nope"])


def test_a_model_that_is_not_there_is_said_and_does_not_stop_the_others(tmp_path: Path) -> None:
    asked = study(tmp_path, models=f"nobody/nothing, {MODEL}")
    first, *_, last = plan(asked)
    assert first.key is None
    assert "nobody/nothing is neither in the local cache nor reachable" in first.lacking
    assert last.key is not None
    done = run(asked, workers=1, only=["extract"])
    assert sorted(states(done)) == ["failed", "measured"]
    (failed,) = done.failed
    assert "nobody/nothing" in failed.message


def test_a_unit_that_fails_is_logged_and_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = study(tmp_path)
    with monkeypatch.context() as patch:

        def fail(subject: Subject, chosen: Any) -> Any:
            raise ZeroDivisionError("a bug\nof two lines")

        instead(patch, "extract", measure=fail)
        assert states(run(asked, workers=1)) == ["failed", "measured"]
    store = Store.open(asked.store)
    line = store.logged()[0][0]
    assert (line["state"], line["message"]) == ("failed", "ZeroDivisionError: a bug of two lines")
    assert "in fail" in line["traceback"]
    assert not list((store.root / "staging").iterdir())
    assert sorted(states(run(asked, workers=1))) == ["measured", "there"]


@pytest.mark.parametrize("kind", [NothingToMeasure, ScoresError])
def test_nothing_to_measure_is_a_result_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[InterpError]
) -> None:
    def nothing(subject: Subject, chosen: Any) -> Any:
        raise kind("memorized none")

    with monkeypatch.context() as patch:
        instead(patch, "ablate", measure=nothing)
        assert states(run(study(tmp_path), workers=1, only=["ablate"])) == ["passed over"]
    again = run(study(tmp_path), workers=1, only=["ablate"])
    assert states(again) == ["there"]
    (record,) = Store.open(study(tmp_path).store).records()
    assert (record.passed_over, record.tables) == ("memorized none", {})


def test_where_memory_runs_out_the_batch_is_halved_and_the_values_are_the_same(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int | None] = []
    real: Callable[[Subject, Any], Any] = MEASUREMENTS["extract"].measure

    def hungry(subject: Subject, chosen: Any) -> Any:
        size = subject.choice.batch_size
        sizes.append(size)
        if size is None or size > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(subject, chosen)

    instead(monkeypatch, "extract", measure=hungry)
    asked = study(tmp_path)
    assert states(run(asked, workers=1, only=["extract"])) == ["measured"]
    assert sizes == [None, 64, 32, 16]
    (record,) = Store.open(asked.store).records()
    (first,) = [r for r in Store.open(study(ran).store).records() if r.entry == "extract"]
    assert record.key == first.key
    one, other = (Store.open(study(f).store).read([r])["scores"] for f, r in ((tmp_path, record), (ran, first)))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)
    sizes.clear()

    def never_enough(subject: Subject, chosen: Any) -> Any:
        sizes.append(subject.choice.batch_size)
        raise MemoryError

    instead(monkeypatch, "extract", measure=never_enough)
    assert states(run(study(tmp_path, seeds=1), workers=1, only=["extract"])) == ["failed"]
    assert sizes == [None, 64, 32, 16, 8, 4, 2, 1]


def test_windows_measured_apart_are_the_windows_measured_together(ran: Path, tmp_path: Path) -> None:
    asked = study(tmp_path, windows="per_unit: 5")
    done = run(asked, workers=1, only=["extract"])
    assert [outcome.unit.part for outcome in done.outcomes] == [(0, 5), (5, 10), (10, 15), (15, 16)]
    store = Store.open(asked.store)
    found = store.read([store.record(outcome.key) for outcome in done.outcomes])  # type: ignore[misc]
    whole = Store.open(study(ran).store)
    (first,) = [r for r in whole.records() if r.entry == "extract"]
    pd.testing.assert_frame_equal(found["scores"], whole.read([first])["scores"], rtol=1e-5)


def test_weights_that_change_while_they_are_measured_are_not_stored(
    tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(checkpoints["Pythia"], model)
    real: Callable[[Subject, Any], Any] = MEASUREMENTS["extract"].measure

    def overwrite(subject: Subject, chosen: Any) -> Any:
        weights = model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        return real(subject, chosen)

    asked = study(tmp_path, models=model)
    before = keys(asked)
    instead(monkeypatch, "extract", measure=overwrite)
    done = run(asked, workers=1, only=["extract"])
    assert "changed while it was measured" in done.failed[0].message
    assert keys(asked) != before
    assert not Store.open(asked.store).records()


def test_a_store_that_cannot_be_written_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interp.study.store.into_place", full)
    asked = study(tmp_path)
    with pytest.raises(StoreError, match="No space left on device"):
        run(asked, workers=1)
    assert [line["state"] for line in Store.open(asked.store).logged()[0]] == []


def test_time_and_disk_are_estimated_from_units_that_are_there(ran: Path) -> None:
    records = Store.open(study(ran).store).records()
    told = forecast(plan(study(ran, seeds=1)), records)
    assert told.untold == 0
    assert told.seconds == pytest.approx(sum(r.made["seconds"] for r in records if r.made))
    assert told.disk == sum(shard.size for r in records for shard in r.tables.values())
    larger = forecast(plan(study(ran, models="pythia-small-1.2m")), records)
    assert larger.seconds > 2 * told.seconds
    assert forecast(plan(study(ran)), []).untold == 2
