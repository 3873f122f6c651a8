"""Overlap of important heads: do different kinds of memorized text rest on the same heads?

The top set of a domain is its 20 % most important heads; two domains are compared by the Jaccard index of their sets,
and universal heads are in the top set of every domain (method.md, "overlap"; arXiv 2603.21658, internal level: 1 to
5 %). Random sets of 20 % have an expected Jaccard of about 0.11, so each value stands beside what chance gives (ours),
in two forms: sets drawn from all heads, and sets drawn within layers, each domain keeping how many heads of each layer
it has. The second asks whether the same heads are shared, and not only the same layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import hypergeom

from interp.errors import InterpError
from interp.stats import Estimate, wilson

Null = Literal["all_heads", "within_layers"]
Importance = Float[np.ndarray, "layer head"]


class ComparisonError(InterpError, ValueError):
    """Importances that cannot be compared."""


def top_heads(importance: Importance, *, share: float = 0.2) -> Bool[np.ndarray, "layer head"]:
    """The most important heads: ``share`` of all, rounded, at least one. Of equal ones the first in order.

    Raises:
        ComparisonError: a share outside 0 to 1, or a head whose importance was not measured.
    """
    if not 0 < share <= 1:
        raise ComparisonError(f"share={share} is not a share of the heads: give a number above 0, at most 1")
    if np.isnan(importance).any():
        layer, head = (int(i) for i in np.argwhere(np.isnan(importance))[0])
        raise ComparisonError(f"head {head} of layer {layer} was not measured (NaN); rank only complete maps")
    n_top = max(1, round(share * importance.size))
    order = np.argsort(-importance, axis=None, kind="stable")
    top = np.zeros(importance.size, dtype=bool)
    top[order[:n_top]] = True
    return top.reshape(importance.shape)


def jaccard(one: Bool[np.ndarray, "layer head"], other: Bool[np.ndarray, "layer head"]) -> float:
    """Heads in both sets over heads in either, 0 to 1; NaN if both are empty."""
    either = int((one | other).sum())
    return float((one & other).sum()) / either if either else float("nan")


def expected_jaccard(n_heads: int, n_one: int, n_other: int) -> float:
    """Exact expected Jaccard of two random sets of these sizes among ``n_heads`` heads."""
    shared = np.arange(min(n_one, n_other) + 1)
    return float((hypergeom.pmf(shared, n_heads, n_one, n_other) * shared / (n_one + n_other - shared)).sum())


@dataclass(frozen=True)
class Overlap:
    """Top sets of several domains of one model, compared."""

    domains: tuple[str, ...]
    top: Bool[np.ndarray, "domain layer head"]
    share: float
    pairs: pd.DataFrame
    """One row a pair: ``one``, ``other``, ``jaccard``, and for each null ``expected_<null>`` and ``p_<null>``, the
    share of random sets with at least that Jaccard."""
    universal: Bool[np.ndarray, "layer head"]
    """In the top set of every domain."""
    universal_share: Estimate
    """Share of all heads, 0 to 1, with Wilson's interval over heads."""
    universal_expected: dict[Null, float]
    """The same share for random sets."""
    universal_p: dict[Null, float]
    """Share of random sets with at least as many universal heads."""

    def to_frame(self) -> pd.DataFrame:
        """The pairs."""
        return self.pairs


def _jaccards(top: Bool[np.ndarray, "domain layer head"]) -> Float[np.ndarray, "domain domain"]:
    """``jaccard`` of every two domains."""
    flat = top.reshape(len(top), -1).astype(np.float64)
    both = flat @ flat.T
    sizes = flat.sum(axis=1)
    return both / (sizes[:, None] + sizes[None, :] - both)


def _shuffled(
    top: Bool[np.ndarray, "domain layer head"], null: Null, rng: np.random.Generator
) -> Bool[np.ndarray, "domain layer head"]:
    if null == "within_layers":
        return rng.permuted(top, axis=2)
    return rng.permuted(top.reshape(len(top), -1), axis=1).reshape(top.shape)


def overlap(
    importance: Mapping[str, Importance], *, share: float = 0.2, n_permutations: int = 2000, seed: int = 0
) -> Overlap:
    """Compare the top heads of several domains of one model.

    Args:
        importance: importance of each head, by domain.
        share: of the heads that make a top set.
        n_permutations: random top sets behind each p-value; the observed ones count as one more, so none is 0.
        seed: of the random sets.

    Raises:
        ComparisonError: fewer than two domains, maps of different shapes, or a head that was not measured.
    """
    if len(importance) < 2:
        raise ComparisonError(f"an overlap needs two domains, there is {list(importance)}")
    shapes = {name: values.shape for name, values in importance.items()}
    if len(set(shapes.values())) > 1:
        raise ComparisonError(
            f"importance maps of different shapes (layers, heads): {shapes}; compare within one model"
        )
    domains = tuple(importance)
    top = np.stack([top_heads(values, share=share) for values in importance.values()])
    one, other = np.triu_indices(len(domains), 1)
    observed = _jaccards(top)[one, other]
    universal = np.asarray(top.all(axis=0))
    names = np.asarray(domains)
    table = pd.DataFrame({"one": names[one], "other": names[other], "jaccard": observed})
    expected: dict[Null, float] = {}
    p: dict[Null, float] = {}
    nulls: tuple[Null, ...] = ("all_heads", "within_layers")
    for null in nulls:
        rng = np.random.default_rng(seed)
        drawn, shared = np.empty((n_permutations, len(one))), np.empty(n_permutations)
        for i in range(n_permutations):
            random = _shuffled(top, null, rng)
            drawn[i] = _jaccards(random)[one, other]
            shared[i] = random.all(axis=0).sum()
        table[f"expected_{null}"] = drawn.mean(axis=0)
        # Jaccards of sets of one size take few values, and equal ones must not differ by rounding.
        table[f"p_{null}"] = ((drawn >= observed - 1e-12).sum(axis=0) + 1) / (n_permutations + 1)
        expected[null] = float(shared.mean()) / universal.size
        p[null] = (int((shared >= universal.sum()).sum()) + 1) / (n_permutations + 1)
    # Over all heads both expectations are known exactly.
    n_top = int(top[0].sum())
    table["expected_all_heads"] = expected_jaccard(universal.size, n_top, n_top)
    expected["all_heads"] = (n_top / universal.size) ** len(domains)
    return Overlap(
        domains=domains,
        top=top,
        share=share,
        pairs=table,
        universal=universal,
        universal_share=wilson(int(universal.sum()), universal.size),
        universal_expected=expected,
        universal_p=p,
    )
