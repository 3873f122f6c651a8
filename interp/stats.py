"""Estimates with intervals. Every interval of the suite is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from statsmodels.stats.proportion import proportion_confint

from interp.seeds import generator

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


def _cluster_draws(n_clusters: int, *, seed: int, n_resamples: int) -> Iterator[Int[np.ndarray, " cluster"]]:
    """Clusters of each resample, drawn with replacement; one at a time, so that memory does not grow."""
    rng = generator(seed)
    for _ in range(n_resamples):
        yield rng.integers(n_clusters, size=n_clusters)


def _cluster_codes(clusters: Shaped[np.ndarray, " sample"]) -> Int[np.ndarray, " sample"]:
    # Only the distinct names are compared as strings: sorting all of them takes most of a large table's time.
    codes, names = pd.factorize(clusters)
    return np.unique(names.astype(str), return_inverse=True)[1][codes]


def from_resamples(value: float, drawn: Float[np.ndarray, " resample"], *, n: int, n_clusters: int) -> Estimate:
    """A statistic with the percentile interval of its values in the resamples.

    Resamples in which the statistic is NaN are left out; infinite ones (a ratio to nothing, a threshold that is
    not reached) are kept, and an end of the interval may then be infinite.
    """
    kept = drawn[~np.isnan(drawn)]
    if n_clusters < 2 or len(kept) == 0:
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    tail = 100 * (1 - LEVEL) / 2
    if np.isfinite(kept).all():
        low, high = np.percentile(kept, [tail, 100 - tail])
    else:  # between infinities there is nothing to interpolate
        low, high = np.percentile(kept, tail, method="lower"), np.percentile(kept, 100 - tail, method="higher")
    return Estimate(value, float(low), float(high), n, n_clusters)


def resampled_means(
    values: Float[np.ndarray, "sample column"],
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> tuple[Float[np.ndarray, "resample column"], Float[np.ndarray, "resample column"]]:
    """Means of the columns in each bootstrap resample, the same samples drawn for all columns.

    A statistic of several means (a slope over models, a ratio of two) is computed on each row and given its
    interval by ``from_resamples``. Works on sums by cluster: the time does not grow with the samples.

    Args:
        values: one row a sample; NaN where a sample was not measured in a column, and is not counted there.
        seed: fixes the resamples.
        clusters: the document of each sample; whole documents are drawn.
        n_resamples: number of resamples.

    Returns:
        Means, NaN where a column has nothing in a resample, and the samples that each rests on.
    """
    codes = np.arange(len(values)) if clusters is None else _cluster_codes(clusters)
    n_clusters = int(codes.max()) + 1 if len(codes) else 0
    measured = ~np.isnan(values)
    sums, sizes = np.zeros((n_clusters, values.shape[1])), np.zeros((n_clusters, values.shape[1]))
    np.add.at(sums, codes, np.where(measured, values, 0.0))
    np.add.at(sizes, codes, measured.astype(np.float64))
    return resampled_means_of_sums(sums, sizes, seed=seed, n_resamples=n_resamples)


def resampled_means_of_sums(
    sums: Float[np.ndarray, "cluster column"],
    sizes: Float[np.ndarray, "cluster column"],
    *,
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> tuple[Float[np.ndarray, "resample column"], Float[np.ndarray, "resample column"]]:
    """``resampled_means`` from each cluster's sums and numbers of samples, which need never be in memory together."""
    n_clusters, n_columns = sums.shape
    totals, counts = np.zeros((n_resamples, n_columns)), np.zeros((n_resamples, n_columns))
    for i, draw in enumerate(_cluster_draws(n_clusters, seed=seed, n_resamples=n_resamples)):
        weights = np.bincount(draw, minlength=n_clusters)
        totals[i], counts[i] = weights @ sums, weights @ sizes
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0), counts


def resample_weights(
    clusters: Shaped[np.ndarray, " sample"], *, seed: int, n_resamples: int = N_RESAMPLES
) -> Iterator[Float[np.ndarray, " sample"]]:
    """How often each sample stands in each bootstrap resample of whole clusters: for weighted statistics.

    The same draws as ``bootstrap`` and ``resampled_means`` with the same seed.
    """
    codes = _cluster_codes(clusters)
    n_clusters = int(codes.max()) + 1
    for draw in _cluster_draws(n_clusters, seed=seed, n_resamples=n_resamples):
        yield np.bincount(draw, minlength=n_clusters).astype(np.float64)[codes]


def bootstrap(
    statistic: Callable[[Int[np.ndarray, " sample"]], float],
    n: int,
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Percentile bootstrap (Efron and Tibshirani 1993, ch. 13) of any statistic, by cluster where windows go together.

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
    codes = np.arange(n) if clusters is None else _cluster_codes(clusters)
    n_clusters = int(codes.max()) + 1
    value = float(statistic(np.arange(n)))
    if n_clusters < 2:
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    draws = _cluster_draws(n_clusters, seed=seed, n_resamples=n_resamples)
    drawn = np.array([statistic(np.concatenate([members[c] for c in draw])) for draw in draws], dtype=np.float64)
    return from_resamples(value, drawn, n=n, n_clusters=n_clusters)


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
    if len(kept) == 0:
        return NOT_MEASURED
    groups = None if clusters is None else clusters[measured]
    n_clusters = len(kept) if groups is None else len(np.unique(groups.astype(str)))
    means, _ = resampled_means(kept[:, None], seed=seed, clusters=groups, n_resamples=n_resamples)
    return from_resamples(float(kept.mean()), means[:, 0], n=len(kept), n_clusters=n_clusters)


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
