"""Provenance of results, and writing and reading of their tables."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import importlib
import importlib.metadata
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief, shortened
from interp.data.windows import Windows
from interp.errors import InterpError
from interp.files import TABLE_SUFFIXES, check_suffix, whole_file
from interp.models.identity import ModelIdentity

_PACKAGES = ("torch", "transformers", "transformer-lens")
_METADATA_KEY = b"interp.provenance"
_DIGEST_KEY = "interp.sha256"
_NO_DIGEST = 64 * "0"
# A key and its value in the footer. The length of the value is between them.
_DIGEST = re.compile(_DIGEST_KEY.encode() + rb".{1,4}?([0-9a-f]{64})", re.DOTALL)

MODEL = ("model", "model_revision", "weights", "tokenizer", "dtype", "attention", "hooks")
"""Fields of a provenance that identify the model."""
WINDOWS = ("windows_digest", "windows_tokenizer")
"""Fields that identify the windows."""
IDENTITY = (*MODEL, *WINDOWS)

_ROWS = 5
"""Rows of a table that a notebook shows."""


@cache
def _code_revision() -> str:
    """Revision of the checkout that the code runs from, read once; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _plain(value: Any) -> Any:
    """A setting as JSON data. A finished measurement must not fail because of a numpy number."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _told(fact: Any) -> str:
    return "none recorded" if fact in ("", []) else str(fact)


@dataclass(frozen=True, repr=False)
class Provenance(Brief):
    """Provenance of a result: enough to reproduce it."""

    measurement: str
    """Name of the function that measured."""
    model: str
    """Name by which the model was loaded; empty if there was no model."""
    windows: str
    """Source of the windows."""
    n_windows: int
    settings: dict[str, Any]
    """Every argument that can change the numbers, and ``hooks``: where the caller has attached hooks."""
    dtype: str
    """Number format of the model's parameters during the measurement."""
    device: str
    code_revision: str = field(default_factory=_code_revision)
    """Revision of this suite's code."""
    versions: dict[str, str] = field(
        default_factory=lambda: {package: importlib.metadata.version(package) for package in _PACKAGES}
    )
    time: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    windows_digest: str = ""
    """``Windows.digest``, or for a stream a hash of its chunks' digests."""
    windows_tokenizer: str = ""
    """Fingerprint of the tokenizer that made the windows' ids; empty if unknown."""
    tokenizer: str = ""
    """Fingerprint of the model's own tokenizer. ``no tokenizer`` if it has none; then the windows cannot be checked
    against it."""
    model_revision: str = ""
    """Requested revision on the hub, and its commit. Empty for a local directory."""
    weights: str = ""
    """Digest of the model's weights during the measurement."""
    attention: str = ""
    """Implementation of the model's attention."""

    @classmethod
    def of(
        cls, measurement: str, model: TransformerBridge | ModelIdentity | None, windows: Windows, **settings: Any
    ) -> Provenance:
        """Provenance of a measurement of ``model`` on ``windows``.

        Args:
            measurement: name of the function that measured.
            model: the model, or its identity taken earlier; ``None`` if there was no model.
            windows: the measured windows.
            settings: every argument that can change the numbers.
        """
        identity = ModelIdentity.of(model) if isinstance(model, TransformerBridge) else model or ModelIdentity()
        facts = asdict(identity)
        everything = {"prefix_len": windows.prefix_len, "hooks": facts.pop("hooks"), **settings}
        return cls(
            measurement=measurement,
            windows=windows.source,
            n_windows=len(windows),
            settings=json.loads(json.dumps(everything, default=_plain)),
            windows_digest=windows.digest,
            windows_tokenizer=windows.tokenizer or "",
            **facts,
        )

    def differences(self, other: Provenance, *, of: Sequence[str] = IDENTITY) -> str:
        """The fields that differ from ``other``, in words. Empty if model and windows are the same.

        Args:
            other: the provenance to compare with.
            of: names of the fields to compare.
        """
        facts = [{**vars(p), "hooks": p.settings.get("hooks", [])} for p in (self, other)]
        pairs = {name: (facts[0][name], facts[1][name]) for name in of}
        return ", ".join(
            f"{name.replace('_', ' ')} ({_told(mine)}, not {_told(yours)})"
            for name, (mine, yours) in pairs.items()
            if mine != yours
        )

    def found(self) -> str:
        """Model, windows and settings, for ``repr``."""
        settings = (f"{name}={value}" for name, value in self.settings.items() if value not in (None, []))
        model = f"{self.model} at {self.model_revision}" if self.model_revision else self.model
        return shortened(f"{self.measurement} of {model} in {self.dtype}, {', '.join(settings)}", 120)


class Result(Brief):
    """Base of the results of all measurements and comparisons: a table, a view for notebooks, a figure."""

    def to_frame(self) -> pd.DataFrame:
        """The result as a table."""
        raise NotImplementedError

    def figure(self, **options: Any) -> go.Figure:
        """The main figure of the result, made by plotly.

        Args:
            options: those of the figure's function, such as ``caption``; see ``interp.figures.main``.

        Raises:
            FigureError: the result has no figure of its own.
        """
        # By name: figures stand above the results that they draw.
        return importlib.import_module("interp.figures.main").draw(self, **options)

    def _repr_html_(self) -> str:
        table = self.to_frame()
        shown = table.head(_ROWS).to_html(index=False, border=0, float_format="{:.4g}".format, notebook=True)
        told = html.escape(repr(self)).replace("\n", "<br>")
        more = f"<p>{len(table):,} rows in <code>to_frame()</code></p>" if len(table) > _ROWS else ""
        return f"<p>{told}</p>{shown}{more}"


@runtime_checkable
class Measured(Protocol):
    """A result that knows how it was made, so that it can be written."""

    @property
    def provenance(self) -> Provenance:
        """Provenance of the result."""
        ...

    def to_frame(self) -> pd.DataFrame:
        """The result as a table."""
        ...


class TableError(InterpError, ValueError):
    """A file is damaged, or is not a table of this suite."""


def write_table(frame: pd.DataFrame, path: Path, provenance: Provenance | list[Provenance]) -> Path:
    """Write a table as parquet, with its provenance in the metadata. An interrupted write leaves no file.

    The metadata contains a digest of all other bytes, and each page has a checksum. So damage causes an error on
    reading, not a wrong number.

    Raises:
        OutputError: the suffix belongs to another format, such as ``.csv``.
    """
    check_suffix(path, TABLE_SUFFIXES)
    many = provenance if isinstance(provenance, list) else [provenance]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps([asdict(p) for p in many]).encode()}
    table = table.replace_schema_metadata(metadata)
    with whole_file(path) as partial:
        # Opened here, because pyarrow does not close its own files on a full disk.
        with (
            partial.open("wb") as file,
            pq.ParquetWriter(file, table.schema, compression="zstd", write_page_checksum=True) as writer,
        ):
            writer.write_table(table)
            writer.add_key_value_metadata({_DIGEST_KEY: _NO_DIGEST})
        _, digest, start = _digest(partial.read_bytes())
        with partial.open("r+b") as written:
            written.seek(start)
            written.write(digest)
    return path


def write_result(result: Measured, path: Path) -> Path:
    """Write a result's table; see ``write_table``."""
    return write_table(result.to_frame(), path, result.provenance)


def read_table(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that ``write_table`` wrote.

    Args:
        path: the file.
        columns: the columns to read, in this order. Default: all.

    Raises:
        TableError: the file is damaged, was not written by this suite, or lacks these columns.
        OSError: no such file.
    """
    return read_result(path, columns=columns)[0]


def read_result(path: Path, *, columns: Sequence[str] | None = None) -> tuple[pd.DataFrame, list[Provenance]]:
    """Read a table and its provenance. The file is read once, so both are of one writing.

    Args and errors are those of ``read_table``.
    """
    with _read(path) as file:
        lacking = sorted({*(columns or ())} - {*file.schema_arrow.names})
        if lacking:
            raise TableError(f"{path} has no column {lacking[0]!r}; it has {file.schema_arrow.names}")
        return file.read(columns=None if columns is None else list(columns)).to_pandas(), _provenance(file)


def read_provenance(path: Path) -> list[Provenance]:
    """Read the provenance of a table.

    Raises:
        TableError: the file is damaged, or was not written by this suite.
        OSError: no such file.
    """
    with _read(path) as file:
        return _provenance(file)


def _provenance(file: pq.ParquetFile) -> list[Provenance]:
    written = json.loads(file.schema_arrow.metadata[_METADATA_KEY])
    # Version 0.1 called the code's revision `revision`.
    return [Provenance(**{"code_revision" if name == "revision" else name: p[name] for name in p}) for p in written]


@contextmanager
def _read(path: Path) -> Iterator[pq.ParquetFile]:
    """A table's file, opened and checked."""
    data = path.read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        if _METADATA_KEY not in (file.schema_arrow.metadata or {}):
            raise TableError(f"{path} has no provenance: it was not written by interp.results.write_table")
        # Tables of older versions have none.
        if _DIGEST_KEY.encode() in data:
            found, digest, _ = _digest(data)
            if found != digest:
                raise TableError(f"{path} is damaged: its bytes have changed since it was written")
        yield file
    except TableError:
        raise
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise TableError(f"{path} is damaged or not a table of this suite: {reason}") from error


def _digest(data: bytes) -> tuple[bytes, bytes, int]:
    """The digest in a table's bytes, the digest it should have, and its position."""
    *_, place = _DIGEST.finditer(data)
    start, end = place.span(1)
    digest = hashlib.sha256(data[:start])
    digest.update(data[end:])
    return place[1], digest.hexdigest().encode(), start
