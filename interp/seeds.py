"""Checks seeds, and makes random numbers from them."""

from __future__ import annotations

import numbers

import numpy as np
from jaxtyping import Bool, Int

from interp.errors import InterpError

MAX_SEED = 2**32 - 1
"""The largest seed that all libraries accept."""


class SeedError(InterpError, ValueError):
    """The seed is not a whole number from 0 to ``MAX_SEED``."""


def check_seed(seed: int) -> int:
    """The seed, as a Python integer.

    Raises:
        SeedError: the seed is not a whole number, negative, or larger than ``MAX_SEED``.
    """
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise SeedError(f"a seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}")
    return int(seed)


def drawn(mask: Bool[np.ndarray, " window"], at_most: int | None, *, seed: int) -> Int[np.ndarray, " chosen"]:
    """Positions where a mask is true, in order. At most ``at_most`` of them, drawn with the seed."""
    return np.sort(generator(seed).permutation(np.flatnonzero(mask))[:at_most])


def generator(seed: int, *key: int) -> np.random.Generator:
    """Generator of a seed. Each key (a window, a position) gives an independent stream.

    Raises:
        SeedError: as ``check_seed``.
    """
    return np.random.default_rng([check_seed(seed), *key] if key else check_seed(seed))
