"""Estimates with intervals. Every interval of the suite is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
"""Coverage of every interval."""

N_RESAMPLES = 1000
"""Bootstrap resamples, unless a caller asks for others."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. NaN in ``low`` and ``high`` says that no interval can be given."""

    value: float
    low: float
    high: float
    n: int
    """Windows (or whatever was sampled) that it rests on."""
    n_clusters: int
    """Independent units among them: documents, or ``n`` where each stands alone."""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"interval from {self.low} to {self.high} is upside down")

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


NOT_MEASURED = Estimate(math.nan, math.nan, math.nan, 0, 0)


def wilson(successes: int, n: int) -> Estimate:
    """Share of successes with the Wilson score interval (Wilson 1927), 95 %. NaN where n is 0.

    Raises:
        ValueError: more successes than trials, or a negative number.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials cannot be")
    if n == 0:
        return NOT_MEASURED
    low, high = proportion_confint(successes, n, alpha=1 - LEVEL, method="wilson")
    return Estimate(successes / n, float(low), float(high), n, n)


def _cluster_resamples(
    clusters: Shaped[np.ndarray, " sample"], *, seed: int, n_resamples: int
) -> list[Int[np.ndarray, " resampled"]]:
    """Positions of samples in each resample: whole clusters drawn with replacement."""
    _, codes = np.unique(clusters.astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(members), size=(n_resamples, len(members)))
    return [np.concatenate([members[c] for c in draw]) for draw in draws]


def bootstrap(
    statistic: Callable[[Int[np.ndarray, " sample"]], float],
    n: int,
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Percentile bootstrap (Efron and Tibshirani 1993, ch. 13) of any statistic, by cluster where windows are not independent.

    Args:
        statistic: takes the positions of the samples to use, each possibly several times.
        n: number of samples.
        seed: fixes the resamples.
        clusters: the document of each sample; whole documents are drawn. Each sample alone unless given.
        n_resamples: number of resamples.

    Returns:
        The statistic on all samples with its 95 % interval; the interval is NaN with fewer than two clusters.
        Resamples in which the statistic is NaN are left out.
    """
    if n == 0:
        return NOT_MEASURED
    groups = np.arange(n) if clusters is None else clusters
    n_clusters = len(np.unique(groups.astype(str)))
    value = float(statistic(np.arange(n)))
    if n_clusters < 2:
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    resamples = _cluster_resamples(groups, seed=seed, n_resamples=n_resamples)
    drawn = np.array([statistic(positions) for positions in resamples], dtype=np.float64)
    if np.isnan(drawn).all():
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Estimate(value, float(low), float(high), n, n_clusters)


def bootstrap_mean(
    values: Float[np.ndarray, " sample"],
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Mean of the values that were measured (NaN is skipped), with a bootstrap interval."""
    measured = ~np.isnan(values)
    kept = values[measured]
    groups = None if clusters is None else clusters[measured]
    return bootstrap(lambda i: float(kept[i].mean()), len(kept), seed=seed, clusters=groups, n_resamples=n_resamples)


def clustered_rate(
    memorized: Bool[np.ndarray, " sample"], *, clusters: Shaped[np.ndarray, " sample"], seed: int
) -> Estimate:
    """Share of true values, its interval by whichever of Wilson and the clustered bootstrap is wider.

    The bootstrap gives [0, 0] where nothing is true, which is not what is known; Wilson ignores that windows of
    one document go together. The wider of the two errs on neither side. (Ours.)
    """
    plain = wilson(int(memorized.sum()), len(memorized))
    grouped = bootstrap_mean(memorized.astype(np.float64), seed=seed, clusters=clusters)
    low = plain.low if math.isnan(grouped.low) else min(plain.low, grouped.low)
    high = plain.high if math.isnan(grouped.high) else max(plain.high, grouped.high)
    return Estimate(plain.value, low, high, plain.n, grouped.n_clusters)
