"""Dose-response: memorization rate against the number of times a window was shown in training.

Gives the rate at each count, with its interval, and the count at which half of the windows are memorized. That is where
a logistic curve in log2(count) passes one half. The curve is fitted by maximum likelihood to all counts above 0. (Ours;
the paper has no planted counts.) Windows that were never shown are the floor: they are in the rates but not in the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.results import Result
from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, grouped, numbers, outcomes
from interp.statistical.rates import Rates, rates
from interp.stats.columns import estimates_frame
from interp.stats.estimates import Estimate, from_resamples, resampled_means, resting_on
from interp.stats.fits import logistic_fit


@dataclass(frozen=True, repr=False, eq=False)
class DoseResponse(Result):
    """Rates by count, and the fitted curve of each group."""

    rates: Rates
    """Rate in each group at each ``count``."""
    groups: pd.DataFrame
    """One row per group: the grouping columns (``model``, usually)."""
    half: tuple[Estimate, ...]
    """Count at which half of the group's windows are memorized. NaN if the curve passes one half outside the counts
    shown. The interval's end is then infinite (above them) or 0 (below them)."""
    intercept: Float[np.ndarray, " group"]
    """Log odds at count 1. NaN if no window or every window is memorized."""
    slope: Float[np.ndarray, " group"]
    """Rise in log odds per doubling of the count."""
    slope_interval: tuple[Estimate, ...]
    max_count: Float[np.ndarray, " group"]
    """Largest count shown. A missing ``half`` with an infinite end means "more than this"."""

    def to_frame(self) -> pd.DataFrame:
        """One row per group: the half-way count (``value``, ``low``, ``high``) and the coefficients of the curve."""
        slopes = estimates_frame(self.slope_interval)[["low", "high"]].add_prefix("slope_")
        curve = pd.DataFrame({"intercept": self.intercept, "slope": self.slope, "max_count": self.max_count})
        return pd.concat([self.groups, estimates_frame(self.half), curve, slopes], axis=1)


def dose_response(
    scores: pd.DataFrame, *, by: str | Sequence[str] = ("model",), n_resamples: int | None = None, seed: int = 0
) -> DoseResponse:
    """Fit the rate against the count in each group.

    Args:
        scores: a row for each window and model, with ``count``, ``document`` and ``memorized`` (NaN if not measured:
            left out).
        by: columns to group by. Each group has one curve.
        n_resamples: number of bootstrap resamples of whole documents. By default it follows from their number.
        seed: seed of the bootstrap.

    Raises:
        ScoresError: a count is unknown, negative or infinite; an outcome is neither true nor false; or fewer than two
            counts above 0 have measured windows.
    """
    by = several(by)
    check_columns(scores, [*by, "count", "document", "memorized"], what="dose-response")
    scores = scores.assign(memorized=outcomes(scores["memorized"]), count=numbers(scores["count"], low=0.0))
    if scores["count"].isna().any():
        raise ScoresError(
            f"{int(scores['count'].isna().sum())} windows have no known count; select those that have one"
        )
    keys, halves, slopes, curves, largest = [], [], [], [], []
    for key, group in grouped(scores, by):
        group = group[(group["count"] > 0) & group["memorized"].notna()]
        counts = np.sort(group["count"].unique())
        if len(counts) < 2:
            raise ScoresError(f"{key} has measured windows of the counts {counts.tolist()}; a curve needs two above 0")
        half, slope, curve = _fit(group, counts, n_resamples=n_resamples, seed=seed)
        keys.append(key)
        halves.append(half)
        slopes.append(slope)
        curves.append(curve)
        largest.append(counts[-1])
    intercepts, fitted_slopes = np.array(curves).T
    return DoseResponse(
        rates=rates(scores, by=[*by, "count"], seed=seed),
        groups=pd.DataFrame(keys, columns=list(by)),
        half=tuple(halves),
        intercept=intercepts,
        slope=fitted_slopes,
        slope_interval=tuple(slopes),
        max_count=np.array(largest),
    )


def _fit(
    group: pd.DataFrame, counts: Float[np.ndarray, " point"], *, n_resamples: int | None, seed: int
) -> tuple[Estimate, Estimate, tuple[float, float]]:
    """Half-way count, slope, and the fitted curve of one group."""
    by_count = group["count"].to_numpy()[:, None] == counts
    outcome = group["memorized"].to_numpy(dtype=np.float64)[:, None]
    values = np.where(by_count, outcome, np.nan)
    documents = group["document"].to_numpy()
    means, sizes = resampled_means(values, clusters=documents, seed=seed, n_resamples=n_resamples)
    measured = ~np.isnan(values)
    size = measured.sum(axis=0).astype(np.float64)
    observed = np.divide(np.nansum(values, axis=0), size, out=np.full(len(counts), np.nan), where=size > 0)
    x = np.log2(counts)
    # Row 0 is the sample itself, the rest are its resamples.
    means, sizes = np.vstack([observed, means]), np.vstack([size, sizes])
    intercept, slope = logistic_fit(x, means, sizes)
    half = _half(x, means, intercept, slope)
    rests_on = {**resting_on(documents), "n": int(size.sum())}
    inside = half[0] if 0 < half[0] < np.inf else np.nan
    return (
        from_resamples(float(inside), half[1:], **rests_on),
        from_resamples(float(slope[0]), slope[1:], **rests_on),
        (float(intercept[0]), float(slope[0])),
    )


def _half(
    x: Float[np.ndarray, " point"],
    rates: Float[np.ndarray, "resample point"],
    intercept: Float[np.ndarray, " resample"],
    slope: Float[np.ndarray, " resample"],
) -> Float[np.ndarray, " resample"]:
    """Count at which each curve passes one half: infinite above the counts shown, 0 below them."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        crossing = -intercept / slope
        half = np.exp2(crossing)
    half = np.where(crossing > x[-1], np.inf, np.where(crossing < x[0], 0.0, half))
    # A curve that falls or is flat never rises to one half, unless it is above it throughout.
    flat = np.isnan(slope) | (slope <= 0)
    return np.where(flat, np.where(np.nanmin(rates, axis=1) > 0.5, 0.0, np.inf), half)
