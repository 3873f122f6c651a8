"""Frequency of any number of windows, counted chunk by chunk into parquet parts that are read one at a time.

>>> counted = stream_frequency(index, stream_windows(corpus, tokenizer, chunk=4096), Path("counts"))
>>> counted.boundary(groups), counted.curves(groups)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from xxhash import xxh3_128_hexdigest

from interp.data.counts.index import CountIndex
from interp.data.counts.manifest import CountIndexError
from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.files import only_writer
from interp.progress import along
from interp.results import WINDOWS, Provenance, read_provenance, read_table, write_table
from interp.several import several
from interp.statistical.frequency import LENGTHS, Frequency, frequency, frequency_provenance


def stream_frequency(
    index: CountIndex,
    stream: Iterable[Windows],
    out: Path,
    *,
    lengths: int | Sequence[int] = LENGTHS,
    progress: bool = False,
) -> Frequency:
    """``frequency`` of a stream of chunks, for runs of any size. An interrupted run resumes where it stopped.

    One process at a time writes into a folder; others wait. Memory holds one chunk, and the table of all chunks (about
    200 bytes per window, plus its names).

    Args:
        index: as in ``frequency``.
        stream: chunks of windows (4,096, for example), the same on every run.
        out: folder for the counts by position, ``part-000000.parquet`` ... Finished parts are not counted again.
        lengths: as in ``frequency``.
        progress: show a bar of the chunks, with the time left if ``stream`` has a length.

    Raises:
        CountIndexError: as ``frequency``, or a part in the folder has other windows, lengths or another index.
        WindowError: no windows.
    """
    lengths = several(lengths)
    parts, tables, made = [], [], []
    with only_writer(out, wait=True):
        total = len(stream) if isinstance(stream, Sized) else None
        for number, windows in enumerate(along(stream, "n-gram counts", progress, total=total, unit="chunk")):
            part = out / f"part-{number:06d}.parquet"
            parts.append(part)
            made.append(frequency_provenance(index, windows, lengths))
            if not part.exists():
                _write_part(frequency(index, windows, lengths=lengths), part)
            tables.append(_read_table(part, windows, made[-1]))
    if not parts:
        raise WindowError("the stream has no windows to count")
    return Frequency(
        table=pd.concat(tables, ignore_index=True),
        lengths=tuple(lengths),
        prefix_len=made[0].settings["prefix_len"],
        pieces=_Parts(tuple(parts), tuple(lengths)),
        provenance=replace(
            made[0],
            n_windows=sum(p.n_windows for p in made),
            windows_digest=xxh3_128_hexdigest("".join(p.windows_digest for p in made).encode()),
        ),
    )


def chunks(windows: Windows, size: int = 4096) -> list[Windows]:
    """Split windows in memory into chunks."""
    return [windows.select(np.arange(where.start, where.stop)) for where, _ in windows.batches(size)]


@dataclass(frozen=True)
class _Parts:
    """Counts by position on disk. Each iteration reads them one part at a time."""

    paths: tuple[Path, ...]
    lengths: tuple[int, ...]

    def __iter__(self) -> Iterator[Float[np.ndarray, "_window length pos"]]:
        for path in self.paths:
            stored = read_table(path, columns=[f"counts_{n}" for n in self.lengths])
            yield np.stack([np.stack(stored[f"counts_{n}"].to_list()) for n in self.lengths], axis=1)


def _write_part(piece: Frequency, path: Path) -> None:
    (counts,) = piece.pieces
    by_position = {f"counts_{n}": list(counts[:, i]) for i, n in enumerate(piece.lengths)}
    write_table(piece.table.assign(**by_position), path, piece.provenance)


def _read_table(path: Path, windows: Windows, wanted: Provenance) -> pd.DataFrame:
    """The small columns of a part. Refuses a part with other windows or settings."""
    try:
        (found,) = read_provenance(path)
    except ValueError as error:
        raise CountIndexError(
            f"{path} holds no counts of this suite ({error}); remove it if it is damaged, or choose an empty folder"
        ) from error
    columns = [*windows.to_frame(), "window_count"]
    columns += [f"{of}_{n}" for n in wanted.settings["lengths"] for of in ("log_count", "step")]
    differences = wanted.differences(found, of=(*WINDOWS, "settings"))
    if differences:
        raise CountIndexError(f"{path} holds counts of something else: other {differences}; choose an empty folder")
    return read_table(path, columns=columns)
