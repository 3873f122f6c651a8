"""Estimates with intervals. All intervals of the suite are computed here.

Windows of one document are correlated, so the bootstrap resamples whole documents (bootstrap by cluster; Efron and
Tibshirani 1993, ch. 13; Cameron and Miller 2015). The resamples give an interval in one of two ways, both corrected for
few documents:

- A mean, a slope, a ratio: the expanded percentile interval (Hesterberg 2015, "What Teachers Should Know About the
  Bootstrap", The American Statistician 69(4), sec. 4 and 5). Resamples vary too little, by sqrt((G - 1) / G) for G
  documents, and a normal quantile stands where Student's belongs. Percentiles further out than 2.5 % correct both.
- A share: the Wilson interval at the effective number of outcomes: p (1 - p) over the variance of the resamples, at
  most the true number, reduced by the ratio of two Student quantiles (Korn and Graubard 1998, Survey Methodology 24(2);
  with Wilson's interval instead of Clopper and Pearson's as in Dean and Pagano 2015, Journal of Survey Statistics and
  Methodology 3(4)). Its width is never 0. If all resamples agree, they say nothing about the correlation within
  documents. Each document then counts as one outcome, the cautious choice (ours).

Both use Student's quantile. Its degrees of freedom are those of the effective number of documents, which is smaller if
some documents hold many more samples than others (Satterthwaite 1946; Carter, Schnepel and Steigerwald 2017,
"Asymptotic Behavior of a t-Test Robust to Cluster Heterogeneity", Review of Economics and Statistics 99(4)).

Fewer than ``MIN_CLUSTERS`` documents give no interval: the ends are NaN. The ends of a share are then 0 and 1, which
always hold. From there on, simulated coverage is 0.90 or more, with two exceptions: means of very skewed documents
(log-normal: 0.82 to 0.92) and shares that a few documents dominate (beta(0.2, 2): 0.85 to 0.92).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from scipy.sparse import csr_array
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint

from interp.seeds import generator

LEVEL = 0.95
"""Coverage of every interval."""

MIN_CLUSTERS = 5
"""Smallest number of documents that gives an interval."""

N_RESAMPLES = 1000
"""Bootstrap resamples if there are many documents; see ``resamples_for``."""

BEYOND = 10
"""Smallest number of resamples beyond each end of an interval."""

DRAWN_AT_ONCE = 5_000_000
"""Clusters drawn at a time: 120 MiB, or 50 resamples of 100,000 clusters. Matrix products of fewer rows take longer per
row (one row: 14 times as long)."""

MAX_UNDEFINED = 0.01
"""Largest share of resamples in which a statistic may be undefined. Beyond it, the rest would be a biased selection."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. ``low`` and ``high`` are NaN if there is no interval; see ``says_where``."""

    value: float
    low: float
    high: float
    n: int
    """Number of windows (or other samples) that it rests on."""
    n_documents: int
    """Number of independent units among them: documents (or families, or models, where these are resampled)."""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"interval from {self.low} to {self.high} is upside down")

    def __str__(self) -> str:
        """Value and interval to three digits of the largest of them, or the value and why there is no interval."""
        if math.isnan(self.value) and math.isnan(self.low):
            return "not measured"
        numbers = (self.value, self.low, self.high)
        largest = max((abs(x) for x in numbers if math.isfinite(x)), default=0.0)
        decimals = 2 - math.floor(math.log10(largest)) if largest else 0
        value, low, high = (f"{round(x, decimals) + 0:.12g}" if math.isfinite(x) else str(x) for x in numbers)
        return f"{value} [{low}, {high}]" if self.says_where else f"{value} ({no_interval(self.n_documents)})"

    @property
    def says_where(self) -> bool:
        """Whether the interval is informative: neither missing nor a share's whole range, 0 to 1."""
        everything = (self.low, self.high) == (0.0, 1.0) and self.n_documents < MIN_CLUSTERS
        return not (math.isnan(self.low) or everything)


def no_interval(n_clusters: int) -> str:
    """Why an estimate has no interval, in words."""
    return "no interval" + (f": fewer than {MIN_CLUSTERS} documents" if n_clusters < MIN_CLUSTERS else "")


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
    return Estimate(successes / n, *_wilson(successes / n, float(n)), n, n)


def _wilson(share: float, n: float) -> tuple[float, float]:
    low, high = proportion_confint(share * n, n, alpha=1 - LEVEL, method="wilson")
    # If all outcomes are equal, one end is exactly 0 or 1; rounding must not change that.
    return 0.0 if share == 0 else float(low), 1.0 if share == 1 else float(high)


def effective_clusters(sizes: Float[np.ndarray, "cluster ..."]) -> Float[np.ndarray, ...]:
    """Number of equal clusters that would determine a mean's variance as well as these do; at most their number."""
    shares = np.square(sizes)
    total = np.square(shares).sum(axis=0)
    return np.divide(shares.sum(axis=0) ** 2, total, out=np.zeros(np.shape(total)), where=total > 0)


def resting_on(documents: Shaped[np.ndarray, " window"]) -> dict[str, Any]:
    """The arguments ``n``, ``n_clusters`` and ``effective`` of ``from_resamples`` for windows of these documents."""
    sizes = np.bincount(_cluster_codes(documents)).astype(np.float64)
    return {"n": len(documents), "n_clusters": len(sizes), "effective": float(effective_clusters(sizes))}


@cache
def _student(n: float) -> float:
    """Student's quantile for the upper end of an interval from ``n`` independent values."""
    return float(t.ppf((1 + LEVEL) / 2, max(n - 1, 0.5)))


@cache
def _tail(n_clusters: int, effective: float) -> float:
    """Share of the resamples on each side of the interval: 0 to 0.025."""
    return float(norm.cdf(-math.sqrt(n_clusters / (n_clusters - 1)) * _student(effective)))


def resamples_for(n_clusters: int) -> int:
    """Number of resamples that an interval needs. Fewer documents put its ends further out and need more."""
    if n_clusters < MIN_CLUSTERS:
        return N_RESAMPLES
    return max(N_RESAMPLES, math.ceil(BEYOND / _tail(n_clusters, float(n_clusters))))


def _cluster_draws(
    n_clusters: int, *, seed: int, n_resamples: int | None
) -> Iterator[Int[np.ndarray, "resample cluster"]]:
    """Clusters of each resample, drawn with replacement, ``DRAWN_AT_ONCE`` at a time to bound memory."""
    rng = generator(seed)
    left = resamples_for(n_clusters) if n_resamples is None else n_resamples
    while left:
        block = min(left, max(1, DRAWN_AT_ONCE // max(1, n_clusters)))
        yield rng.integers(n_clusters, size=(block, n_clusters))
        left -= block


def _cluster_weights(
    n_clusters: int, *, seed: int, n_resamples: int | None
) -> Iterator[Float[np.ndarray, "resample cluster"]]:
    """How often each cluster is drawn in each resample."""
    for draws in _cluster_draws(n_clusters, seed=seed, n_resamples=n_resamples):
        draws += n_clusters * np.arange(len(draws))[:, None]  # one bin per resample and cluster
        counts = np.bincount(draws.ravel(), minlength=draws.size)
        yield counts.reshape(draws.shape).astype(np.float64)


def _cluster_codes(clusters: Shaped[np.ndarray, " sample"]) -> Int[np.ndarray, " sample"]:
    # Only distinct names are sorted as strings: sorting all rows would dominate the time on a large table.
    codes, names = pd.factorize(clusters)
    return np.unique(names.astype(str), return_inverse=True)[1][codes]


def from_resamples(
    value: float,
    drawn: Float[np.ndarray, " resample"],
    *,
    n: int,
    n_clusters: int,
    effective: float | None = None,
    trials: int = 0,
) -> Estimate:
    """A statistic with its interval, from its values in the resamples; see the module docstring.

    Infinite values (a ratio to 0, a threshold that is not reached) are kept, so an end of the interval can be infinite.
    There is no interval from fewer than ``MIN_CLUSTERS`` clusters, nor if the statistic is NaN in more than
    ``MAX_UNDEFINED`` of the resamples. Fewer NaN are left out.

    Args:
        value: the statistic on the whole sample.
        drawn: the statistic in each resample of clusters.
        n: number of samples.
        n_clusters: number of clusters.
        effective: ``effective_clusters`` of them, if they differ in size. Default: ``n_clusters``.
        trials: number of outcomes behind each sample if the statistic is a share: 1 if each sample is true or false,
            the number of tokens if each is a share of tokens. 0 if the statistic is not a share.

    Raises:
        ValueError: a share outside 0 to 1.
    """
    if trials and not (math.isnan(value) or 0 <= value <= 1):
        raise ValueError(f"{value} is not a share: it must lie between 0 and 1")
    kept = drawn[~np.isnan(drawn)]
    undefined = len(drawn) - len(kept)
    if trials and n_clusters < MIN_CLUSTERS and not math.isnan(value):
        return Estimate(value, 0.0, 1.0, n, n_clusters)
    if n_clusters < MIN_CLUSTERS or undefined > MAX_UNDEFINED * len(drawn) or (trials and math.isnan(value)):
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    known = float(n_clusters if effective is None else effective)
    tail = _tail(n_clusters, known)
    if trials:
        low, high = _wilson(value, _outcomes(value, kept, n=n * trials, n_clusters=n_clusters, effective=known))
    elif np.isfinite(kept).all():
        low, high = np.quantile(kept, [tail, 1 - tail])
    else:  # infinite values cannot be interpolated
        low, high = np.quantile(kept, tail, method="lower"), np.quantile(kept, 1 - tail, method="higher")
    return Estimate(value, float(low), float(high), n, n_clusters)


def _outcomes(
    share: float, drawn: Float[np.ndarray, " resample"], *, n: int, n_clusters: int, effective: float
) -> float:
    """Number of independent outcomes that would make a share as uncertain as its resamples are."""
    if n == n_clusters:
        return float(n)
    variance = float(drawn.var()) * n_clusters / (n_clusters - 1)
    if variance < 1e-15:
        return float(n_clusters)
    return min(share * (1 - share) / variance, n) * (_student(float(n)) / _student(effective)) ** 2


def difference_of_shares(one: Estimate, other: Estimate, drawn: Float[np.ndarray, "resample 2"]) -> Estimate:
    """Difference of two shares of one sample, from the intervals of both. The interval never has width 0.

    This is the square-and-add rule of Newcombe 1998 (Statistics in Medicine 17, 2635) and Zou and Donner 2008
    (Statistics in Medicine 27, 1693), with the correlation of the two shares in the resamples.

    Args:
        one: a share with its interval.
        other: the share that is subtracted.
        drawn: both shares in the same resamples.
    """
    value = one.value - other.value
    if not (one.says_where and other.says_where):
        return Estimate(value, math.nan, math.nan, one.n, one.n_documents)
    spread = drawn[~np.isnan(drawn).any(axis=1)]
    together = float(np.corrcoef(spread.T)[0, 1]) if len(spread) and (np.ptp(spread, axis=0) > 0).all() else 0.0

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(0.0, up**2 + down**2 - 2 * together * up * down))

    low = value - reach(one.value - one.low, other.high - other.value)
    high = value + reach(one.high - one.value, other.value - other.low)
    return Estimate(value, max(low, -1.0), min(high, 1.0), one.n, one.n_documents)


def trials_of(values: Float[np.ndarray, "*shape"]) -> int:
    """1 if all values are 0, 1 or NaN (not measured), so that their mean is a share; otherwise 0."""
    return int(((values == 0) | (values == 1) | np.isnan(values)).all())


def resampled_means(
    values: Float[np.ndarray, "sample column"],
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int | None = None,
) -> tuple[Float[np.ndarray, "resample column"], Float[np.ndarray, "resample column"]]:
    """Means of the columns in each bootstrap resample. All columns use the same resampled clusters.

    A statistic of several means (a slope over models, a ratio of two) is computed on each row; ``from_resamples`` then
    gives its interval. The work is on sums by cluster, so the time does not grow with the number of samples.

    Args:
        values: one row per sample. NaN means not measured, and is not counted in that column.
        seed: fixes the resamples.
        clusters: the document of each sample; the bootstrap resamples whole documents.
        n_resamples: number of resamples. By default it follows from the number of clusters.

    Returns:
        Means, NaN where a column has nothing in a resample, and the samples that each rests on.
    """
    return resampled_means_of_sums(*cluster_sums(values, clusters), seed=seed, n_resamples=n_resamples)


def cluster_sums(
    values: Float[np.ndarray, "sample column"], clusters: Shaped[np.ndarray, " sample"] | None
) -> tuple[Float[np.ndarray, "cluster column"], Float[np.ndarray, "cluster _"]]:
    """Sum and number of the measured values in each cluster. Without clusters, each sample is its own.

    If nothing is missing, the numbers are equal in all columns and are given as one column.
    """
    missing = np.isnan(values)
    if missing.any():
        known, sizes = np.where(missing, 0.0, values), (~missing).astype(np.float64)
    else:
        known, sizes = values.astype(np.float64, copy=False), np.ones((len(values), 1))
    if clusters is None:
        return known, sizes
    codes = _cluster_codes(clusters)
    shape = (int(codes.max(initial=-1)) + 1, len(codes))
    member = csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=shape)
    return member @ known, member @ sizes


def resampled_means_of_sums(
    sums: Float[np.ndarray, "cluster column"],
    sizes: Float[np.ndarray, "cluster _"],
    *,
    seed: int,
    n_resamples: int | None = None,
) -> tuple[Float[np.ndarray, "resample column"], Float[np.ndarray, "resample column"]]:
    """``resampled_means`` from the sum and number of samples in each cluster. The samples need not be in memory."""
    drawn = [(w @ sums, w @ sizes) for w in _cluster_weights(len(sums), seed=seed, n_resamples=n_resamples)]
    totals, counts = (np.concatenate(some) for some in zip(*drawn or [(sums[:0], sizes[:0])], strict=True))
    counts = np.broadcast_to(counts, totals.shape)
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0), counts


def mean_estimates(
    sums: Float[np.ndarray, "cluster column"],
    sizes: Float[np.ndarray, "cluster _"],
    *,
    seed: int,
    trials: int,
    n_resamples: int | None = None,
) -> tuple[list[Estimate], Float[np.ndarray, "resample column"]]:
    """Mean of each column with its interval, and the means in each resample.

    All columns use the same resampled clusters. A column rests on the clusters measured in it. See
    ``resampled_means_of_sums`` and ``from_resamples``.
    """
    means, _ = resampled_means_of_sums(sums, sizes, seed=seed, n_resamples=n_resamples)
    n_columns = sums.shape[1]
    n, n_clusters, effective = (
        np.broadcast_to(each, n_columns)
        for each in (sizes.sum(axis=0), (sizes > 0).sum(axis=0), effective_clusters(sizes))
    )
    value = np.divide(sums.sum(axis=0), n, out=np.full(n_columns, np.nan), where=n > 0)
    estimates = [
        from_resamples(
            float(value[i]),
            drawn,
            n=int(n[i]),
            n_clusters=int(n_clusters[i]),
            effective=float(effective[i]),
            trials=trials,
        )
        if n[i]
        else NOT_MEASURED
        for i, drawn in enumerate(means.T)
    ]
    return estimates, means


def resample_weights(
    clusters: Shaped[np.ndarray, " sample"], *, seed: int, n_resamples: int | None = None
) -> Iterator[Float[np.ndarray, " sample"]]:
    """How often each sample occurs in each bootstrap resample of whole clusters, for weighted statistics.

    The draws are those of ``bootstrap`` and ``resampled_means`` with the same seed.
    """
    codes = _cluster_codes(clusters)
    n_clusters = int(codes.max()) + 1
    for weights in _cluster_weights(n_clusters, seed=seed, n_resamples=n_resamples):
        for weight in weights:
            yield weight[codes]


def bootstrap(
    statistic: Callable[[Int[np.ndarray, " sample"]], float],
    n: int,
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int | None = None,
) -> Estimate:
    """Any statistic with its bootstrap interval, by cluster if clusters are given; see ``from_resamples``.

    Args:
        statistic: takes the positions of the samples to use; a position can occur several times.
        n: number of samples.
        seed: fixes the resamples.
        clusters: the document of each sample; the bootstrap resamples whole documents. Default: each sample alone.
        n_resamples: number of resamples. By default it follows from the number of clusters.

    Returns:
        The statistic on all samples with its 95 % interval.
    """
    if n == 0:
        return NOT_MEASURED
    codes = np.arange(n) if clusters is None else _cluster_codes(clusters)
    n_clusters = int(codes.max()) + 1
    value = float(statistic(np.arange(n)))
    if n_clusters < MIN_CLUSTERS:
        return Estimate(value, math.nan, math.nan, n, n_clusters)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    blocks = _cluster_draws(n_clusters, seed=seed, n_resamples=n_resamples)
    samples = (np.concatenate([members[c] for c in draw]) for draws in blocks for draw in draws)
    drawn = np.array([statistic(sample) for sample in samples], dtype=np.float64)
    return from_resamples(value, drawn, **resting_on(codes))


def bootstrap_mean(
    values: Float[np.ndarray, " sample"],
    *,
    seed: int,
    clusters: Shaped[np.ndarray, " sample"] | None = None,
    n_resamples: int | None = None,
    trials: int | None = None,
) -> Estimate:
    """Mean of the measured values (NaN is skipped), with its bootstrap interval.

    Args:
        values: NaN where not measured.
        seed: fixes the resamples.
        clusters: the document of each sample; the bootstrap resamples whole documents. Default: each sample alone.
        n_resamples: number of resamples. By default it follows from the number of clusters.
        trials: as in ``from_resamples``. Default: ``trials_of(values)``.
    """
    measured = ~np.isnan(values)
    kept = values[measured]
    if len(kept) == 0:
        return NOT_MEASURED
    sums, sizes = cluster_sums(kept[:, None], None if clusters is None else clusters[measured])
    known = trials_of(kept) if trials is None else trials
    ((estimate,), _) = mean_estimates(sums, sizes, seed=seed, trials=known, n_resamples=n_resamples)
    return estimate


def clustered_rate(
    memorized: Bool[np.ndarray, " sample"], *, clusters: Shaped[np.ndarray, " sample"], seed: int
) -> Estimate:
    """Share of true values, with the interval of a share by document. Wilson's if no document repeats."""
    n = len(memorized)
    if n and pd.Series(clusters).is_unique:  # no resampling is needed
        return from_resamples(float(memorized.mean()), np.empty(0), n=n, n_clusters=n, trials=1)
    return bootstrap_mean(memorized.astype(np.float64), seed=seed, clusters=clusters, trials=1)
