"""Overlap is a shared run of 32 tokens, wherever it stands, and 31 are none."""

from __future__ import annotations

import torch

from interp.data.disjoint import overlapping, run_length
from interp.data.windows import Windows


def numbered(start: int, n: int, *, window: int = 0) -> Windows:
    return Windows.from_tokens(torch.arange(start, start + n)[None], prefix_len=2, window=[window])


def test_runs_by_hand() -> None:
    tested = numbered(100, 64)
    cases = {1: 100, 2: 100 - 32, 3: 100 + 32, 4: 100 - 33, 5: 100 + 33, 6: 500}
    windows = Windows.concat([numbered(start, 64, window=i) for i, start in cases.items()])
    # 32 tokens are shared after a shift by 32 either way, 31 after a shift by 33.
    assert overlapping(windows, tested) == [1, 2, 3]
    assert overlapping(windows.select(torch.tensor([5, 2]).numpy()), tested) == [3]


def test_a_shorter_window_overlaps_where_all_of_it_stands_in_the_other() -> None:
    tested = numbered(100, 64)
    assert run_length(numbered(0, 10), tested) == 10
    assert overlapping(numbered(140, 10, window=7), tested) == [7]
    assert overlapping(numbered(155, 10, window=7), tested) == []
    assert overlapping(tested, numbered(140, 10)) == [0]


def test_a_run_that_several_windows_hold_names_them_all() -> None:
    windows = Windows.concat([numbered(0, 40, window=i) for i in (9, 4)])
    assert overlapping(windows, numbered(4, 36)) == [9, 4]
