"""The progress bar of all long work, with the time left.

A measuring function takes ``progress=True`` and makes a bar here. The bar is on standard error. It appears after one
second of work and disappears at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")

Progress: TypeAlias = Callable[[int], object]
"""Called with the amount of work done since the last call. It can stop the work by raising."""

DELAY = 1.0
"""Seconds of work before a bar appears."""


@contextmanager
def bar(
    total: int | None, what: str, progress: bool | Progress, *, unit: str = "window", unit_scale: bool = False
) -> Iterator[Progress]:
    """A bar. Yields the function that reports progress.

    Args:
        total: total amount of work. ``None`` if unknown; then the time left is not shown.
        what: label of the bar.
        progress: whether to show a bar, or a function to call instead.
        unit: unit of ``total``.
        unit_scale: whether to write large numbers with k, M and G.
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
    """The items, with a bar of the finished ones."""
    with bar(total, what, progress, unit=unit) as done:
        for item in items:
            yield item
            done(1)


def in_batches(
    batches: Iterable[tuple[slice, _T]], total: int, what: str, progress: bool | Progress
) -> Iterator[tuple[slice, _T]]:
    """The batches of ``Windows.batches``, with a bar of the finished windows."""
    with bar(total, what, progress) as done:
        for where, batch in batches:
            yield where, batch
            done(where.stop - where.start)
