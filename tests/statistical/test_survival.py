from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.statistical.survival import depth_summary, survival
from interp.stats.estimates import bootstrap, from_resamples, resting_on, wilson


def test_survival_by_hand() -> None:
    """Missed after 0, 1 and 3; censored at 1 and 3.

    Token 0: 5 at risk, 1 misses: 4/5. Token 1: of the 4 one is not seen any more, 3 at risk, 1 misses: 4/5 * 2/3.
    Token 2: 2 at risk, none misses. Token 3: 1 at risk and it misses.
    """
    depths, censored = np.array([0.0, 1, 1, 3, 3]), np.array([False, False, True, False, True])
    expected = [1, 4 / 5, 8 / 15, 8 / 15, 0]
    np.testing.assert_allclose(survival(depths, censored, [0, 1, 2, 3, 4]), expected)


def test_survival_without_censoring_is_a_plain_share() -> None:
    depths = np.array([0.0, 0, 2, 5, 9, 9])
    shares = [(depths >= d).mean() for d in (1, 2, 3, 9)]
    np.testing.assert_allclose(survival(depths, np.zeros(6, dtype=bool), [1, 2, 3, 9]), shares)


def test_nothing_is_known_beyond_the_last_censored_window() -> None:
    assert np.isnan(survival(np.array([2.0, 2]), np.array([True, True]), [3])).all()


def test_summary_holds_each_share_with_its_interval() -> None:
    table = pd.DataFrame(
        {
            "model": "m",
            "document": [f"d{i}" for i in range(8)],
            "depth": [0, 1, 2, 3, 4, 5, np.nan, 2],
            "censored": [False] * 7 + [True],
        }
    )
    summary = depth_summary(table, at=(1, 3)).set_index("at")
    assert summary.loc[1, "value"] == pytest.approx(6 / 7)
    # Right for 3: 6/7 * (1 - 1/6) * (1 - 1/4): at token 2 the censored window is not at risk any more.
    assert summary.loc[3, "value"] == pytest.approx(6 / 7 * 5 / 6 * 3 / 4)
    assert summary["n"].tolist() == [7, 7]
    assert summary["n_at_risk"].tolist() == [7, 6]
    assert ((summary["low"] <= summary["value"]) & (summary["value"] <= summary["high"])).all()


def test_intervals_are_those_of_the_estimate_on_each_resample() -> None:
    """Sums by document give what Kaplan and Meier's estimate on the drawn windows gives."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "model": "m",
            "document": rng.integers(0, 9, 40).astype(str),
            "depth": rng.integers(0, 12, 40).astype(float),
            "censored": rng.random(40) < 0.3,
        }
    )
    summary = depth_summary(table, at=(0, 2, 7), n_resamples=50, seed=3).set_index("at")
    depths, censored = table["depth"].to_numpy(), table["censored"].to_numpy()
    for d in (2, 7):
        values: list[float] = []

        def kept(drawn: np.ndarray, d: int = d, values: list[float] = values) -> float:
            values.append(float(survival(depths[drawn], censored[drawn], [d])[0]))
            return values[-1]

        bootstrap(kept, 40, seed=3, clusters=table["document"].to_numpy(), n_resamples=50)
        tried = ~(censored & (depths < d))
        rests_on = {**resting_on(table["document"].to_numpy()[tried]), "n": 40}
        expected = from_resamples(values[0], np.array(values[1:]), **rests_on, trials=1)
        found = summary.loc[d, ["value", "low", "high"]].to_list()
        np.testing.assert_allclose(found, [expected.value, expected.low, expected.high])
    assert summary.loc[0, ["value", "low", "high"]].to_list() == [1, wilson(9, 9).low, 1]
