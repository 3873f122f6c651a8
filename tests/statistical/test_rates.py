from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.statistical.rates import SCORE_BINS, ScoresError, rates, score_bin, score_histogram
from interp.stats.estimates import clustered_rate, wilson


def scores_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": ["a"] * 6 + ["b"] * 6,
            "window": [*range(6), *range(6)],
            "document": ["d0", "d1", "d2", "d3", "d4", "d5"] * 2,
            "domain": (["code"] * 4 + ["prose"] * 2) * 2,
            "count": [0.0, 1, 1, 2, 2, 4] * 2,
            "score": [0, 0.2, 0.25, 1, 1, 0.75, 1, 1, 1, 1, 1, 31 / 32],
        }
    ).assign(memorized=lambda t: t["score"] == 1)


def test_rates_by_model_and_domain_by_hand() -> None:
    frame = rates(scores_table(), by=("model", "domain")).to_frame()
    assert frame[["model", "domain"]].to_numpy().tolist() == [
        ["a", "code"],
        ["a", "prose"],
        ["b", "code"],
        ["b", "prose"],
    ]
    assert frame["value"].tolist() == [1 / 4, 1 / 2, 1.0, 1 / 2]
    assert frame["n"].tolist() == [4, 2, 4, 2]
    assert (frame[["low", "high"]] == [0, 1]).all(axis=None), "fewer than five documents give no interval"
    # Each window has a document to itself, so the interval is Wilson's.
    a, b = rates(scores_table(), by=("model",)).estimates
    assert (a, b) == (wilson(2, 6), wilson(5, 6))


def test_windows_of_one_document_widen_the_interval() -> None:
    outcome = np.repeat([True, False, True, False, True, False], 25)
    documents = np.repeat(["d0", "d1", "d2", "d3", "d4", "d5"], 25).astype(object)
    scores = pd.DataFrame({"memorized": outcome, "document": documents})
    estimate = rates(scores, by=(), seed=3).estimates[0]
    assert estimate == clustered_rate(outcome, clusters=documents, seed=3)
    assert estimate.high - estimate.low > 2 * (wilson(75, 150).high - wilson(75, 150).low)
    assert estimate.n_documents == 6
    assert rates(scores, by=(), document=None).estimates[0] == wilson(75, 150)


def test_the_seed_fixes_the_interval_and_another_changes_it() -> None:
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"memorized": rng.random(300) < 0.3, "document": rng.integers(20, size=300).astype(str)})
    one, again, other = (rates(scores, by=(), seed=s).estimates[0] for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_not_measured_is_left_out_and_never_zero() -> None:
    scores = scores_table().assign(memorized=lambda t: t["memorized"].astype(float).where(t["window"] != 3))
    scores.loc[scores["model"] == "b", "memorized"] = np.nan
    a, b = rates(scores, by=("model",)).estimates
    assert (a.value, a.n) == (1 / 5, 5)
    assert np.isnan([b.value, b.low, b.high]).all()
    assert b.n == 0


@pytest.mark.parametrize("score", [0, 1 / 32, 0.25, 0.5, 0.75, 31 / 32, 1])
def test_bins_hold_what_they_say(score: float) -> None:
    expected = {0: 0, 1 / 32: 1, 0.25: 2, 0.5: 3, 0.75: 4, 31 / 32: 4, 1: 5}[score]
    assert score_bin(np.array([float(score)])).tolist() == [SCORE_BINS[expected]]


def test_histogram_shares_sum_to_one_and_empty_bins_are_there() -> None:
    frame = score_histogram(scores_table(), by=("model",)).to_frame()
    assert frame.groupby("model")["value"].sum().tolist() == pytest.approx([1, 1])
    assert frame[frame["model"] == "a"]["bin"].tolist() == list(SCORE_BINS)
    assert frame[frame["model"] == "a"]["value"].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 0, 1 / 6, 2 / 6])


def test_refusals_say_what_is_wrong() -> None:
    with pytest.raises(ScoresError, match=r"needs the columns \['family'\]"):
        rates(scores_table(), by=("family",))
    with pytest.raises(ScoresError, match="without rows"):
        rates(scores_table()[:0], by=("model",))
    with pytest.raises(ScoresError, match="true and false"):
        rates(scores_table(), by=("model",), outcome="score")
    with pytest.raises(ScoresError, match="between 0 and 1"):
        score_bin(np.array([1.5]))


def test_a_column_is_grouped_by_once():
    with pytest.raises(ScoresError, match="'model' is named twice"):
        rates(scores_table(), by=("model", "domain", "model"))
