"""Ties between heads: no order among equals, no agreement from it, and p-values that hold with ties and few heads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from interp.data.windows import Windows
from interp.internal.ablation.heads import HeadAblation
from interp.internal.comparison import similarity
from interp.internal.comparison.agreement import agreement
from interp.internal.comparison.overlap import ComparisonError, expected_jaccard, jaccard, overlap
from interp.internal.comparison.similarity import family_similarity
from interp.results import Provenance
from interp.stats.estimates import NOT_MEASURED
from interp.stats.ranks import membership, ranked, top_heads, top_size


def test_membership_by_hand() -> None:
    # Three places of ten: one head is above, four tie for the two places left.
    importance = np.array([[5.0, 2, 2, 1, 0], [2, 2, 1, 0, -1]])
    np.testing.assert_array_equal(membership(importance, share=0.3), [[1, 0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0, 0]])
    np.testing.assert_array_equal(membership(importance, share=0.5), [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    assert membership(importance, share=1.0).tolist() == np.ones((2, 5)).tolist()
    assert membership(np.full((2, 5), 7.0), share=1.0).all()


def test_membership_is_the_share_of_random_draws() -> None:
    importance = np.array([[5.0, 2, 2, 1, 0], [2, 2, 1, 0, -1]])
    drawn = np.mean([top_heads(importance, share=0.3, seed=s) for s in range(800)], axis=0)
    np.testing.assert_allclose(drawn, membership(importance, share=0.3), atol=0.08)


def test_equal_heads_come_in_no_order() -> None:
    importance = np.array([0.0, 3, 3, 3, np.nan, 1])
    orders = [ranked(importance, seed=s).tolist() for s in range(30)]
    assert {tuple(sorted(order[:3])) for order in orders} == {(1, 2, 3)}
    assert all(order[3:] == [5, 0] for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert ranked(importance, seed=3).tolist() == orders[3]
    # The same seed, another map: its ties are broken another way.
    alike = [ranked(np.array([1.0 + i, 0, 0, 0, 0, 0, 0, 0]), seed=0).tolist() for i in range(20)]
    assert len({tuple(order) for order in alike}) > 15


def test_what_has_no_top_set_is_refused() -> None:
    flat, full = np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)
    for call in (lambda: membership(flat), lambda: top_heads(flat), lambda: overlap({"code": full, "prose": flat})):
        with pytest.raises(ComparisonError, match="all 16 heads have the same importance, 0"):
            call()
    with pytest.raises(ComparisonError, match="^prose: "):
        overlap({"code": full, "prose": flat})
    with pytest.raises(ComparisonError, match="share=1.5"):
        top_size(16, 1.5)


def test_jaccard_of_memberships_is_the_mean_over_tie_breaks() -> None:
    """Of four heads that tie for two places, over all draws of both domains: shared over either, in expectation."""
    one, other = np.array([[9.0, 1, 1, 1, 1, 0]]), np.array([[1.0, 1, 1, 1, 9, 0]])
    sets = [{0, *pair} for pair in combinations(range(1, 5), 2)], [{4, *pair} for pair in combinations(range(4), 2)]
    shared = np.mean([len(a & b) for a in sets[0] for b in sets[1]])
    assert jaccard(membership(one, share=0.5), membership(other, share=0.5)) == pytest.approx(shared / (6 - shared))
    found = overlap({"a": one, "b": other}, share=0.5, n_permutations=20)
    assert found.pairs["jaccard"].item() == pytest.approx(shared / (6 - shared))
    assert found.top.sum(axis=(1, 2)).tolist() == [1, 1]
    assert not found.universal.any()


def test_agreement_does_not_come_from_ties() -> None:
    """Two methods that each move other heads of many that do nothing agree no more than chance."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(60):
        falls = [rng.binomial(1, 0.02, size=(6, 6, 12)).astype(float) for _ in range(2)]
        values.append(agreement(*falls, documents=np.arange(12).astype(str), n_resamples=2).jaccard.value)
    assert np.mean(values) == pytest.approx(expected_jaccard(36, 7, 7), abs=0.03)
    constant = np.zeros((6, 6, 12))
    found = agreement(constant, rng.random((6, 6, 12)), documents=np.arange(12).astype(str), n_resamples=5)
    assert np.isnan([found.jaccard.value, found.spearman.value, found.jaccard.low]).all()
    with pytest.raises(ComparisonError, match="0 heads"):
        agreement(constant * np.nan, constant, documents=np.arange(12).astype(str))


def test_top_of_an_ablation(windows: Windows) -> None:
    shape = (2, 3, len(windows))
    log_prob = np.zeros(shape)
    log_prob[1, 2] = -1.0
    log_prob[0, 0] = np.nan
    ablation = HeadAblation(
        windows=windows,
        method="zero",
        log_prob_clean=np.zeros(len(windows)),
        log_prob=log_prob,
        memorized_clean=np.ones(len(windows), dtype=bool),
        memorized=np.ones(shape, dtype=bool),
        score_clean=np.full(len(windows), np.nan),
        score=np.full(shape, np.nan),
        provenance=Provenance("ablate_heads", "m", "w", len(windows), {}, "float32", "cpu"),
    )
    tops = [tuple(ablation.top(3, seed=s)) for s in range(30)]
    assert all(top[0] == (1, 2) and (0, 0) not in top for top in tops)
    assert len(set(tops)) > 4
    assert len(ablation.top(99)) == 5
    with pytest.raises(ValueError, match="k=0"):
        ablation.top(0)


def rejects_no_more_than_it_says(p_values: list[float]) -> None:
    """P(p <= 0.05) is 0.05 at most: more would be seen by chance once in a thousand simulations."""
    p = np.asarray(p_values)
    assert (p > 0).all()
    for level in (0.05, 0.2):
        found = int((p <= level + 1e-12).sum())
        assert binomtest(found, len(p), level, alternative="greater").pvalue > 1e-3, f"{found} of {len(p)} at {level}"


MAPS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "no ties": lambda rng: rng.normal(size=(4, 5)),
    "nearly all tie": lambda rng: rng.permutation([1.0, 1, *[0.0] * 18]).reshape(4, 5),
    "ties across the last place": lambda rng: rng.binomial(8, 0.15, size=(4, 5)).astype(float),
    "few heads": lambda rng: np.arange(4.0)[rng.permutation(4)].reshape(2, 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", MAPS)
def test_overlap_of_independent_domains(kind: str) -> None:
    rng = np.random.default_rng(1)
    pairs, everywhere, jaccards, expected = [], [], [], []
    for seed in range(100):
        found = overlap({domain: MAPS[kind](rng) for domain in "abc"}, n_permutations=59, seed=seed)
        pairs.append(found.pairs["p_all_heads"].iloc[0])
        everywhere.append(found.universal_p["all_heads"])
        jaccards.append(found.pairs["jaccard"].mean())
        expected.append(found.pairs["expected_all_heads"].iloc[0])
    rejects_no_more_than_it_says(pairs)
    rejects_no_more_than_it_says(everywhere)
    assert np.mean(jaccards) == pytest.approx(np.mean(expected), abs=0.02)


def test_overlap_within_layers_of_domains_that_share_layers_alone() -> None:
    """The first layers matter more in each domain, which heads of them is chance; importance has many ties."""
    rng, p_values = np.random.default_rng(2), []
    for seed in range(120):
        maps = {d: rng.binomial(6, np.linspace(0.5, 0.02, 5)[:, None], size=(5, 5)).astype(float) for d in "ab"}
        found = overlap(maps, n_permutations=59, seed=seed)
        p_values.append(found.pairs["p_within_layers"].item())
    rejects_no_more_than_it_says(p_values)


@pytest.mark.parametrize("in_strata", [False, True])
@pytest.mark.parametrize("families", ["aabbcc", "aaabc", "aab", "aabb"])
def test_families_of_random_maps(families: str, in_strata: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of a stratum are alike, families are not; unbalanced, few, with assignments that say nothing."""
    monkeypatch.setattr(similarity, "bootstrap", lambda *_, **__: NOT_MEASURED)
    rng, p_values = np.random.default_rng(3), []
    names = [f"{family}{i}" for i, family in enumerate(families)]
    strata = {name: families[:i].count(name[0]) for i, name in enumerate(names)}
    shapes = np.eye(len(names))[:, :, None] * np.ones((1, 1, 3))
    for seed in range(120):
        maps = {name: rng.random((len(names), 3)) + (3 * shapes[strata[name]] if in_strata else 0) for name in names}
        found = family_similarity(
            maps, {n: n[0] for n in names}, strata=strata if in_strata else None, n_permutations=79, seed=seed
        )
        p_values.append(found.p_value)
    rejects_no_more_than_it_says(p_values)


def test_a_profile_that_vanishes_is_refused() -> None:
    maps = {f"{f}{i}": np.random.default_rng(i).random((4, 4)) for i, f in enumerate("aabb")}
    cancelling = maps | {"a0": np.tile([1.0, -1, 2, -2], (4, 1))}
    with pytest.raises(ComparisonError, match="depth profile of a0 is 0 throughout"):
        family_similarity(cancelling, {name: name[0] for name in maps})
    assert family_similarity(
        cancelling, {n: n[0] for n in maps}, representation="sorted", n_permutations=9
    ).p_value > 0  # fmt: skip
    with pytest.raises(ComparisonError, match="infinite"):
        family_similarity(maps | {"a0": np.full((4, 4), np.inf)}, {name: name[0] for name in maps})


def test_no_top_set_reaches_the_table() -> None:
    """The table of pairs holds numbers alone, also where most heads tie."""
    rng = np.random.default_rng(4)
    found = overlap({d: rng.binomial(8, 0.05, size=(6, 6)) / 8 for d in "abc"}, n_permutations=20)
    assert isinstance(found.to_frame(), pd.DataFrame)
    assert found.pairs.notna().all(axis=None)
    np.testing.assert_allclose(found.membership.sum(axis=(1, 2)), 7)
