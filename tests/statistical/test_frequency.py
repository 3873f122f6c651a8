from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.data.counts.build import build_index
from interp.data.counts.index import CountIndex
from interp.data.counts.manifest import CountIndexError
from interp.data.windows import WindowError, Windows
from interp.figures.frequency import draw_boundary, draw_frequency
from interp.statistical.frequency import frequency
from interp.statistical.frequency_parts import chunks, stream_frequency


@pytest.fixture(scope="module")
def windows() -> Windows:
    ids = np.random.default_rng(0).integers(0, 1000, size=(6, 16))
    return Windows.from_tokens(ids, prefix_len=8, document=["a", "a", "b", "b", "c", "c"], source="random")


@pytest.fixture(scope="module")
def index(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> CountIndex:
    """Windows 0 to 2 nine times each; of the others only the continuation, nine times, and never the whole."""
    shown, rest = windows.tokens[:3].numpy(), windows.continuation[3:].numpy()
    documents = [row for part in (shown, rest) for row in part for _ in range(9)]
    return build_index(
        documents, tmp_path_factory.mktemp("i") / "i", d_vocab=1000, tokenizer="t", source="planted", progress=False
    )


MEMORIZED = np.array([True] * 3 + [False] * 3)
GROUPS = {"memorized": MEMORIZED, "unmemorized": ~MEMORIZED}


def test_whole_windows_and_positions(windows: Windows, index: CountIndex) -> None:
    result = frequency(index, windows, lengths=(2, 4))
    (counts,) = result.pieces
    assert result.table["window_count"].tolist() == [9, 9, 9, 0, 0, 0]
    assert np.isnan(counts[:, 0, :1]).all()
    assert np.isnan(counts[:, 1, :3]).all()
    assert (counts[:3, 0, 1:] == 9).all()
    # A bigram lies within the continuation from its second token on; one that reaches back was never shown.
    assert (counts[3:, 0, 1:9] == 0).all()
    assert (counts[3:, 0, 9:] == 9).all()
    assert (counts[3:, 1, 8:11] == 0).all()
    assert (counts[3:, 1, 11:] == 9).all()


def test_curves_and_boundary_by_hand(windows: Windows, index: CountIndex) -> None:
    result = frequency(index, windows, lengths=(2, 4))
    curves = result.curves(GROUPS)
    # log10(1 + 9) = 1, everywhere for shown windows and after the boundary for the rest.
    shown = curves[curves["group"] == "memorized"]
    assert (shown["value"] == 1).all()
    assert (shown["n_documents"] == 2).all()
    assert shown[["low", "high"]].isna().all(axis=None)
    rest = curves[(curves["group"] == "unmemorized") & (curves["length"] == 2)].set_index("position")
    assert rest.index.tolist() == list(range(-7, 8))
    assert (rest.loc[:0, "value"] == 0).all()
    assert (rest.loc[1:, "value"] == 1).all()
    boundary = result.boundary(GROUPS).set_index(["group", "length"])
    assert boundary.loc[("memorized", 2), "value"] == 0
    assert boundary.loc[("unmemorized", 2), "value"] == 1
    assert boundary.loc[("unmemorized", 4), "value"] == 1
    whole = result.whole(GROUPS).set_index("group")
    assert whole.loc["memorized", "median_count"] == 9
    assert whole.loc["unmemorized", "value"] == 0


def test_table_has_a_row_a_window(windows: Windows, index: CountIndex) -> None:
    result = frequency(index, windows, lengths=(1, 2))
    frame = result.to_frame()
    assert frame["window_count"].tolist() == [9, 9, 9, 0, 0, 0]
    # Of the 15 bigrams of a window that was not shown, the 7 inside its continuation count 9.
    assert frame["log_count_2"].tolist() == pytest.approx([1, 1, 1, 7 / 15, 7 / 15, 7 / 15])
    assert result.provenance.settings["corpus_sha256"] == index.manifest.sha256


def test_lengths_that_do_not_fit_are_refused(windows: Windows, index: CountIndex) -> None:
    for lengths in ((), (0,), (9,)):
        with pytest.raises(ValueError, match="n can be 1 to 8"):
            frequency(index, windows, lengths=lengths)


def test_figures_mark_the_boundary(windows: Windows, index: CountIndex) -> None:
    result = frequency(index, windows, lengths=(1, 2, 4))
    fig = draw_frequency(result.curves(GROUPS))
    assert [a.text for a in fig.layout.annotations[:3]] == ["1-grams", "2-grams", "4-grams"]
    assert [s.x0 for s in fig.layout.shapes] == [-0.5] * 3
    assert len(draw_boundary(result.boundary(GROUPS)).data) == 2


def test_a_stream_gives_what_the_whole_gives(windows: Windows, index: CountIndex, tmp_path: Path) -> None:
    """Exactly, intervals included, for chunks that cut documents in two."""
    whole = frequency(index, windows, lengths=(1, 2, 4))
    for size in (1, 3, 4, 6):
        stream = stream_frequency(index, chunks(windows, size), tmp_path / str(size), lengths=(1, 2, 4))
        pd.testing.assert_frame_equal(stream.to_frame(), whole.to_frame())
        assert stream.provenance.n_windows == 6
        for measure in ("curves", "boundary", "whole"):
            for groups in (None, GROUPS):
                one, other = (getattr(f, measure)(groups, seed=1) for f in (stream, whole))
                pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_a_stream_goes_on_and_refuses_foreign_parts(windows: Windows, index: CountIndex, tmp_path: Path) -> None:
    pieces = list(chunks(windows, 2))
    stream_frequency(index, pieces[:2], tmp_path, lengths=(2,))
    first = (tmp_path / "part-000000.parquet").stat().st_mtime_ns
    assert len(stream_frequency(index, pieces, tmp_path, lengths=(2,)).table) == 6
    assert (tmp_path / "part-000000.parquet").stat().st_mtime_ns == first
    with pytest.raises(CountIndexError, match="other windows"):
        stream_frequency(index, pieces[1:], tmp_path, lengths=(2,))
    with pytest.raises(CountIndexError, match="choose an empty folder"):
        stream_frequency(index, pieces, tmp_path, lengths=(3,))
    with pytest.raises(WindowError, match="no windows"):
        stream_frequency(index, [], tmp_path, lengths=(2,))


def test_a_mask_of_other_windows_is_refused(windows: Windows, index: CountIndex) -> None:
    with pytest.raises(WindowError, match=r"bool of shape \(2,\); it must be a mask, true or false, over 6"):
        frequency(index, windows, lengths=(2,)).boundary({"memorized": MEMORIZED[:2]})


def test_parts_of_other_text_with_the_same_ids_are_not_taken_over(
    windows: Windows, index: CountIndex, tmp_path: Path
) -> None:
    stream_frequency(index, [windows], tmp_path, lengths=(2,))
    with pytest.raises(CountIndexError, match=r"other windows digest .*choose an empty folder"):
        stream_frequency(index, [replace(windows, tokens=windows.tokens.flip(1))], tmp_path, lengths=(2,))
