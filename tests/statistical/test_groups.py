from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.statistical.extraction import extract
from interp.statistical.groups import equally_shown, log_token_frequency, matched_groups
from interp.statistical.matching import MatchingError


def test_log_frequency_by_hand() -> None:
    """Token 0 stands 3 times, 1 once, 2 never: log10 of 4, 2 and 1."""
    corpus = Windows.from_tokens(torch.tensor([[0, 0, 0, 1]]), prefix_len=2)
    windows = Windows.from_tokens(torch.tensor([[0, 1], [2, 2], [0, 2]]), prefix_len=1)
    expected = [np.log10(8) / 2, 0, np.log10(4) / 2]
    np.testing.assert_allclose(log_token_frequency(windows, corpus), expected)


def test_controls_are_of_the_domain_and_nearest(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """Windows 0 and 1 are memorized; their domains are those of even and odd windows; M of 2 and 3 is between."""
    score = np.array([1.0, 1, 0.5, 0.5] + [0.0] * 8)
    extraction = replace(extract(models["Pythia"], windows), score=score, memorized=score == 1)
    place = np.array([5.0, 50, 5, 50, 9, 90, 5.1, 70, 1, 51, 7, 10])
    groups, matching = matched_groups(extraction, near={"place": place})
    assert np.flatnonzero(groups["memorized"]).tolist() == [0, 1]
    assert np.flatnonzero(groups["unmemorized"]).tolist() == list(range(4, 12))
    # 2 and 3 are as near, but not unmemorized.
    assert np.flatnonzero(groups["matched"]).tolist() == [6, 9]
    assert matching.n_unmatched == 0


def test_nothing_memorized_is_refused(models: dict[str, TransformerBridge], windows: Windows) -> None:
    with pytest.raises(MatchingError, match="0 memorized"):
        matched_groups(extract(models["Pythia"], windows))


def test_equally_shown_windows_have_the_same_counts_and_domains() -> None:
    table = pd.DataFrame(
        {
            "window": range(8),
            "domain": ["code"] * 4 + ["prose"] * 4,
            "count": [16, 16, 16, 32, 16, 16, 32, 32],
            "memorized": [True, False, False, True, True, True, True, False],
        }
    )
    # Code: one pair at 16, none at 32. Prose: none at 16, where all are memorized; one pair at 32.
    # Which of two that are alike is drawn, and not always the table's first.
    taken = [equally_shown(table, seed=seed)["window"].tolist() for seed in range(30)]
    assert {tuple(t) for t in taken} == {(0, one, 6, 7) for one in (1, 2)}
    assert equally_shown(table, seed=3)["window"].tolist() == taken[3]
    with pytest.raises(MatchingError, match="1 windows have no known count"):
        equally_shown(table.assign(count=[np.nan, *table["count"][1:]]))
