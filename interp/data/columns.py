"""Columns of rows by name, nested ones by a path: ``meta.pile_set_name``, also where ``meta`` is a JSON string."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from interp.data.owned import WindowError

ABSENT = object()
"""What a row without the column has."""
_LOOK_AHEAD = 1000
"""Rows that may lack a column before it counts as a wrong name."""
_NAMES_SHOWN = 30


def look_up(row: Mapping[str, Any], path: str) -> Any:
    """A row's value at a path, ``ABSENT`` where the row has none; a column that has the whole path as its name wins."""
    if path in row:
        return row[path]
    for name in _roots(path):
        if name in row:
            if row[name] is None:
                return None
            value = look_up(_fields(row[name]), path[len(name) + 1 :])
            if value is not ABSENT:
                return value
    return ABSENT


def needed(columns: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    """Which of a table's columns have to be read for these paths.

    Raises:
        WindowError: there is none for one of them.
    """
    chosen: dict[str, None] = {}
    for column in columns:
        found = [column] if column in names else [name for name in _roots(column) if name in names]
        if not found:
            raise _no_column(where, column, names)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def with_columns(rows: Iterator[Mapping[str, Any]], columns: Sequence[str], where: str) -> Iterator[Mapping[str, Any]]:
    """The rows, once some of the first have shown that the columns exist: a single row may lack any of them.

    Raises:
        WindowError: none of the first rows has one of the columns.
    """
    ahead: list[Mapping[str, Any]] = []
    lacking, unseen = set(), set(columns)
    while unseen and len(ahead) < _LOOK_AHEAD and (row := next(rows, None)) is not None:
        ahead.append(row)
        for column in list(unseen):
            value = look_up(row, column)
            if value is ABSENT:
                lacking.add(column)
            elif column in row or value is not None:
                unseen.discard(column)
    for column in columns:
        if column in unseen & lacking:
            names = sorted({name for row in ahead for name in _names(row)})
            # Where a file has more rows, only the first have been seen.
            seen = f" in its first {_LOOK_AHEAD:,} rows" if len(ahead) == _LOOK_AHEAD else ""
            raise _no_column(where, column, names, seen=seen)
    yield from chain(ahead, rows)


def _roots(path: str) -> list[str]:
    """What stands before each dot, longest first."""
    parts = path.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def _fields(value: Any) -> Mapping[str, Any]:
    """The named fields of a value: of an object, of one written as a JSON string, or of an Arrow map."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if isinstance(value, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)
    return value if isinstance(value, Mapping) else {}


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        fields = _fields(value)
        yield from (f"{name}.{field}" for field in fields) if fields else (name,)


def _no_column(where: str, column: str, names: Sequence[str], *, seen: str = "") -> WindowError:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return WindowError(f"{where} has no column {column!r}{seen}; it has {sorted(names)[:_NAMES_SHOWN]}{more}")
