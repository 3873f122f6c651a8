"""A stopped run goes on where it stopped, and never takes over what was measured otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from kills import killed_at_each_call, run_in_child
from parts import Part, measure_each

from interp.files import only_writer
from interp.results import Provenance, read_provenance, write_table


class Counting:
    """A measurement that knows which models it was asked for, and breaks at one."""

    def __init__(self, *, breaks_at: str = "", nothing: str = "") -> None:
        self.asked: list[str] = []
        self.breaks_at, self.nothing = breaks_at, nothing

    def __call__(self, name: str, *, seed: int) -> Part | None:
        self.asked.append(name)
        if name == self.breaks_at:
            raise KeyboardInterrupt
        if name == self.nothing:
            return None
        part = Part()
        part.add("curves", pd.DataFrame({"model": name, "value": [seed + 0.5, float("nan")]}), provenance(name))
        part.add("curves", pd.DataFrame({"model": name, "value": [2.0]}), provenance(name))
        part.add("scores", pd.DataFrame({"model": [name]}), provenance(name), provenance(name, "other"))
        return part


def provenance(name: str, measurement: str = "counted") -> Provenance:
    return Provenance(
        measurement=measurement, model=name, windows="none", n_windows=0, settings={}, dtype="float32", device="cpu",
        code_revision="abc", time="now",
    )  # fmt: skip


def models_of(folder: Path) -> dict[str, str]:
    """The models in each finished table, in order."""
    return {path.stem: "".join(pd.read_parquet(path)["model"].unique()) for path in folder.glob("*.parquet")}


def stopped_at_c(out: Path, *, seed: int = 0) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_each(["a", "b", "c"], out, Counting(breaks_at="c"), seed=seed)


def test_a_stopped_run_goes_on_and_gives_what_a_whole_run_gives(tmp_path: Path) -> None:
    stopped_at_c(tmp_path / "resumed")
    assert not list((tmp_path / "resumed").glob("*.parquet"))
    again = Counting()
    measure_each(["a", "b", "c"], tmp_path / "resumed", again, seed=0)
    assert again.asked == ["c"]
    measure_each(["a", "b", "c"], tmp_path / "whole", Counting(), seed=0)
    for table in ("curves", "scores"):
        one, other = (tmp_path / run / f"{table}.parquet" for run in ("resumed", "whole"))
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other))
        assert read_provenance(one) == read_provenance(other)


def test_rows_and_provenance_are_in_the_order_of_the_models(tmp_path: Path) -> None:
    measure_each(["b", "a"], tmp_path, Counting(), seed=1)
    curves = pd.read_parquet(tmp_path / "curves.parquet")
    assert list(curves["model"]) == ["b", "b", "b", "a", "a", "a"]
    assert curves["value"].tolist()[:1] == [1.5]
    # What a table rests on is named once, and other tables' measurements are not.
    assert read_provenance(tmp_path / "curves.parquet") == [provenance("b"), provenance("a")]
    assert len(read_provenance(tmp_path / "scores.parquet")) == 4


def test_parts_of_other_settings_are_measured_again(tmp_path: Path) -> None:
    stopped_at_c(tmp_path, seed=0)
    again = Counting()
    measure_each(["a", "b", "c"], tmp_path, again, seed=1)
    assert again.asked == ["a", "b", "c"]
    assert pd.read_parquet(tmp_path / "curves.parquet")["value"].dropna().tolist() == [1.5, 2.0] * 3


def test_a_finished_run_leaves_no_parts_and_is_measured_anew(tmp_path: Path) -> None:
    measure_each(["a"], tmp_path, Counting(), seed=0)
    assert not (tmp_path / "parts").exists()
    again = Counting()
    measure_each(["a"], tmp_path, again, seed=0)
    assert again.asked == ["a"]


def test_a_part_that_was_not_finished_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(frame: pd.DataFrame, path: Path, of: list[Provenance]) -> Path:
        if path.stem == "scores":
            raise KeyboardInterrupt
        return write_table(frame, path, of)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("parts.write_table", breaks)
        measure_each(["a"], tmp_path, Counting(), seed=0)
    assert not list(tmp_path.rglob("*.parquet"))
    again = Counting()
    measure_each(["a"], tmp_path, again, seed=0)
    assert again.asked == ["a"]
    assert len(pd.read_parquet(tmp_path / "curves.parquet")) == 3


def test_a_model_with_nothing_to_measure_is_passed_over_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_each(["a", "b"], tmp_path, Counting(nothing="a", breaks_at="b"), seed=0)
    again = Counting()
    measure_each(["a", "b"], tmp_path, again, seed=0)
    assert again.asked == ["b"]
    with pytest.raises(SystemExit, match="had anything"):
        measure_each(["a"], tmp_path, Counting(nothing="a"), seed=0)


def test_a_run_killed_at_any_moment_gives_all_rows_when_it_is_run_again(tmp_path: Path) -> None:
    def run() -> None:
        measure_each(["a"], tmp_path / str(k), Counting(), seed=0)

    k = 0
    for _ in killed_at_each_call(run):
        assert set(models_of(tmp_path / str(k)).values()) <= {"a"}
        if k % 10 == 0:  # each run is a process, and takes its time
            assert run_in_child(run) == 0
            assert models_of(tmp_path / str(k)) == {"curves": "a", "scores": "a"}
            assert not (tmp_path / str(k) / "parts").exists()
        k += 1
    assert models_of(tmp_path / str(k)) == {"curves": "a", "scores": "a"}


def test_a_second_run_in_the_folder_is_refused_before_it_measures(tmp_path: Path) -> None:
    stopped_at_c(tmp_path)
    second = Counting()
    with only_writer(tmp_path / "parts", wait=False), pytest.raises(SystemExit, match="another process writes into"):
        measure_each(["a", "b", "c"], tmp_path, second, seed=0)
    assert second.asked == []
    measure_each(["a", "b", "c"], tmp_path, second, seed=0)
    assert second.asked == ["c"]


def test_a_finished_run_leaves_the_finished_parts_of_an_unfinished_one_of_other_models(tmp_path: Path) -> None:
    stopped_at_c(tmp_path)
    measure_each(["d"], tmp_path, Counting(), seed=0)
    assert models_of(tmp_path) == {"curves": "d", "scores": "d"}
    again = Counting()
    measure_each(["a", "b", "c"], tmp_path, again, seed=0)
    assert again.asked == ["c"]
    assert models_of(tmp_path) == {"curves": "abc", "scores": "abc"}


def test_models_that_are_paths_are_measured_and_never_touched(tmp_path: Path) -> None:
    names = []
    for folder in ("x/m", "y/m", "x-m"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("mine")
        names.append(str(tmp_path / folder))
    names += ["x/m", "x-m", "../m", "M", "m"]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            measure_each([*names, "last"], tmp_path / "out", Counting(breaks_at="last"), seed=0)
    again = Counting()
    measure_each([*names, "last"], tmp_path / "out", again, seed=0)
    assert again.asked == ["last"]
    assert list(pd.read_parquet(tmp_path / "out" / "scores.parquet")["model"]) == [*names, "last"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "x", "x-m", "y"]
    for folder in ("x/m", "y/m", "x-m"):
        assert [p.name for p in (tmp_path / folder).iterdir()] == ["config.json"]
        # Nor are tables written into a model.
        with pytest.raises(SystemExit, match="read as a model"):
            measure_each([str(tmp_path / folder)], tmp_path / folder / "out", Counting(), seed=0)


def test_odd_runs_are_refused_before_they_measure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    asked = Counting()
    for models, out, said in (
        (["a", "b", "a"], tmp_path / "out", "a is named twice"),
        (["a"], tmp_path / "file", "is a file; name a folder"),
        (["a"], tmp_path / "file" / "below", "is a file, not a folder"),
    ):
        with pytest.raises(SystemExit, match=said):
            measure_each(models, out, asked, seed=0)
    assert asked.asked == []
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "mine")]


def test_old_leavings_of_killed_runs_go(tmp_path: Path) -> None:
    old, new = (tmp_path / f".{digit * 32}.partial" for digit in "ab")
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    measure_each(["a"], tmp_path, Counting(), seed=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, "curves.parquet", "scores.parquet"]


def test_parts_of_another_checkpoint_corpus_or_input_are_measured_again(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rests_on = tmp_path / "model", tmp_path / "by_window.parquet"
    shutil.copytree(checkpoints["Pythia"], model)
    rests_on.write_text("measured earlier")

    def measured_again() -> bool:
        again = Counting(breaks_at="c")
        with pytest.raises(KeyboardInterrupt):
            measure_each([str(model), "c"], tmp_path / "out", again, inputs=[rests_on], seed=0)
        return str(model) in again.asked

    assert [measured_again(), measured_again()] == [True, False]
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")  # overwritten in place, as long as before
    assert [measured_again(), measured_again()] == [True, False]
    (model / "tokenizer.json").write_text((model / "tokenizer.json").read_text() + "\n")
    assert [measured_again(), measured_again()] == [True, False]
    rests_on.write_text("measured  anew")
    assert [measured_again(), measured_again()] == [True, False]
    corpus = tmp_path / "windows.parquet"
    corpus.write_bytes(b"other windows")
    monkeypatch.setattr("parts.WINDOWS", corpus)
    assert [measured_again(), measured_again()] == [True, False]
