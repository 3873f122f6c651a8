"""Estimates against values worked out by hand, and against what an interval promises."""

import math

import numpy as np
import pytest

from interp.stats import Estimate, bootstrap, bootstrap_mean, clustered_rate, wilson


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
    assert grouped.n_clusters == 10
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
    assert (estimate.n, estimate.n_clusters) == (40, 8)


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
