"""Rows of local files: parquet, JSON lines, JSON, CSV and text, also compressed.

Files are read row by row, and only the needed columns. Nothing is inferred from other columns or rows, a path is never
a pattern, and the network is not used.

- ``.parquet``: the needed columns, a batch of rows at a time.
- ``.jsonl``, ``.json``: one object per line; or one array of objects, or one object, over many lines, read whole.
- ``.csv``: commas, a header; an empty field is null.
- ``.txt``: one document, with the columns ``text`` and ``file`` (its path). Line ends stay as they are.

Text is UTF-8; a byte order mark at the start is dropped.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interp.data.columns import needed
from interp.data.owned import WindowError
from interp.files import is_lfs_pointer

Row = Mapping[str, Any]

DAMAGED = (pa.ArrowException, EOFError, zlib.error, lzma.LZMAError, csv.Error, RecursionError, ValueError, OSError)
"""Errors of the readers on a file that does not match its suffix."""
_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 2**20
_FIELD_LIMIT = 2**31 - 1
_MARK = b"\xef\xbb\xbf"
_SIDECARS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_SPLIT = re.compile(r"(?:^|[/._-])(train|validation|valid|val|dev|test|eval)(?=[/._-])", re.IGNORECASE)


def read_file(
    path: Path, columns: Sequence[str], name: str, *, read: Callable[[int], object] = lambda _: None
) -> Iterator[Row]:
    """Rows of a file, with the needed columns.

    Args:
        path: the file.
        columns: the needed columns.
        name: name of a text file in its row.
        read: called after each row with the number of bytes read since the last call.

    Raises:
        WindowError: the file's type is unknown, it is damaged, or it does not match its suffix.
    """
    reader = _reader(path)
    if reader is None and _is_parquet(path):
        reader = _parquet
    if reader is None:
        raise WindowError(
            f"{path} is none of {', '.join(_READERS)}, also with {', '.join(_COMPRESSED)}: the suffix gives the format"
        )
    try:
        if is_lfs_pointer(path):
            raise WindowError(f"{path} is a pointer of Git LFS, not the file itself; run `git lfs pull` there")
        unpack = _COMPRESSED.get(path.suffix.lower())
        with path.open("rb") as file, nullcontext(file) if unpack is None else unpack(file, "rb") as handle:
            at = 0
            for row in reader(handle, columns, name):
                read(max(0, file.tell() - at))
                at = max(at, file.tell())
                yield row
    except WindowError:
        raise
    except DAMAGED as error:
        raise WindowError(f"{path} cannot be read: {error}") from error


def list_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The data files below a folder, sorted by path, and the files of other types. Hidden files are ignored.

    Raises:
        WindowError: the folder has no data file, cannot be read, or has a file twice.
    """
    found, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(root)
        folders[:] = [name for name in folders if not name.startswith(".")] if real not in seen else []
        names = [name for name in names if not name.startswith(".")] if real not in seen else []
        seen.add(real)
        found += [Path(root, name) for name in names]
    found.sort(key=lambda path: path.relative_to(folder).parts)
    data = [path for path in found if _reader(path) and path.name not in _SIDECARS]
    if not data:
        raise WindowError(f"{folder} holds no data: no file in it is one of {', '.join(_READERS)}")
    unpacked = {path for path in data if path.suffix.lower() not in _COMPRESSED}
    twice = [path for path in data if path not in unpacked and path.with_suffix("") in unpacked]
    if twice:
        raise WindowError(f"{twice[0]} and {twice[0].stem} are both there: one text twice; keep one of them")
    return data, [path for path in found if path not in set(data)]


def splits(files: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    """A folder's files by split, if every file name has one (``data/test-00000.parquet``).

    Otherwise all are "train".
    """
    named: dict[str, list[Path]] = {}
    for path in files:
        match = _SPLIT.search(path.relative_to(folder).as_posix())
        if match is None:
            return {"train": list(files)}
        named.setdefault(match[1].lower(), []).append(path)
    return named


def _reader(path: Path) -> Callable[[io.BufferedIOBase, Sequence[str], str], Iterator[Row]] | None:
    suffix = Path(path.stem).suffix if path.suffix.lower() in _COMPRESSED else path.suffix
    return _READERS.get(suffix.lower())


def _refuse(error: OSError) -> None:
    raise WindowError(f"{error.filename} cannot be read: {error.strerror}") from error


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4) == b"PAR1"


def _open_zstd(file: io.BufferedReader, mode: str) -> io.BufferedIOBase:
    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


def _parquet(handle: io.BufferedIOBase, columns: Sequence[str], name: str) -> Iterator[Row]:
    # The footer comes last, so a compressed file must be unpacked first.
    plain = isinstance(handle, io.BufferedReader) and handle.seekable()
    # Without these, Arrow keeps everything it has read until the end.
    flat = {"pre_buffer": False, "buffer_size": _BYTES_AT_ONCE}
    file = pq.ParquetFile(handle if plain else io.BytesIO(handle.read()), **flat)
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=needed(columns, file.schema_arrow.names, name)):
        yield from batch.to_pylist()


def _json(handle: io.BufferedIOBase, columns: Sequence[str], name: str) -> Iterator[Row]:
    first = handle.readline()
    opening = first.removeprefix(_MARK).strip()
    if opening.startswith(b"[") or opening == b"{":
        whole = json.loads(_decode(first + handle.read()))
        yield from (_object(row, f"entry {n}") for n, row in enumerate(whole if isinstance(whole, list) else [whole]))
        return
    for n, line in enumerate(_lines(handle, first), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {n} is not JSON ({error})") from error
            yield _object(row, f"line {n}")


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is not an object with named fields but {type(row).__name__}")
    return row


def _csv(handle: io.BufferedIOBase, columns: Sequence[str], name: str) -> Iterator[Row]:
    rows = _csv_rows(_lines(handle))
    header = next(rows, None)
    if header is None:
        return
    twice = [column for column in needed(columns, header, name) if header.count(column) > 1]
    if twice:
        raise ValueError(f"it has two columns {twice[0]!r}")
    for n, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {n} has {len(row)} fields, the header has {len(header)}")
        yield {column: field or None for column, field in zip(header, row, strict=True)}


def _csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Rows that are not blank, with fields of any length. The field limit of the process is restored."""
    reader = csv.reader(lines, strict=True)
    while True:
        limit = csv.field_size_limit(_FIELD_LIMIT)
        try:
            row = next(reader, None)
        finally:
            csv.field_size_limit(limit)
        if row is None:
            return
        if row:
            yield row


def _text(handle: io.BufferedIOBase, columns: Sequence[str], name: str) -> Iterator[Row]:
    row = {"text": _decode(handle.read()), "file": name}
    needed(columns, list(row), name)
    yield row


def _lines(handle: io.BufferedIOBase, first: bytes | None = None) -> Iterator[str]:
    offset, line = 0, handle.readline() if first is None else first
    while line:
        yield _decode(line, offset)
        offset += len(line)
        line = handle.readline()


def _decode(data: bytes, offset: int = 0) -> str:
    try:
        return (data.removeprefix(_MARK) if offset == 0 else data).decode("utf-8")
    except UnicodeDecodeError as error:
        mark = len(_MARK) if offset == 0 and data.startswith(_MARK) else 0
        raise ValueError(f"byte {offset + mark + error.start} is not UTF-8") from error


_READERS = {".parquet": _parquet, ".jsonl": _json, ".json": _json, ".csv": _csv, ".txt": _text}
_COMPRESSED: dict[str, Callable[[io.BufferedReader, str], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstd,
}
