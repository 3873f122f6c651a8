"""Importance of every head from what each window loses, with intervals by document."""

from __future__ import annotations

import numpy as np
from einops import rearrange
from jaxtyping import Float, Shaped

from interp.curves import column_estimates
from interp.stats import Estimate


def head_estimates(
    falls: Float[np.ndarray, "layer head window"], documents: Shaped[np.ndarray, " window"], *, seed: int
) -> list[list[Estimate]]:
    """Mean fall of each head, by layer, then head; the same documents are drawn for all. NaN where not measured."""
    estimates, _ = column_estimates(rearrange(falls, "layer head window -> window (layer head)"), documents, seed=seed)
    n_heads = falls.shape[1]
    return [estimates[start : start + n_heads] for start in range(0, len(estimates), n_heads)]
