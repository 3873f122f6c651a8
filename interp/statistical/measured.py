"""Reads columns of a table of scores. The only place that defines what a missing or invalid value means.

NaN, None and ``pd.NA`` mean "not measured". Such a window is left out of a quantity and of its ``n``. It never counts
as unmemorized, memorized or 0. Invalid values are refused. (Ours.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.errors import InterpError


class ScoresError(InterpError, ValueError):
    """The quantity cannot be computed from the table of scores."""


def check_columns(scores: pd.DataFrame, needed: Sequence[str], *, what: str) -> None:
    """Refuse a table that has no rows, lacks a column that ``what`` needs, or has a window without a document."""
    missing = [column for column in needed if column not in scores]
    if missing:
        raise ScoresError(f"{what} needs the columns {missing}; the table of scores has {list(scores.columns)}")
    if len(scores) == 0:
        raise ScoresError(f"{what} was given a table of scores without rows")
    if "document" in needed and scores["document"].isna().any():
        raise ScoresError(
            f"{int(scores['document'].isna().sum())} windows have no known document, by which intervals are clustered"
        )


def grouped(scores: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[tuple[object, ...], pd.DataFrame]]:
    """Groups, sorted by their values. Missing values form one group. Without columns, all rows are one group.

    Raises:
        ScoresError: a column is named twice.
    """
    twice = [column for n, column in enumerate(by) if column in by[:n]]
    if twice:
        raise ScoresError(f"column {twice[0]!r} is named twice to group by")
    if not by:
        yield (), scores
        return
    yield from scores.groupby(list(by), sort=True, dropna=False, observed=True)


def numbers(
    values: pd.Series, *, low: float = -math.inf, high: float = math.inf, finite: bool = True
) -> Float[np.ndarray, " window"]:
    """A column as numbers, NaN if not measured.

    Args:
        values: the column. Messages use its name.
        low, high: range of valid values, both ends included.
        finite: refuse infinite values.

    Raises:
        ScoresError: a value is not a number, infinite, or outside the range.
    """
    found = _floats(values, "numbers are needed, NaN where not measured")
    wrong = (found < low) | (found > high) | (np.isinf(found) if finite else False)
    if wrong.any():
        raise ScoresError(
            f"{values.name!r} holds {_shown(values[wrong])}; values from {low:g} to {high:g} are needed, NaN where not "
            "measured"
        )
    return found


def outcomes(values: pd.Series) -> Float[np.ndarray, " window"]:
    """A column of true and false as 1 and 0, NaN if not measured.

    Raises:
        ScoresError: a value is neither true, false, 1, 0 nor missing.
    """
    wanted = "true and false are needed, NaN where not measured"
    found = _floats(values, wanted)
    wrong = ~np.isnan(found) & (found != 0) & (found != 1)
    if wrong.any():
        raise ScoresError(f"{values.name!r} holds {_shown(values[wrong])}; {wanted}")
    return found


def _floats(values: pd.Series, wanted: str) -> Float[np.ndarray, " window"]:
    plain = values.to_numpy()
    try:
        if plain.dtype.kind in "Mmc":  # times and complex numbers would be converted silently
            raise TypeError(plain.dtype)
        return pd.Series(plain).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ScoresError(f"{values.name!r} holds {_shown(values[values.notna()])}; {wanted}") from None


def _shown(values: pd.Series) -> str:
    """The first distinct values."""
    return ", ".join(list(dict.fromkeys(map(str, values)))[:3])
