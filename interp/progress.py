"""Progress: the one bar, with the time left, that all long work shows.

A measuring function takes ``progress=True`` and makes a bar here. The bar stands on standard error, appears when the
work has taken a second, and is gone when the work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")

Progress: TypeAlias = Callable[[int], object]
"""Told how much has been done since the last call. What it raises ends the work."""

DELAY = 1.0
"""Seconds of work before a bar appears."""


@contextmanager
def bar(
    total: int | None, what: str, progress: bool | Progress, *, unit: str = "window", unit_scale: bool = False
) -> Iterator[Progress]:
    """A bar, to be told how much has been done.

    Args:
        total: what there is to do; ``None`` where nobody knows, and then no time left is shown.
        what: is being done.
        progress: whether there is a bar; or what is told in its place.
        unit: of ``total``.
        unit_scale: whether large numbers are written with k, M and G.
    """
    if callable(progress):
        yield progress
        return
    how: dict[str, Any] = {"unit": unit, "unit_scale": unit_scale, "disable": not progress}
    with tqdm(total=total, desc=what, delay=DELAY, leave=False, dynamic_ncols=True, **how) as shown:
        yield shown.update


def along(
    items: Iterable[_T], what: str, progress: bool | Progress, *, total: int | None = None, unit: str = "window"
) -> Iterator[_T]:
    """The items, with a bar of how many are done; one that is being worked on is not."""
    with bar(total, what, progress, unit=unit) as done:
        for item in items:
            yield item
            done(1)


def in_batches(
    batches: Iterable[tuple[slice, _T]], total: int, what: str, progress: bool | Progress
) -> Iterator[tuple[slice, _T]]:
    """The batches of ``Windows.batches``, with a bar of how many windows are done."""
    with bar(total, what, progress) as done:
        for where, batch in batches:
            yield where, batch
            done(where.stop - where.start)
