from __future__ import annotations

import numpy as np
import pytest

from interp.stats.estimates import bootstrap, bootstrap_mean, from_resamples, resampled_means


def test_sums_by_cluster_equal_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values, clusters = rng.random(300), rng.integers(25, size=300)
    plain = bootstrap(lambda i: float(values[i].mean()), 300, seed=4, clusters=clusters)
    fast = bootstrap_mean(values, seed=4, clusters=clusters)
    assert [plain.value, plain.low, plain.high] == pytest.approx([fast.value, fast.low, fast.high], abs=1e-12)
    assert (plain.n, plain.n_documents) == (fast.n, fast.n_documents) == (300, 25)


def test_columns_are_drawn_together_and_missing_is_not_counted() -> None:
    values = np.random.default_rng(0).random((50, 1))
    means, sizes = resampled_means(np.hstack([values, values, np.full((50, 1), np.nan)]), seed=0, n_resamples=20)
    assert (means[:, 0] == means[:, 1]).all()
    assert np.isnan(means[:, 2]).all()
    assert (sizes[:, 0] == 50).all()
    assert (sizes[:, 2] == 0).all()


def test_infinite_values_reach_the_end_of_the_interval() -> None:
    drawn = np.array([*np.arange(90.0), *[np.inf] * 10])
    estimate = from_resamples(45.0, drawn, n=100, n_clusters=100)
    assert estimate.low == 2
    assert estimate.high == np.inf
    assert from_resamples(1.0, np.full(5, np.nan), n=3, n_clusters=3).value == 1.0
    assert np.isnan(from_resamples(1.0, drawn, n=1, n_clusters=1).high)
