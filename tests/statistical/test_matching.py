from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.statistical.matching import MatchingError, match


def confounded(n: int = 2000, *, seed: int = 0) -> pd.DataFrame:
    """Windows that are memorized the more often the higher their count and by domain; ``trait`` follows count alone."""
    rng = np.random.default_rng(seed)
    log_count = rng.normal(2, 1, size=n)
    domain = rng.choice(["code", "prose"], size=n, p=[0.4, 0.6])
    odds = 1.5 * (log_count - 3) + np.where(domain == "code", 1.0, 0.0)
    memorized = rng.random(n) < 1 / (1 + np.exp(-odds))
    trait = log_count + rng.normal(0, 0.5, size=n)
    return pd.DataFrame({"log_count": log_count, "domain": domain, "memorized": memorized, "trait": trait})


def test_pairs_by_hand() -> None:
    scores = pd.DataFrame(
        {
            "memorized": [True, True, False, False, False, False],
            "log_count": [2.0, 1.0, 0.0, 1.1, 1.9, 2.0],
            "domain": ["code", "code", "code", "code", "code", "prose"],
        }
    )
    result = match(scores, on=["log_count"], caliper=1.0)
    # 2.0 takes 1.9 (the 2.0 is of another domain), then 1.0 takes 1.1.
    assert result.pairs[["memorized", "control"]].to_numpy().tolist() == [[0, 4], [1, 3]]
    assert result.memorized.tolist() == [True, True, False, False, False, False]
    assert result.controls.tolist() == [False, False, False, True, True, False]
    assert result.n_unmatched == 0


def test_a_control_is_used_once() -> None:
    scores = pd.DataFrame(
        {"memorized": [True] * 3 + [False] * 2, "log_count": [1.0, 1.0, 1.0, 1.0, 1.0], "domain": "a"}
    )
    result = match(scores, on=["log_count"])
    assert result.pairs["control"].is_unique
    assert len(result.pairs) == 2
    assert result.n_unmatched == 1


def test_greedy_equals_the_plain_search() -> None:
    scores = confounded(300, seed=3)
    result = match(scores, on=["log_count"], exact=())
    pairs = dict(result.pairs[["memorized", "control"]].to_numpy().tolist())
    x, memorized = scores["log_count"].to_numpy(), scores["memorized"].to_numpy()
    widest = max(abs(x[m] - x[c]) for m, c in pairs.items())
    free, expected = set(np.flatnonzero(~memorized).tolist()), {}
    for one in np.flatnonzero(memorized)[np.argsort(-x[memorized], kind="stable")].tolist():
        nearest = min(free, key=lambda i: abs(x[i] - x[one]))
        if abs(x[nearest] - x[one]) <= widest + 1e-12:
            expected[one] = nearest
            free.remove(nearest)
    assert pairs == expected


def test_matching_balances_and_removes_a_confounded_difference() -> None:
    scores = confounded()
    result = match(scores, on=["log_count"], caliper=0.05)
    balance = result.balance.set_index("covariate")
    assert balance.loc["log_count", "before"] > 0.8
    assert abs(balance.loc["log_count", "after"]) < 0.1
    assert balance["balanced"].all()
    trait, memorized = scores["trait"].to_numpy(), scores["memorized"].to_numpy()
    assert trait[memorized].mean() - trait[~memorized].mean() > 0.8
    assert abs(trait[result.memorized].mean() - trait[result.controls].mean()) < 0.1


def test_pairs_agree_in_the_exact_columns_and_stay_within_the_caliper() -> None:
    scores = confounded()
    result = match(scores, on=["log_count"], caliper=0.05)
    domain = scores["domain"].to_numpy()
    assert (domain[result.pairs["memorized"]] == domain[result.pairs["control"]]).all()
    assert result.pairs["distance"].max() <= 0.05
    # A wide caliper keeps more windows and balances less.
    wide = match(scores, on=["log_count"], caliper=1.0)
    assert len(wide.pairs) > len(result.pairs)
    assert wide.balance["after"].abs().max() > result.balance["after"].abs().max()
    assert result.n_unmatched == scores["memorized"].sum() - len(result.pairs)


def test_given_controls_alone_are_used() -> None:
    scores = confounded()
    allowed = np.arange(len(scores)) % 2 == 0
    assert not (match(scores, on=["log_count"], control=allowed).controls & ~allowed).any()


def test_refusals() -> None:
    scores = confounded(100)
    with pytest.raises(MatchingError, match="0 memorized windows"):
        match(scores.assign(memorized=False), on=["log_count"])
    with pytest.raises(MatchingError, match="no unmemorized window has the same"):
        match(scores.assign(domain=np.where(scores["memorized"], "a", "b")), on=["log_count"])
    with pytest.raises(MatchingError, match="within 0.2 standard deviations"):
        match(scores.assign(log_count=scores["memorized"] * 100.0), on=["log_count"], exact=())
    with pytest.raises(MatchingError, match="NaN or infinite"):
        match(scores.assign(log_count=np.nan), on=["log_count"])
