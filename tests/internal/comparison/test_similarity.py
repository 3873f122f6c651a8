"""Family similarity: profiles, Gini and cosine by hand, and a planted family structure found and not invented."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from interp.internal.comparison.overlap import ComparisonError
from interp.internal.comparison.similarity import (
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
    one_stratum, every_pair = np.zeros(9, dtype=int), ~np.eye(9, dtype=bool)
    p_values = []
    for seed in range(200):
        values = rng.random((9, 9))
        symmetric = values + values.T
        drawn = _permuted_difference(symmetric, codes, one_stratum, every_pair, n_permutations=400, seed=seed)
        within, across = _contrast(symmetric, same, every_pair, np.arange(9), whole_families=False)
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


def by_size() -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, int]]:
    """Importance in the first layer alone: a profile depends on the number of layers, and on the family not at all."""
    rng = np.random.default_rng(1)
    importance, family, layers = {}, {}, {}
    for f in range(6):
        for n in (4, 6, 8):
            first = (np.arange(n) == 0).astype(float)
            importance[f"{f}-{n}"] = (first + 0.02)[:, None] * (1 + 0.1 * rng.random((n, n)))
            family[f"{f}-{n}"], layers[f"{f}-{n}"] = f"family {f}", n
    return importance, family, layers


def test_strata_keep_size_from_passing_for_family() -> None:
    importance, family, layers = by_size()
    naive = family_similarity(importance, family, n_permutations=500)
    # Pairs of one size are alike and always of different families.
    assert naive.difference.value < 0
    assert naive.p_value > 0.99
    fair = family_similarity(importance, family, strata=layers, n_permutations=500)
    assert fair.difference.low < 0 < fair.difference.high
    assert abs(fair.difference.value) < abs(naive.difference.value) / 10
    frame = fair.to_frame()
    assert not frame[frame["one"].str[-1] == frame["other"].str[-1]]["compared"].any()
    across = frame[frame["compared"] & ~frame["same_family"]]
    assert len(across) == 3 * 30
    assert fair.across.value == pytest.approx(across["cosine"].mean())


def test_planted_families_are_found_within_strata() -> None:
    importance, family = planted()
    layers = {name: values.shape[0] for name, values in importance.items()}
    found = family_similarity(importance, family, strata=layers, n_permutations=2000)
    assert found.difference.value > 0.3
    assert np.isnan(found.difference.low), "three families give no interval"
    # 3! ways in each of three sizes, of which the first only names the families: 1 / 36.
    assert found.p_value == pytest.approx(1 / 36, abs=0.012)


def test_permutations_within_strata_by_hand() -> None:
    """Two families of two sizes: labels stay as they are in both sizes, or are exchanged in one."""
    cosines = np.array([[1, 0.9, 0.2, 0.5], [0.9, 1, 0.4, 0.1], [0.2, 0.4, 1, 0.3], [0.5, 0.1, 0.3, 1]])
    # Models 0 and 1 are of the first family, 0 and 2 of the first size: compared are 0-1, 0-3, 2-1, 2-3.
    codes, strata = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    compared = strata[:, None] != strata[None, :]
    drawn = _permuted_difference(cosines, codes, strata, compared, n_permutations=200, seed=0)
    observed = (0.9 + 0.3) / 2 - (0.5 + 0.4) / 2
    assert {round(d, 9) for d in drawn} == {round(observed, 9), round(-observed, 9)}
    same = codes[:, None] == codes[None, :]
    for whole in (True, False):
        assert _contrast(cosines, same, compared, np.arange(4), whole_families=whole) == pytest.approx((0.6, 0.45))
    # The first family three times, the second once: 3 x 0.9 and 0.3 over 4 pairs; across both weigh 3.
    thrice = np.array([0, 1, 0, 1, 0, 1, 2, 3])
    assert _contrast(cosines, same, compared, thrice, whole_families=True) == pytest.approx((3.0 / 4, 0.45))


def test_refusals() -> None:
    importance, family = planted()
    with pytest.raises(ComparisonError, match="two families"):
        family_similarity(importance, dict.fromkeys(family, "one"))
    with pytest.raises(ComparisonError, match="two families"):
        family_similarity(importance, {name: name for name in family})
    importance["0-4"] = np.zeros((4, 4))
    with pytest.raises(ComparisonError, match="map of 0-4 is incomplete"):
        family_similarity(importance, family)
    importance, family = planted()
    with pytest.raises(ComparisonError, match="no two models of different strata within a family"):
        family_similarity(importance, family, strata=family)
