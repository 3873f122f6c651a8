from __future__ import annotations

import numpy as np

from interp.stats.clustered_sums import ClusteredSums
from interp.stats.curves import column_estimates


def sample(n: int, n_documents: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    documents = rng.integers(n_documents, size=n)
    values = rng.normal(size=(n, 3)) + rng.normal(size=n_documents)[documents, None]
    values[rng.random(values.shape) < 0.2] = np.nan
    return values, np.array([f"document {d}" for d in documents], dtype=object)


def test_pieces_give_the_estimates_of_the_whole() -> None:
    values, documents = sample(200, 20)
    expected, _ = column_estimates(values, documents, seed=4)
    for size in (1, 7, 200):
        sums = ClusteredSums(3, max_clusters=20)
        for start in range(0, 200, size):
            sums.add(values[start : start + size], documents[start : start + size])
        for one, other in zip(sums.estimates(seed=4), expected, strict=True):
            np.testing.assert_allclose([one.value, one.low, one.high], [other.value, other.low, other.high], rtol=1e-12)
            assert (one.n, one.n_documents) == (other.n, other.n_documents)


def test_thrown_together_documents_keep_the_mean_and_about_the_interval() -> None:
    """500 documents in 64 clusters: the same means, whatever the pieces, and intervals of about the same width."""
    values, documents = sample(5000, 500)
    expected, _ = column_estimates(values, documents, seed=0)
    found = []
    for size in (100, 5000):
        sums = ClusteredSums(3, max_clusters=64)
        for start in range(0, 5000, size):
            sums.add(values[start : start + size], documents[start : start + size])
        found.append(sums.estimates(seed=0))
    for one, again, other in zip(*found, expected, strict=True):
        np.testing.assert_allclose([one.value, one.low, one.high], [again.value, again.low, again.high], rtol=1e-12)
        np.testing.assert_allclose(one.value, other.value)
        assert one.n == other.n
        assert one.n_documents == 64
        assert 0.6 < (one.high - one.low) / (other.high - other.low) < 1.6


def test_nothing_measured_is_not_a_number() -> None:
    sums = ClusteredSums(2)
    sums.add(np.array([[1.0, np.nan]]), np.array(["a"]))
    one, none = sums.estimates(seed=0)
    assert (one.value, one.n) == (1, 1)
    assert (one.low, one.high) == (0, 1), "of a share of one document nothing is known"
    assert np.isnan(none.value)
    assert none.n == 0
    assert all(np.isnan(e.value) for e in ClusteredSums(2).estimates(seed=0))
