"""The order of heads by importance, and the rule for ties.

Heads of equal importance have no order. Where one order is needed, ties are broken at random, from the seed and the map
itself, so that two maps do not break their ties alike. Where sets are compared, nothing is drawn: a head that ties for
the last places of a top set is a member with the probability that a random draw would give it (``membership``). A map
in which all heads are equal has no top set and is refused. (Ours.)
"""

from __future__ import annotations

import zlib

import numpy as np
from jaxtyping import Bool, Float, Int

from interp.errors import InterpError
from interp.seeds import generator

Importance = Float[np.ndarray, "layer head"]


class ComparisonError(InterpError, ValueError):
    """The importances cannot be compared."""


def ranked(importance: Float[np.ndarray, "*heads"], *, seed: int = 0) -> Int[np.ndarray, " measured"]:
    """Positions in the flattened map, most important first. Ties are in random order; NaN is left out."""
    flat = np.ascontiguousarray(importance, dtype=np.float64).ravel()
    rng = generator(seed, zlib.crc32(flat.tobytes()))
    order = np.lexsort((rng.random(flat.size), -flat))
    return order[~np.isnan(flat[order])]


def top_size(n_heads: int, share: float) -> int:
    """Number of heads in a top set: ``share`` of all, rounded, at least one.

    Raises:
        ComparisonError: a share outside 0 to 1.
    """
    if not 0 < share <= 1:
        raise ComparisonError(f"share={share} is not a share of the heads: give a number above 0, at most 1")
    return max(1, round(share * n_heads))


def membership(importance: Float[np.ndarray, "*heads"], *, share: float = 0.2) -> Float[np.ndarray, "*heads"]:
    """Probability that each head is in the top set when ties are broken at random.

    It is 1 above the importance of the last place and 0 below. Heads that tie for the last places get the number of
    these places divided by the number of tied heads. The probabilities sum to ``top_size``.

    Raises:
        ComparisonError: a share outside 0 to 1, a head that was not measured, or a map in which all heads are equal.
    """
    n_top = top_size(importance.size, share)
    if np.isnan(importance).any():
        at = [int(i) for i in np.argwhere(np.isnan(importance))[0]]
        named = f"head {at[-1]} of layer {at[0]}" if len(at) == 2 else f"head {at[-1]}"
        raise ComparisonError(f"{named} was not measured (NaN); rank only complete maps")
    last = np.sort(importance, axis=None)[-n_top]
    tied = importance == last
    if tied.all() and n_top < importance.size:
        raise ComparisonError(
            f"all {importance.size} heads have the same importance, {last:g}: no {n_top} of them are the top ones"
        )
    above = importance > last
    return np.where(above, 1.0, np.where(tied, (n_top - above.sum()) / tied.sum(), 0.0))


def top_heads(importance: Importance, *, share: float = 0.2, seed: int = 0) -> Bool[np.ndarray, "layer head"]:
    """One top set: ``share`` of all heads, with ties for the last places broken at random.

    Raises:
        ComparisonError: as ``membership``.
    """
    n_top = round(float(membership(importance, share=share).sum()))
    top = np.zeros(importance.size, dtype=bool)
    top[ranked(importance, seed=seed)[:n_top]] = True
    return top.reshape(importance.shape)
