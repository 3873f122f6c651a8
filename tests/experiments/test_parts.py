"""A stopped run goes on where it stopped, and never takes over what was measured otherwise."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from parts import Part, measure_each

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
        revision="abc", time="now",
    )  # fmt: skip


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
    assert list(tmp_path.rglob("curves.parquet"))
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
