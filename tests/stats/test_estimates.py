"""Estimates against values worked out by hand, and against what an interval promises."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from interp.statistical.rates import rate
from interp.stats.clustered_sums import ClusteredSums
from interp.stats.curves import column_estimates
from interp.stats.estimates import (
    NOT_MEASURED,
    Estimate,
    bootstrap,
    bootstrap_mean,
    clustered_rate,
    difference_of_shares,
    from_resamples,
    resampled_means,
    resamples_for,
    wilson,
)
from interp.stats.importance import head_estimates


def test_wilson_by_hand():
    # n = 10, x = 5, z = 1.959964: centre (0.5 + z^2/20) / (1 + z^2/10) = 0.5,
    # half-width z sqrt(0.025 + z^2/400) / (1 + z^2/10) = 0.2633.
    estimate = wilson(5, 10)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 - 0.26335, abs=1e-4)
    assert estimate.high == pytest.approx(0.5 + 0.26335, abs=1e-4)


def test_wilson_of_nothing_true_is_not_certain():
    # upper bound z^2 / (n + z^2) = 3.8415 / 23.8415
    assert wilson(0, 20).high == pytest.approx(0.16113, abs=1e-4)
    assert wilson(0, 20).low == 0


def test_wilson_of_no_windows_is_not_measured():
    estimate = wilson(0, 0)
    assert math.isnan(estimate.value)
    assert math.isnan(estimate.low)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2)])
def test_impossible_rates_are_refused(successes, n):
    with pytest.raises(ValueError, match=f"{successes} successes in {n} trials"):
        wilson(successes, n)


def test_seed_fixes_the_interval_and_another_changes_it():
    values = np.random.default_rng(0).normal(size=50)
    one, same, other = (bootstrap_mean(values, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert (one.low, one.high) != (other.low, other.high)


def test_bootstrap_of_the_mean_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(size=400)
    estimate = bootstrap_mean(values, seed=0, n_resamples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_clusters_that_agree_within_widen_the_interval():
    # Ten documents of twenty equal windows hold ten observations, not two hundred: sqrt(20) times wider.
    per_document = np.random.default_rng(0).normal(size=10)
    values, documents = np.repeat(per_document, 20), np.repeat(np.arange(10), 20)
    alone = bootstrap_mean(values, seed=0, n_resamples=4000)
    grouped = bootstrap_mean(values, seed=0, clusters=documents, n_resamples=4000)
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    # With ten documents Student's quantile, 2.262 for 1.96, is in it too; sqrt(9 / 10) of the resamples is made up for.
    assert ratio == pytest.approx(math.sqrt(20) * 2.262 / 1.96, rel=0.15)
    assert grouped.n_documents == 10
    assert grouped.n == 200


def test_general_bootstrap_agrees_with_that_of_the_mean():
    values, documents = np.arange(30.0), np.repeat(np.arange(6), 5)
    general = bootstrap(lambda i: float(values[i].mean()), 30, seed=3, clusters=documents)
    assert general.low == pytest.approx(bootstrap_mean(values, seed=3, clusters=documents).low)


def test_missing_values_are_skipped_not_zero():
    estimate = bootstrap_mean(np.array([1.0, np.nan, 3.0]), seed=0)
    assert estimate.value == 2.0
    assert estimate.n == 2
    assert math.isnan(bootstrap_mean(np.array([np.nan]), seed=0).value)


def test_one_cluster_gives_no_interval():
    estimate = bootstrap_mean(np.arange(5.0), seed=0, clusters=np.zeros(5))
    assert estimate.value == 2.0
    assert math.isnan(estimate.low)


@pytest.mark.parametrize("every", [False, True])
def test_where_all_outcomes_are_alike_the_documents_are_the_units(every):
    memorized = np.full(40, every)
    estimate = clustered_rate(memorized, clusters=np.repeat(np.arange(8), 5), seed=0)
    expected = wilson(8 * every, 8)
    assert (estimate.low, estimate.high) == (expected.low, expected.high)
    assert (estimate.n, estimate.n_documents) == (40, 8)


def test_share_of_whole_documents_by_hand():
    # Ten documents of twenty windows, all or none memorized, three of ten: the variance of the share is
    # 0.3 * 0.7 / 9, so that 9 outcomes are as good, less (t_199 / t_9)^2 = (1.97196 / 2.26216)^2 = 0.75988.
    documents = np.repeat(np.arange(10), 20)
    estimate = clustered_rate(documents < 3, clusters=documents, seed=0)
    n, z = 9 * 0.75988, 1.959964
    centre, half = (0.3 + z**2 / 2 / n) / (1 + z**2 / n), z * math.sqrt(0.21 / n + z**2 / 4 / n**2) / (1 + z**2 / n)
    # The variance is of 1,163 resamples, so that it is known to some 4 %, its root to 2 %.
    assert estimate.low == pytest.approx(centre - half, abs=0.015)
    assert estimate.high == pytest.approx(centre + half, abs=0.015)


def test_interval_upside_down_is_refused():
    with pytest.raises(ValueError, match="upside down"):
        Estimate(0.5, 0.7, 0.3, 10, 10)


def summed(values: np.ndarray, documents: np.ndarray) -> Estimate:
    sums = ClusteredSums(1)
    for half in (slice(None, len(values) // 2), slice(len(values) // 2, None)):
        sums.add(values[half, None], documents[half])
    return sums.estimates(seed=0)[0]


MEANS: dict[str, Callable[[np.ndarray, np.ndarray], Estimate]] = {
    "bootstrap_mean": lambda v, d: bootstrap_mean(v, clusters=d, seed=0),
    "column_estimates": lambda v, d: column_estimates(v[:, None], d, seed=0)[0][0],
    "ClusteredSums": summed,
    "head_estimates": lambda v, d: head_estimates(v[None, None], d, seed=0)[0][0],
    "clustered_rate": lambda v, d: clustered_rate(v == 1, clusters=d, seed=0),
    "rate": lambda v, d: rate(pd.Series(v), pd.Series(d)),
}


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("per", [1, 3])
def test_fewer_than_five_documents_give_no_interval(name: str, per: int) -> None:
    values, documents = np.tile([0.0, 1.0, 1.0], 2 * per), np.repeat(list("abcdef"), per)
    for n in (1, 2, 4, 5):
        e = MEANS[name](values[: n * per], documents[: n * per])
        assert (e.n, e.n_documents) == (n * per, n)
        assert e.says_where == (n >= 5)
        # Of a share nothing is known but that it is one.
        assert n >= 5 or (e.low, e.high) == (0, 1) or (math.isnan(e.low) and math.isnan(e.high))
        assert ("no interval: fewer than 5 documents" in str(e)) == (n < 5)


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("every", [0.0, 1.0])
@pytest.mark.parametrize("per", [1, 5])
def test_a_share_has_no_width_of_zero(name: str, every: float, per: int) -> None:
    """Where all are alike its ends are Wilson's at as many outcomes as there are documents."""
    e = MEANS[name](np.full(8 * per, every), np.repeat(list("abcdefgh"), per))
    end = wilson(0, 8).high
    low, high = (1 - end, 1.0) if every else (0.0, end)
    if name == "head_estimates":  # the share that was gained is as little known as the one that was lost
        low, high = (1 - math.sqrt(2) * end, 1.0) if every else (-end, end)
    assert (e.low, e.high) == pytest.approx((low, high))


def test_a_fall_that_cannot_be_a_gain_is_a_share() -> None:
    documents = np.arange(64).astype(str)
    ((e,),) = head_estimates(np.zeros((1, 1, 64)), documents, seed=0, trials=1, gains=False)
    assert (e.low, e.high) == (0, wilson(0, 64).high)
    ((nats,),) = head_estimates(np.zeros((1, 1, 64)), documents, seed=0, trials=0)
    assert (nats.low, nats.high) == (0, 0), "a fall of exactly 0 nats is no share"


@pytest.mark.parametrize("trials", [0, 1])
def test_heads_together_or_apart_have_the_same_intervals(trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    falls = rng.integers(-1, 2, size=(2, 3, 40)).astype(np.float32)
    falls[1, 2] = np.nan
    documents = rng.integers(9, size=40)
    together = head_estimates(falls, documents, seed=3, trials=trials)
    monkeypatch.setattr("interp.stats.importance.VALUES_AT_ONCE", 80)
    for one, row in enumerate(head_estimates(falls, documents, seed=3, trials=trials)):
        for head, e in enumerate(row):
            alone = together[one][head]
            np.testing.assert_allclose([e.value, e.low, e.high], [alone.value, alone.low, alone.high], atol=1e-15)
    one = falls[0, 1].astype(np.float64)
    if not trials:
        expected = bootstrap(lambda i: float(one[i].mean()), 40, seed=3, clusters=documents)
        found = together[0][1]
        np.testing.assert_allclose(
            [found.value, found.low, found.high], [expected.value, expected.low, expected.high], atol=1e-15
        )


def test_difference_of_shares_by_hand() -> None:
    # Newcombe: d -+ sqrt(a^2 + b^2 - 2 r a b), r = -1 / 3 in these resamples.
    one, other = Estimate(0.3, 0.2, 0.45, 50, 50), Estimate(0.1, 0.05, 0.2, 50, 50)
    drawn = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    e = difference_of_shares(one, other, drawn)
    assert e.low == pytest.approx(0.2 - math.sqrt(0.1**2 + 0.1**2 + 2 / 3 * 0.1 * 0.1))
    assert e.high == pytest.approx(0.2 + math.sqrt(0.15**2 + 0.05**2 + 2 / 3 * 0.15 * 0.05))
    assert math.isnan(difference_of_shares(one, NOT_MEASURED, drawn).low)
    assert math.isnan(difference_of_shares(NOT_MEASURED, one, drawn).high)


def test_a_share_of_tokens_by_hand() -> None:
    # Resamples of variance 0.001 from 9 documents: 0.5 * 0.5 / (0.001 * 9 / 8) = 222.2 outcomes, times
    # (t_799 / t_8)^2 = (1.96294 / 2.30600)^2; at most as many as there are tokens, or windows.
    drawn = 0.5 + math.sqrt(0.001) * np.tile([-1.0, 1.0], 500)
    for trials, n, t_n in ((20, 0.25 / 0.001 * 8 / 9, 1.96294), (1, 40, 2.02269)):
        e = from_resamples(0.5, drawn, n=40, n_clusters=9, trials=trials)
        n *= (t_n / 2.30600) ** 2
        assert e.high - 0.5 == pytest.approx(1.959964 / math.sqrt(n + 1.959964**2) / 2, rel=1e-4)
        assert e.low == pytest.approx(1 - e.high)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        from_resamples(1.5, drawn, n=40, n_clusters=9, trials=1)


def test_the_ends_lie_further_out_the_fewer_documents_there_are() -> None:
    """Hesterberg's percentiles: of five documents Phi(-sqrt(5 / 4) * 2.77645), t with four degrees of freedom."""
    drawn = np.arange(100_001.0)
    for n, t in ((5, 2.776445), (20, 2.093024)):
        e = from_resamples(0.0, drawn, n=100, n_clusters=n)
        tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * t)
        assert e.low == pytest.approx(100_000 * tail, rel=1e-4)
        assert e.high == pytest.approx(100_000 * (1 - tail), rel=1e-6)
        assert resamples_for(n) == max(1000, math.ceil(10 / tail))
    means, _ = resampled_means(np.ones((5, 1)), seed=0)
    assert len(means) == resamples_for(5) > 10_000


def test_resamples_without_a_value_are_not_passed_over() -> None:
    drawn = np.arange(1000.0)
    drawn[:10] = np.nan
    assert not math.isnan(from_resamples(0.0, drawn, n=50, n_clusters=50).low)
    drawn[10] = np.nan
    e = from_resamples(0.0, drawn, n=50, n_clusters=50)
    assert math.isnan(e.low)
    assert str(e) == "0 (no interval)"


@pytest.mark.parametrize("at_once", [1, 1_000_000, 5_000_000])
def test_draws_do_not_depend_on_the_blocks_they_are_drawn_in(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.stats.estimates.DRAWN_AT_ONCE", at_once)
    values = np.random.default_rng(1).normal(size=(3000, 1))
    means, _ = resampled_means(values, seed=7, n_resamples=800)
    rng = np.random.default_rng(7)
    by_hand = [values[rng.integers(3000, size=3000), 0].mean() for _ in range(800)]
    np.testing.assert_allclose(means[:, 0], by_hand, rtol=0, atol=1e-15)


def test_estimates_are_written_short() -> None:
    assert str(Estimate(0.5, 8.67e-17, 0.99, 9, 9)) == "0.5 [0, 0.99]"
    assert str(Estimate(0.12345, 0.0987654, 0.2, 9, 9)) == "0.123 [0.099, 0.2]"
    assert str(Estimate(-0.00001234, -0.00002, 1e-9, 9, 9)) == "-1.23e-05 [-2e-05, 0]"
    assert str(Estimate(1234.5, 1000.4, math.inf, 9, 9)) == "1230 [1000, inf]"
    assert str(Estimate(0.25, math.nan, math.nan, 8, 4)) == "0.25 (no interval: fewer than 5 documents)"
    assert str(NOT_MEASURED) == "not measured"
