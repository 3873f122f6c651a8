"""Arguments that take several names or numbers. A single one counts as a sequence of one, never as its letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")


def several(given: _T | Iterable[_T]) -> tuple[_T, ...]:
    """``"rate"`` becomes ``("rate",)``, ``3`` becomes ``(3,)``, and several become a tuple."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)
