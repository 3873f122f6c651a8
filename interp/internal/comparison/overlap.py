"""Overlap of important heads: do different kinds of memorized text use the same heads?

The top set of a domain is its 20 % most important heads. Two domains are compared by the Jaccard index of their top
sets. Universal heads are in the top set of every domain (definitions, "overlap"; arXiv 2603.21658, internal level: 1 to
5 %). Random sets of 20 % have an expected Jaccard index of about 0.11, so each value is given beside that of random
sets (ours). There are two kinds: sets drawn from all heads, and sets drawn within layers, which keep each domain's
number of heads per layer. The second kind tests whether domains share heads, and not only layers.

Heads that tie for the last places of a top set are members with a probability (``interp.stats.ranks``). The Jaccard
index is then that of the expected numbers: shared heads over heads in either set, with ties broken at random and
independently in each domain. The random sets of the p-values carry the same probabilities, assigned to other heads. A
p-value counts the observed sets among the random ones, so it is never 0 (Phipson and Smyth 2010). (Ours.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from scipy.stats import hypergeom

from interp.results import Result
from interp.seeds import generator
from interp.stats.estimates import Estimate, wilson
from interp.stats.ranks import ComparisonError, Importance, membership, top_heads

__all__ = ["ComparisonError", "Importance", "Overlap", "expected_jaccard", "jaccard", "overlap", "top_heads"]

Null = Literal["all_heads", "within_layers"]


def jaccard(one: Shaped[np.ndarray, "*heads"], other: Shaped[np.ndarray, "*heads"]) -> float:
    """Heads in both sets over heads in either, 0 to 1, for sets or memberships. NaN if both are empty."""
    both = float((one * 1.0 * other).sum())
    either = float(one.sum() + other.sum()) - both
    return both / either if either else float("nan")


def expected_jaccard(n_heads: int, n_one: int, n_other: int) -> float:
    """Exact expected Jaccard index of two random sets of these sizes among ``n_heads`` heads."""
    shared = np.arange(min(n_one, n_other) + 1)
    return float((hypergeom.pmf(shared, n_heads, n_one, n_other) * shared / (n_one + n_other - shared)).sum())


@dataclass(frozen=True, repr=False, eq=False)
class Overlap(Result):
    """Comparison of the top sets of several domains of one model."""

    domains: tuple[str, ...]
    membership: Float[np.ndarray, "domain layer head"]
    """Probability that each head is in the domain's top set: 1 or 0, or between if heads tie for the last places."""
    share: float
    pairs: pd.DataFrame
    """One row per pair: ``one``, ``other``, ``jaccard``, and for each null ``expected_<null>`` and ``p_<null>``, the
    share of random sets with at least that Jaccard index."""
    universal: Bool[np.ndarray, "layer head"]
    """Whether a head is in the top set of every domain, however ties are broken."""
    universal_share: Estimate
    """Share of universal heads, 0 to 1, with Wilson's interval over heads."""
    universal_expected: dict[Null, float]
    """The same share for random sets."""
    universal_p: dict[Null, float]
    """Share of random sets with at least as many universal heads."""

    @property
    def top(self) -> Bool[np.ndarray, "domain layer head"]:
        """Heads in the domain's top set, however ties are broken."""
        return _sure(self.membership)

    def to_frame(self) -> pd.DataFrame:
        """The pairs."""
        return self.pairs


def _jaccards(member: Float[np.ndarray, "domain layer head"]) -> Float[np.ndarray, "domain domain"]:
    """``jaccard`` of every pair of domains."""
    flat = member.reshape(len(member), -1)
    both = flat @ flat.T
    sizes = flat.sum(axis=1)
    return both / (sizes[:, None] + sizes[None, :] - both)


def _shuffled(
    member: Float[np.ndarray, "domain layer head"], null: Null, rng: np.random.Generator
) -> Float[np.ndarray, "domain layer head"]:
    if null == "within_layers":
        return rng.permuted(member, axis=2)
    return rng.permuted(member.reshape(len(member), -1), axis=1).reshape(member.shape)


def _sure(member: Float[np.ndarray, "*heads"]) -> Bool[np.ndarray, "*heads"]:
    """Heads in the top set however ties are broken."""
    return member == 1


def _in_all(member: Float[np.ndarray, "domain layer head"]) -> Bool[np.ndarray, "layer head"]:
    return np.asarray(_sure(member).all(axis=0))


def overlap(
    importance: Mapping[str, Importance], *, share: float = 0.2, n_permutations: int = 2000, seed: int = 0
) -> Overlap:
    """Compare the top heads of several domains of one model.

    Args:
        importance: importance of each head, by domain.
        share: share of the heads in a top set.
        n_permutations: random top sets behind each p-value. The observed sets are added, so no p-value is 0.
        seed: seed of the random sets.

    Raises:
        ComparisonError: there are fewer than two domains, maps differ in shape, a head was not measured, or all heads
            of a map have the same importance.
    """
    if len(importance) < 2:
        raise ComparisonError(f"an overlap needs two domains, not {list(importance)}")
    shapes = {name: values.shape for name, values in importance.items()}
    if len(set(shapes.values())) > 1:
        raise ComparisonError(
            f"importance maps of different shapes (layers, heads): {shapes}; compare within one model"
        )
    domains = tuple(importance)
    member = np.stack([_member(name, values, share) for name, values in importance.items()])
    one, other = np.triu_indices(len(domains), 1)
    observed = _jaccards(member)[one, other]
    universal = _in_all(member)
    names = np.asarray(domains)
    table = pd.DataFrame({"one": names[one], "other": names[other], "jaccard": observed})
    expected: dict[Null, float] = {}
    p: dict[Null, float] = {}
    nulls: tuple[Null, ...] = ("all_heads", "within_layers")
    for null in nulls:
        rng = generator(seed)
        drawn, shared = np.empty((n_permutations, len(one))), np.empty(n_permutations)
        for i in range(n_permutations):
            random = _shuffled(member, null, rng)
            drawn[i] = _jaccards(random)[one, other]
            shared[i] = _in_all(random).sum()
        table[f"expected_{null}"] = drawn.mean(axis=0)
        # Jaccard indices of sets of one size take few values. Equal ones must not differ by rounding.
        table[f"p_{null}"] = ((drawn >= observed - 1e-9).sum(axis=0) + 1) / (n_permutations + 1)
        expected[null] = float(shared.mean()) / universal.size
        p[null] = (int((shared >= universal.sum()).sum()) + 1) / (n_permutations + 1)
    # Over all heads, both expectations are known exactly.
    n_top = round(float(member[0].sum()))
    table["expected_all_heads"] = expected_jaccard(universal.size, n_top, n_top)
    expected["all_heads"] = float(_sure(member).mean(axis=(1, 2)).prod())
    return Overlap(
        domains=domains,
        membership=member,
        share=share,
        pairs=table,
        universal=universal,
        universal_share=wilson(int(universal.sum()), universal.size),
        universal_expected=expected,
        universal_p=p,
    )


def _member(domain: str, importance: Importance, share: float) -> Float[np.ndarray, "layer head"]:
    try:
        return membership(importance, share=share)
    except ComparisonError as error:
        raise ComparisonError(f"{domain}: {error}") from None
