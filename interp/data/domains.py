"""Structural and free text, by the domain of a window."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Shaped

UNKNOWN = "unknown"
"""Domain of windows without a known domain."""


def is_structural(domain: Shaped[np.ndarray, " window"], structural: Collection[str]) -> Float[np.ndarray, " window"]:
    """1 for structural text, 0 for free text, NaN if the domain is unknown.

    Args:
        domain: domain of each window.
        structural: the domains of structural text.
    """
    names = domain.astype(str)
    return np.where(names == UNKNOWN, np.nan, np.isin(names, list(structural)).astype(np.float64))
