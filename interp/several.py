"""Arguments that take several names or numbers: a single one is a sequence of one, never its letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")


def several(given: _T | Iterable[_T]) -> tuple[_T, ...]:
    """``"rate"`` as ``("rate",)``, ``3`` as ``(3,)``, and several as they are."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)
