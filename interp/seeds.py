"""Seeds: one check of every seed, and the one way from a seed to random numbers."""

from __future__ import annotations

import numbers

import numpy as np
from jaxtyping import Bool, Int

from interp.errors import InterpError

MAX_SEED = 2**32 - 1
"""The largest seed that every library used here takes."""


class SeedError(InterpError, ValueError):
    """A seed that is no whole number from 0 to ``MAX_SEED``."""


def check_seed(seed: int) -> int:
    """The seed, as a Python number.

    Raises:
        SeedError: it is no whole number, negative, or larger than ``MAX_SEED``.
    """
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise SeedError(f"a seed is a whole number from 0 to {MAX_SEED}, not {seed!r}")
    return int(seed)


def drawn(mask: Bool[np.ndarray, " window"], at_most: int | None, *, seed: int) -> Int[np.ndarray, " chosen"]:
    """Positions where a mask is true, or so many of them, drawn by the seed; in order."""
    return np.sort(generator(seed).permutation(np.flatnonzero(mask))[:at_most])


def generator(seed: int, *key: int) -> np.random.Generator:
    """Random numbers of a seed; a key (a window, a position) gives a stream of its own, whatever else is drawn.

    Raises:
        SeedError: as ``check_seed``.
    """
    return np.random.default_rng([check_seed(seed), *key] if key else check_seed(seed))
