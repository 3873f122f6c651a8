"""Family similarity: profiles, Gini and cosine by hand, and a planted family structure found and not invented."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from interp.internal.overlap import ComparisonError
from interp.internal.similarity import (
    _contrast,
    _permuted_difference,
    cosine,
    depth_profile,
    family_similarity,
    gini,
    sorted_curve,
)


def test_depth_profile_by_hand() -> None:
    # Layers at depths 0.25 and 0.75 with means 1 and 3; points at 1/8, 3/8, 5/8, 7/8.
    importance = np.array([[0.0, 2.0], [3.0, 3.0]])
    np.testing.assert_allclose(depth_profile(importance, n_points=4), [1.0, 1.5, 2.5, 3.0])


def test_sorted_curve_by_hand() -> None:
    np.testing.assert_allclose(sorted_curve(np.array([[1.0, 4.0], [2.0, 3.0]]), n_points=4), [4, 3, 2, 1])
    np.testing.assert_allclose(sorted_curve(np.array([[1.0, 4.0], [2.0, 3.0]]), n_points=2), [3.5, 1.5])


def test_gini_by_hand() -> None:
    assert gini(np.ones((2, 4))) == pytest.approx(0)
    assert gini(np.array([[0.0, 0.0], [0.0, 5.0]])) == pytest.approx(3 / 4)
    # 1, 3: mean absolute difference over all pairs 1, over twice the mean 4: 1/4.
    assert gini(np.array([[1.0, 3.0]])) == pytest.approx(0.25)
    assert gini(np.array([[-2.0, 3.0]])) == pytest.approx(0.5)  # below 0 counts as 0
    assert np.isnan(gini(np.zeros((2, 2))))


def test_cosine_by_hand() -> None:
    assert cosine(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(np.sqrt(0.5))
    assert cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0])) == -1
    assert np.isnan(cosine(np.zeros(2), np.ones(2)))


def planted() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Three families of three sizes; a family's importance peaks at a depth of its own."""
    rng = np.random.default_rng(0)
    importance, family = {}, {}
    for f, peak in enumerate((0.1, 0.5, 0.9)):
        for n in (4, 6, 8):
            depth = (np.arange(n) + 0.5) / n
            importance[f"{f}-{n}"] = np.exp(-30 * (depth - peak) ** 2)[:, None] * (1 + 0.1 * rng.random((n, n)))
            family[f"{f}-{n}"] = f"family {f}"
    return importance, family


def test_planted_families() -> None:
    importance, family = planted()
    found = family_similarity(importance, family, n_permutations=2000)
    assert found.within.value > 0.9
    assert found.across.value < 0.5
    assert found.difference.value == pytest.approx(found.within.value - found.across.value)
    assert found.difference.low > 0
    # 9! / (3!)^3 / 3! = 280 ways to make three groups of three, of which one is the families.
    assert found.p_value == pytest.approx(1 / 280, abs=0.004)
    assert set(found.by_family) == {"family 0", "family 1", "family 2"}
    order = [found.family[i] for i in found.order]
    assert sum(a != b for a, b in pairwise(order)) == 2, "clustering puts families side by side"
    by_hand = [found.cosine[i, j] for i in range(9) for j in range(i) if found.family[i] == found.family[j]]
    assert found.within.value == pytest.approx(np.mean(by_hand))
    frame = found.to_frame()
    assert len(frame) == 36
    assert frame[frame["same_family"]]["cosine"].mean() == pytest.approx(found.within.value)


def test_permutations_are_calibrated() -> None:
    """Without structure the difference is 0 on average, and p <= 0.2 about as often as it says."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(3), 3)
    same = codes[:, None] == codes[None, :]
    p_values = []
    for seed in range(200):
        values = rng.random((9, 9))
        symmetric = values + values.T
        drawn = _permuted_difference(symmetric, codes, n_permutations=400, seed=seed)
        within, across = _contrast(symmetric, same, np.arange(9))
        p_values.append(np.mean(drawn >= within - across))
        assert abs(drawn.mean()) < 5 * drawn.std() / 20
    assert 0.12 < np.mean(np.array(p_values) <= 0.2) < 0.28  # 0.2, and 2.8 standard errors of 0.028 on either side


def test_scale_does_not_matter_and_sorted_curves_compare() -> None:
    importance, family = planted()
    scaled = {name: 7 * values for name, values in importance.items()}
    for representation in ("depth", "sorted"):
        one = family_similarity(importance, family, representation=representation, n_permutations=10)
        other = family_similarity(scaled, family, representation=representation, n_permutations=10)
        np.testing.assert_allclose(one.cosine, other.cosine)
        np.testing.assert_allclose(one.gini, other.gini)
        np.testing.assert_allclose(np.diag(one.cosine), 1)


def test_refusals() -> None:
    importance, family = planted()
    with pytest.raises(ComparisonError, match="two families"):
        family_similarity(importance, dict.fromkeys(family, "one"))
    with pytest.raises(ComparisonError, match="two families"):
        family_similarity(importance, {name: name for name in family})
    importance["0-4"] = np.zeros((4, 4))
    with pytest.raises(ComparisonError, match="map of 0-4 is incomplete"):
        family_similarity(importance, family)
