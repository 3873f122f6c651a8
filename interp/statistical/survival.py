"""Memorization depth with censoring: the Kaplan-Meier estimate (Kaplan and Meier 1958).

A window that is still correct where its text ends is censored: its depth is at least ``depth`` tokens. At each token,
the share of misses is taken over the windows that are correct so far and have that token. The share with a depth of at
least d is the product of the shares that remain at each token.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, grouped, numbers, outcomes
from interp.stats.columns import estimates_frame
from interp.stats.estimates import from_resamples, resampled_means, resting_on


def survival(
    depths: Float[np.ndarray, " sample"], censored: Bool[np.ndarray, " sample"], at: int | Sequence[int]
) -> Float[np.ndarray, " at"]:
    """Share of windows with at least this depth, P(depth >= d), for each d in ``at``.

    0 beyond the depth at which all windows have missed. NaN if no window reaches d and some were censored before it.
    """
    at = several(at)
    missed, at_risk = _events(depths, censored, max(at, default=0))
    return _product(missed.mean(axis=0)[None], at_risk.mean(axis=0)[None])[0, list(at)]


def _events(
    depths: Float[np.ndarray, " sample"], censored: Bool[np.ndarray, " sample"], furthest: int
) -> tuple[Bool[np.ndarray, "sample token"], Bool[np.ndarray, "sample token"]]:
    """Whether each window misses each further token (from 0), and whether it is at risk there."""
    token = np.arange(furthest)
    missed = (depths[:, None] == token) & ~censored[:, None]
    return missed, missed | (depths[:, None] > token)


def _product(
    missed: Float[np.ndarray, "resample token"], at_risk: Float[np.ndarray, "resample token"]
) -> Float[np.ndarray, "resample depth"]:
    """Share that remains at each depth (1 at depth 0), from the means of both events."""
    hazard = np.divide(missed, at_risk, out=np.zeros(missed.shape), where=at_risk > 0)
    left = np.cumprod(np.concatenate([np.ones((len(hazard), 1)), 1 - hazard], axis=1), axis=1)
    # No window is at risk. Either all have missed (0 remain), or the last ones were censored (unknown).
    left[:, 1:][(at_risk == 0) & (left[:, 1:] > 0)] = np.nan
    return left


def depth_summary(
    table: pd.DataFrame,
    *,
    at: int | Sequence[int] = (1, 2, 4, 8, 16, 32),
    by: str | Sequence[str] = ("model",),
    n_resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of memorized windows with at least each depth, with censoring taken into account.

    Args:
        table: rows of ``Depth.to_frame()`` with the grouping columns.
        at: depths, in tokens.
        by: columns to group by.
        n_resamples: number of bootstrap resamples of whole documents. By default it follows from their number.
        seed: seed of the bootstrap.

    Returns:
        One row per group and depth: ``value`` with ``low`` and ``high``, clustered by document; ``n``; ``n_at_risk``,
        the windows whose text was tried that far; and ``n_documents``, their documents. NaN if there are none.

    Raises:
        ScoresError: a depth or an ``at`` is not a number of tokens, or ``censored`` is missing for a depth.
    """
    at, by = several(at), several(by)
    check_columns(table, [*by, "depth", "censored", "document"], what="a summary of depth")
    furthest = max(at, default=0)
    depth, ended = numbers(table["depth"], low=0.0), outcomes(table["censored"])
    known = ~np.isnan(depth)
    if min(at, default=0) < 0 or (depth[known] % 1 != 0).any() or np.isnan(ended[known]).any():
        raise ScoresError(
            f"depths and at={list(at)} must be whole numbers of tokens from 0 on, and each depth needs `censored`"
        )
    rows, estimates = [], []
    for key, group in grouped(table.assign(depth=depth, censored=ended)[known], by):
        depths, censored = group["depth"].to_numpy(), group["censored"].to_numpy() == 1
        documents = group["document"].to_numpy()
        missed, at_risk = _events(depths, censored, furthest)
        both = np.hstack([missed, at_risk]).astype(np.float64)
        means, _ = resampled_means(both, seed=seed, clusters=documents, n_resamples=n_resamples)
        value = survival(depths, censored, range(furthest + 1))
        drawn = _product(means[:, :furthest], means[:, furthest:])
        for d in at:
            tried = ~(censored & (depths < d))
            rests_on = {**resting_on(documents[tried]), "n": len(group)}
            estimates.append(from_resamples(float(value[d]), drawn[:, d], **rests_on, trials=1))
            rows.append((*key, d, int(tried.sum())))
    return pd.concat([pd.DataFrame(rows, columns=[*by, "at", "n_at_risk"]), estimates_frame(estimates)], axis=1)
