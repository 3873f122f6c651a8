"""Importance of every head: the mean loss over windows, with intervals by document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Float, Shaped

from interp.stats.columns import estimates_frame
from interp.stats.curves import column_estimates
from interp.stats.estimates import Estimate, difference_of_shares, trials_of

VALUES_AT_ONCE = 2**24
"""Values resampled at a time (128 MiB). The next heads use the same resampled documents."""


def head_estimates(
    falls: Float[np.ndarray, "layer head window"],
    documents: Shaped[np.ndarray, " window"],
    *,
    seed: int,
    trials: int | None = None,
    gains: bool = True,
) -> list[list[Estimate]]:
    """Mean fall of each head, by layer, then head. All heads use the same resampled documents. NaN if not measured.

    A fall in rate is the share of windows lost minus the share gained. It has the interval of such a difference, which
    never has width 0. If no window can be gained, the fall is a share.

    Args:
        falls: how much each window loses when each head is ablated. -1 to 1 for a rate or a share of tokens.
        documents: the document of each window.
        seed: seed of the bootstrap.
        trials: as in ``from_resamples``, for the quantity that falls. Default: a rate, if all falls are -1, 0 or 1.
        gains: whether a fall can be below 0. It cannot if all windows were memorized before.
    """
    by_head = rearrange(falls, "layer head window -> (layer head) window")
    if trials is None:
        trials = min(trials_of(np.abs(fall)) for fall in by_head)
    together = max(1, VALUES_AT_ONCE // max(1, falls.shape[2]))
    estimates: list[Estimate] = []
    for start in range(0, len(by_head), together):
        columns = by_head[start : start + together].T.astype(np.float64)
        if trials and gains:
            lost, gained = np.clip(columns, 0, None), np.clip(-columns, 0, None)
            shares, means = column_estimates(np.hstack([lost, gained]), documents, seed=seed, trials=trials)
            n = columns.shape[1]
            estimates += [difference_of_shares(shares[i], shares[n + i], means[:, [i, n + i]]) for i in range(n)]
        else:
            estimates += column_estimates(columns, documents, seed=seed, trials=trials)[0]
    n_heads = falls.shape[1]
    return [estimates[start : start + n_heads] for start in range(0, len(estimates), n_heads)]


def head_frame(estimates: Sequence[Sequence[Estimate]]) -> pd.DataFrame:
    """One row a head: ``layer``, ``head`` and its estimate; see ``interp.stats.columns``."""
    frame = estimates_frame([e for layer in estimates for e in layer])
    layers, heads = np.indices((len(estimates), len(estimates[0]))).reshape(2, -1)
    frame.insert(0, "layer", layers)
    frame.insert(1, "head", heads)
    return frame
