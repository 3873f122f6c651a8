"""How far windows are recited, with the censored ones counted as long as they are seen (Kaplan and Meier 1958).

A window that is still right where its text ends was right for ``depth`` tokens and is not known further. At each token
the share that misses it is taken among the windows that have come so far and have that token: the share recited at
least d tokens is the product of what is left at each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, grouped, numbers, outcomes
from interp.statistical.rates import estimates_frame
from interp.stats.estimates import from_resamples, resampled_means, resting_on


def survival(
    depths: Float[np.ndarray, " sample"], censored: Bool[np.ndarray, " sample"], at: int | Sequence[int]
) -> Float[np.ndarray, " at"]:
    """Share recited at least so far, P(depth >= d) for each d in ``at``.

    0 from where all windows have missed. NaN where no window was seen so far and some were censored before.
    """
    at = several(at)
    missed, at_risk = _events(depths, censored, max(at, default=0))
    return _product(missed.mean(axis=0)[None], at_risk.mean(axis=0)[None])[0, list(at)]


def _events(
    depths: Float[np.ndarray, " sample"], censored: Bool[np.ndarray, " sample"], furthest: int
) -> tuple[Bool[np.ndarray, "sample token"], Bool[np.ndarray, "sample token"]]:
    """Whether a window misses each further token (from 0), and whether it is there to miss it."""
    token = np.arange(furthest)
    missed = (depths[:, None] == token) & ~censored[:, None]
    return missed, missed | (depths[:, None] > token)


def _product(
    missed: Float[np.ndarray, "resample token"], at_risk: Float[np.ndarray, "resample token"]
) -> Float[np.ndarray, "resample depth"]:
    """Share left at each depth, 1 at depth 0, from the means of both events."""
    hazard = np.divide(missed, at_risk, out=np.zeros(missed.shape), where=at_risk > 0)
    left = np.cumprod(np.concatenate([np.ones((len(hazard), 1)), 1 - hazard], axis=1), axis=1)
    # Nobody is at risk: all have missed, and 0 are left; or the last ones were censored, and what they do is not known.
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
    """Share of memorized windows recited at least so many tokens further, censoring allowed for.

    Args:
        table: rows of ``Depth.to_frame()`` with the grouping columns.
        at: depths, in tokens.
        by: columns to group by.
        n_resamples: bootstrap resamples, as many as the documents ask for unless given, whole documents drawn.
        seed: of the bootstrap.

    Returns:
        One row a group and depth: ``value`` with ``low`` and ``high``, clustered by document, ``n``, ``n_at_risk``, the
        windows whose text was tried that far, and ``n_clusters``, the documents of these. NaN where none was.

    Raises:
        ScoresError: a depth or an ``at`` that is not a number of tokens, or a depth of which is not known whether it is
            censored.
    """
    at, by = several(at), several(by)
    check_columns(table, [*by, "depth", "censored", "document"], what="a summary of depth")
    furthest = max(at, default=0)
    depth, ended = numbers(table["depth"], low=0.0), outcomes(table["censored"])
    known = ~np.isnan(depth)
    if min(at, default=0) < 0 or (depth[known] % 1 != 0).any() or np.isnan(ended[known]).any():
        raise ScoresError(
            f"depths and at={list(at)} are whole numbers of tokens from 0 on, and `censored` is known of each depth"
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
