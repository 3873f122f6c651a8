"""Windows that share a run of tokens. A tested window must not be in training, nor be its own reference or replacement.

Texts are compared, not window ids: a copy of a window with another id or document is the same text.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from interp.data.windows import Windows

RUN = 32
"""Windows overlap if they share this many tokens in a row."""


def run_length(windows: Windows, tested: Windows) -> int:
    """Number of shared tokens that make an overlap: ``RUN``, or the length of a shorter window."""
    return min(RUN, windows.tokens.shape[1], tested.tokens.shape[1])


def overlapping(windows: Windows, tested: Windows) -> list[int]:
    """Ids of the windows that share a run of tokens, at any positions, with a tested window. In order.

    Memory grows with ``windows`` only, so give the smaller of two sets first.
    """
    length = run_length(windows, tested)
    owners = _owners(windows, length)
    found = {i for _, run in _runs(tested, length) for i in owners.get(run, ())}
    return [int(windows.window[i]) for i in sorted(found)]


def sharing(windows: Windows) -> list[Int[np.ndarray, " sharing"]]:
    """For each window, the positions of the windows that share a run of tokens with it (itself included), ascending."""
    shared = [{i} for i in range(len(windows))]
    for owners in _owners(windows, run_length(windows, windows)).values():
        if len(owners) > 1:
            for i in owners:
                shared[i] |= owners
    return [np.array(sorted(found)) for found in shared]


def by_text(windows: Windows) -> Shaped[np.ndarray, " window"]:
    """Documents as units that share no text. Documents that share a run of tokens get the name of the first one.

    If no documents share a run, every document keeps its own name.
    """
    runs = [list(owners) for owners in _owners(windows, run_length(windows, windows)).values() if len(owners) > 1]
    number = np.repeat(np.arange(len(runs)), [len(owners) for owners in runs])
    at = np.array([i for owners in runs for i in owners], dtype=np.int64)
    return linked(windows.document.astype(str), (at, number))


def linked(
    names: Shaped[np.ndarray, " row"], *links: tuple[Int[np.ndarray, " link"], Int[np.ndarray, " link"]]
) -> Shaped[np.ndarray, " row"]:
    """Join the names of linked rows. A joined unit gets the first of its names in sorted order.

    Args:
        names: the unit of each row.
        links: pairs (rows, label): rows with equal labels are linked. One pair per kind of link.
    """
    units, code = np.unique(names.astype(str), return_inverse=True)
    n = len(units)
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for row, common in links:
        rows.append(code[row])
        columns.append(n + common)
        n += int(common.max(initial=-1)) + 1
    row, column = np.concatenate(rows), np.concatenate(columns)
    _, component = connected_components(coo_array((np.ones(len(row)), (row, column)), shape=(n, n)), directed=False)
    _, first = np.unique(component[: len(units)], return_index=True)
    named = dict(zip(component[first], units[first], strict=True))
    return np.array([named[c] for c in component[: len(units)]], dtype=object)[code].astype(str)


def _owners(windows: Windows, length: int) -> dict[bytes, set[int]]:
    """Positions of the windows that contain each run."""
    owners: dict[bytes, set[int]] = {}
    for i, run in _runs(windows, length):
        owners.setdefault(run, set()).add(i)
    return owners


def _runs(windows: Windows, length: int) -> Iterator[tuple[int, bytes]]:
    for i, row in enumerate(windows.tokens.numpy()):
        for start in range(len(row) - length + 1):
            yield i, row[start : start + length].tobytes()
