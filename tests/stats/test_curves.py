"""Groups of windows and their curves: masks, means by hand, and intervals that are those of the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from interp.data.windows import Windows
from interp.stats.curves import column_estimates, group_curves, memorization_groups
from interp.stats.estimates import bootstrap_mean


def test_groups() -> None:
    score = np.array([1.0, 0.0, 0.5, np.nan, 0.0, 1.0])
    matched = np.array([True, True, True, True, False, False])
    groups = memorization_groups(score, matched=matched)
    assert np.flatnonzero(groups["memorized"]).tolist() == [0, 5]
    assert np.flatnonzero(groups["unmemorized"]).tolist() == [1, 4]
    assert np.flatnonzero(groups["matched"]).tolist() == [1], "a control is an unmemorized window"
    assert "matched" not in memorization_groups(score)


def test_columns_are_bootstrapped_as_one_is() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 3))
    values[3, 1] = np.nan
    values[:, 2] = np.nan
    documents = np.array([f"d{i // 3}" for i in range(20)], dtype=object)
    (first, second, third), means = column_estimates(values, documents, seed=4)
    alone = bootstrap_mean(values[:, 0], clusters=documents, seed=4)
    assert (first.value, first.low, first.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert second.value == pytest.approx(np.nanmean(values[:, 1]))
    assert (second.n, second.n_documents) == (19, 7)
    assert np.isnan(third.value)
    assert third.n == 0
    assert means.shape[1] == 3


def test_group_curves_by_hand(windows: Windows) -> None:
    values = np.stack([np.arange(12.0), 2 * np.arange(12.0)], axis=1)
    groups = {"even": np.arange(12) % 2 == 0, "none": np.zeros(12, dtype=bool)}
    table = group_curves(values, windows, points={"depth": [0.0, 1.0]}, groups=groups).set_index(["group", "depth"])
    assert table.loc[("even", 0.0), "value"] == 5
    assert table.loc[("even", 1.0), "value"] == 10
    assert table.loc[("even", 0.0), "n"] == 6
    assert table.loc[("even", 0.0), "n_documents"] == 6
    assert np.isnan(table.loc[("none", 0.0), "value"])
    assert table.loc[("even", 0.0), "low"] < 5 < table.loc[("even", 0.0), "high"]
