"""Columns of rows by name. A path names a nested column: ``meta.pile_set_name``, even if ``meta`` is a JSON string."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from interp.data.owned import WindowError

ABSENT = object()
"""Value of a column that a row lacks."""
_LOOK_AHEAD = 1000
"""Number of rows that may lack a column before its name counts as wrong."""
_NAMES_SHOWN = 30


def look_up(row: Mapping[str, Any], path: str) -> Any:
    """A row's value at a path, or ``ABSENT``. A column named like the whole path takes precedence."""
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
    """The columns of a table that must be read for these paths.

    Raises:
        WindowError: a path has no column.
    """
    chosen: dict[str, None] = {}
    for column in columns:
        found = [column] if column in names else [name for name in _roots(column) if name in names]
        if not found:
            raise _no_column(where, column, names)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def with_columns(rows: Iterator[Mapping[str, Any]], columns: Sequence[str], where: str) -> Iterator[Mapping[str, Any]]:
    """The rows, after a check that the columns exist in some of the first rows. A single row may lack them.

    Raises:
        WindowError: a column is in none of the first rows.
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
            # If the file has more rows, only the first were checked.
            seen = f" in its first {_LOOK_AHEAD:,} rows" if len(ahead) == _LOOK_AHEAD else ""
            raise _no_column(where, column, names, seen=seen)
    yield from chain(ahead, rows)


def _roots(path: str) -> list[str]:
    """The parts of the path before each dot, longest first."""
    parts = path.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def _fields(value: Any) -> Mapping[str, Any]:
    """The named fields of a value: an object, a JSON string of an object, or an Arrow map."""
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
