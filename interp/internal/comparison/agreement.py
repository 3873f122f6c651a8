"""Agreement of two importance maps of one model: the estimate with the exact sweep, or two ablation methods.

Measures Spearman's rank correlation over heads, and the Jaccard index of the two top sets (20 % of the heads) beside
its value for random sets. The interval is over documents: both maps are averaged over the same resampled windows
(ours). Resampling repeats documents, and repeats inflate agreement. With few documents the interval is biased upward
and may lie wholly above the estimate. Ties count as in ``interp.stats.ranks``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import rankdata

from interp.internal.comparison.overlap import expected_jaccard, jaccard
from interp.results import Result
from interp.stats.columns import estimates_frame
from interp.stats.estimates import Estimate, from_resamples, resampled_means, resting_on
from interp.stats.ranks import ComparisonError, membership, top_size


@dataclass(frozen=True, repr=False, eq=False)
class Agreement(Result):
    """Agreement of two maps of the same heads."""

    spearman: Estimate
    """Rank correlation of the importances, -1 to 1. NaN if a map is constant."""
    jaccard: Estimate
    """Jaccard index of the two top sets, 0 to 1. NaN if a map is constant."""
    expected_jaccard: float
    """Expected Jaccard index of two random sets of that size."""
    share: float
    """Share of the heads in a top set."""
    n_heads: int

    def to_frame(self) -> pd.DataFrame:
        """One row per ``statistic`` (``spearman``, ``jaccard``): an estimate, ``by_chance`` and ``n_heads``."""
        frame = estimates_frame([self.spearman, self.jaccard])
        frame.insert(0, "statistic", ["spearman", "jaccard"])
        return frame.assign(by_chance=[0.0, self.expected_jaccard], n_heads=self.n_heads)


def agreement(
    one: Float[np.ndarray, "layer head window"],
    other: Float[np.ndarray, "layer head window"],
    *,
    documents: Shaped[np.ndarray, " window"],
    share: float = 0.2,
    seed: int = 0,
    n_resamples: int | None = None,
) -> Agreement:
    """Compare the mean falls of two maps on the same windows, over the heads measured in both.

    Args:
        one: fall of each window for each head (``HeadAblation.falls``, ``HeadEstimate.fall``); NaN if not measured.
        other: the same from another method.
        documents: the document of each window.
        share: share of the heads in a top set.
        seed: fixes the resamples.
        n_resamples: number of resamples. By default it follows from the number of documents.

    Raises:
        ComparisonError: the maps differ in shape, fewer than two heads are in both, there is no window, or ``share`` is
            outside 0 to 1.
    """
    if one.shape != other.shape or one.shape[-1] != len(documents):
        raise ComparisonError(
            f"maps of shapes {one.shape} and {other.shape} (layers, heads, windows) and {len(documents)} documents; "
            "compare maps of one model on the same windows"
        )
    both = ~(np.isnan(one).any(axis=-1) | np.isnan(other).any(axis=-1))
    n_heads = int(both.sum())
    if n_heads < 2 or len(documents) == 0:
        raise ComparisonError(
            f"{n_heads} heads were measured in both maps, on {len(documents)} windows; at least two and one are needed"
        )
    n_top = top_size(n_heads, share)
    falls = np.concatenate([one[both], other[both]])
    means, _ = resampled_means(falls.T, seed=seed, clusters=documents, n_resamples=n_resamples)
    pairs = [(row[:n_heads], row[n_heads:]) for row in (falls.mean(axis=1), *means)]
    ranks, overlaps = (
        np.array([_spearman(*pair) for pair in pairs]),
        np.array([_overlap(*pair, share) for pair in pairs]),
    )
    rests_on = resting_on(documents)
    return Agreement(
        spearman=from_resamples(float(ranks[0]), ranks[1:], **rests_on),
        jaccard=from_resamples(float(overlaps[0]), overlaps[1:], **rests_on),
        expected_jaccard=expected_jaccard(n_heads, n_top, n_top),
        share=share,
        n_heads=n_heads,
    )


def _spearman(one: Float[np.ndarray, " head"], other: Float[np.ndarray, " head"]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _overlap(one: Float[np.ndarray, " head"], other: Float[np.ndarray, " head"], share: float) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return jaccard(membership(one, share=share), membership(other, share=share))
