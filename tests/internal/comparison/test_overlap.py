"""Overlap of top heads: values by hand, chance as a brute-force count gives it, and a planted overlap found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from interp.internal.comparison.overlap import ComparisonError, expected_jaccard, jaccard, overlap, top_heads


def test_top_heads_by_hand() -> None:
    importance = np.array([[0.1, 0.9, 0.2, 0.0, 0.3], [0.8, -1.0, 0.4, 0.5, 0.6]])
    np.testing.assert_array_equal(np.argwhere(top_heads(importance, share=0.2)), [[0, 1], [1, 0]])
    assert top_heads(importance, share=0.01).sum() == 1
    one_place = np.array([[1.0, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]])
    sets = [top_heads(one_place, share=0.25, seed=seed).ravel() for seed in range(60)]
    assert all(s.sum() == 2 and s[0] for s in sets)
    np.testing.assert_allclose(np.mean(sets, axis=0)[1:4], 1 / 3, atol=0.2)


def test_jaccard_by_hand() -> None:
    one, other = np.zeros((2, 3), dtype=bool), np.zeros((2, 3), dtype=bool)
    one[0, :2] = other[0, 1:] = True  # {0, 1} and {1, 2}: one shared of three
    assert jaccard(one, other) == pytest.approx(1 / 3)
    assert jaccard(one, one) == 1
    assert np.isnan(jaccard(one & False, one & False))


def test_expected_jaccard_against_all_sets() -> None:
    sets = [set(c) for c in combinations(range(6), 2)]
    by_count = np.mean([len(a & b) / len(a | b) for a in sets for b in sets])
    assert expected_jaccard(6, 2, 2) == pytest.approx(by_count)
    # The figure of definitions.md: about 0.11 for 20 % of many heads (1/9 in the limit).
    assert expected_jaccard(1000, 200, 200) == pytest.approx(1 / 9, abs=1e-3)


def test_planted_overlap() -> None:
    """Four domains share two heads out of a top set of 13 of 64; all else is random."""
    rng = np.random.default_rng(0)
    importance = {domain: rng.random((8, 8)) for domain in "abcd"}
    for values in importance.values():
        values[2, 3] = values[5, 5] = 2.0
    found = overlap(importance, n_permutations=500)
    assert {(2, 3), (5, 5)} <= {(int(i), int(j)) for i, j in np.argwhere(found.universal)}
    assert found.universal_share.value == found.universal.sum() / 64
    assert found.universal_expected["all_heads"] == pytest.approx((13 / 64) ** 4)
    assert found.universal_p["all_heads"] < 0.01
    assert len(found.to_frame()) == 6


def test_same_layers_are_not_the_same_heads() -> None:
    """All important heads are in layer 0, at random there: more than chance over all heads, not within layers."""
    rng = np.random.default_rng(1)
    importance = {domain: rng.random((10, 10)) * 0.1 for domain in "ab"}
    for values in importance.values():
        values[0] += 1
        values[1] += 1
        values[0, rng.permutation(10)[:5]] -= 1
        values[1, rng.permutation(10)[:5]] -= 1
    found = overlap(importance, share=0.1, n_permutations=1000).pairs.iloc[0]
    assert found["p_all_heads"] < 0.01
    assert found["p_within_layers"] > 0.05
    assert found["expected_within_layers"] > 3 * found["expected_all_heads"]


def test_random_sets_are_not_significant() -> None:
    """Over many random pairs the p-value is as often below 0.2 as it should be at most."""
    rng = np.random.default_rng(2)
    small = [
        overlap({d: rng.random((4, 5)) for d in "ab"}, n_permutations=40, seed=i).pairs["p_all_heads"].item() <= 0.2
        for i in range(50)
    ]
    assert np.mean(small) < 0.3


def test_seed() -> None:
    rng = np.random.default_rng(3)
    importance = {d: rng.random((6, 6)) for d in "ab"}
    one, same, other = (overlap(importance, n_permutations=50, seed=s).pairs for s in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


def test_refusals() -> None:
    full = np.array([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ComparisonError, match="needs two domains"):
        overlap({"code": full})
    with pytest.raises(ComparisonError, match="different shapes"):
        overlap({"code": full, "prose": np.ones((2, 3))})
    with pytest.raises(ComparisonError, match="head 1 of layer 0 was not measured"):
        overlap({"code": full, "prose": np.array([[1.0, np.nan], [1.0, 1.0]])})
    with pytest.raises(ComparisonError, match="share=0"):
        top_heads(full, share=0.0)
