"""Windows that share a run of tokens: what is tested on must not be trained on, nor be its own reference."""

from __future__ import annotations

from collections.abc import Iterator

from interp.data.windows import Windows

RUN = 32
"""Windows that share this many tokens in a row overlap."""


def run_length(windows: Windows, tested: Windows) -> int:
    """Tokens in a row that make an overlap: ``RUN``, or all of a shorter window."""
    return min(RUN, windows.tokens.shape[1], tested.tokens.shape[1])


def overlapping(windows: Windows, tested: Windows) -> list[int]:
    """Ids of the windows that share a run of tokens, at any two places, with a tested window; in their order.

    Memory grows with ``windows`` alone: of two sets, give the smaller first.
    """
    length = run_length(windows, tested)
    owners: dict[bytes, list[int]] = {}
    for i, run in _runs(windows, length):
        owners.setdefault(run, []).append(i)
    found = {i for _, run in _runs(tested, length) for i in owners.get(run, ())}
    return [int(i) for i in windows.window if int(i) in found]


def _runs(windows: Windows, length: int) -> Iterator[tuple[int, bytes]]:
    for i, row in zip(windows.window, windows.tokens.numpy(), strict=True):
        for start in range(len(row) - length + 1):
            yield int(i), row[start : start + length].tobytes()
