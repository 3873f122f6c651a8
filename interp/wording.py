"""Formats numbers and intervals for sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from interp.stats.estimates import MIN_CLUSTERS, Estimate, no_interval


def percent(estimate: Estimate) -> str:
    """A share with its interval, with equal decimals: ``"97.0 % [94.1, 98.6]"``.

    The decimals show two digits of the interval's width, at most 4. Says why if there is no interval.
    """
    value, low, high = (100 * x for x in (estimate.value, estimate.low, estimate.high))
    if math.isnan(value):
        return "not measured"
    width = high - low
    digits = min(4, max(0, 1 - math.floor(math.log10(width) + 1e-9))) if width > 0 else 1
    # Rounded first: a floating-point 0 may be slightly negative and would print as "-0.0".
    shown = [f"{round(x, digits) + 0.0:.{digits}f}" for x in (value, low, high)]
    ends = f"[{shown[1]}, {shown[2]}]" if estimate.says_where else f"({no_interval(estimate.n_documents)})"
    return f"{shown[0]} % {ends}"


def interval(low: float, high: float, shown: str = ".3g") -> str:
    """``"[0.1, 0.3]"``, or a note that there is no interval. ``shown`` is the number format."""
    return "(no interval)" if math.isnan(low) else f"[{low:{shown}}, {high:{shown}}]"


def spread(numbers: Sequence[int] | pd.Series) -> str:
    """``"12"``, or ``"5 to 12"``."""
    least, most = int(np.min(numbers)), int(np.max(numbers))
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def of_documents(
    windows: Sequence[int] | pd.Series, documents: Sequence[int] | pd.Series, *, kind: str = "windows"
) -> str:
    """Basis of estimates: ``"8 to 64 windows of 3 to 15 documents, fewer than 5 of which give no interval"``."""
    few = f", fewer than {MIN_CLUSTERS} of which give no interval" if np.min(documents) < MIN_CLUSTERS else ""
    return f"{spread(windows)} {kind} of {spread(documents)} documents{few}"


def behind(estimates: Sequence[Estimate]) -> str:
    """``" (64 windows of 15 documents)"``, for use after estimates in a sentence. Empty if none was measured."""
    measured = [e for e in estimates if e.n]
    return f" ({of_documents([e.n for e in measured], [e.n_documents for e in measured])})" if measured else ""


def resting(table: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    """Number of windows and documents of each estimate in a table; ``None`` if it has no such columns."""
    return (table["n"], table["n_documents"]) if {"n", "n_documents"} <= {*table} else None


def rests_on(table: pd.DataFrame) -> str:
    """A sentence on the basis of a table's intervals, for captions. Rows that were not measured do not count.

    Args:
        table: has the number of windows of each estimate in ``n``, and of documents in ``n_documents``. Groups in a
            column ``group`` are listed separately.
    """
    rests = resting(table)
    if rests is None:
        return "The table does not say how many documents the intervals rest on."
    windows, documents = rests
    measured = documents > 0
    if not measured.any():
        return "Nothing was measured."
    windows, documents = windows[measured], documents[measured]
    if "group" not in table or table.loc[measured, "group"].nunique() < 2:
        return f"Each interval rests on {of_documents(windows, documents)}."
    of = table.loc[measured, "group"]
    parts = [f"{group}: {of_documents(windows[of == group], documents[of == group])}" for group in of.unique()]
    return f"Each interval rests on: {'; '.join(parts)}."
