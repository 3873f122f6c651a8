"""What every result carries, and the one place where results are written and read."""

from __future__ import annotations

import datetime as dt
import hashlib
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
# A key and its value in the footer: what tells the length of the value stands between.
_DIGEST = re.compile(_DIGEST_KEY.encode() + rb".{1,4}?([0-9a-f]{64})", re.DOTALL)

MODEL = ("model", "model_revision", "weights", "tokenizer", "dtype", "attention", "hooks")
"""Fields of a provenance that say which model was measured."""
WINDOWS = ("windows_digest", "windows_tokenizer")
"""Fields that say on what."""
IDENTITY = (*MODEL, *WINDOWS)


@cache
def _code_revision() -> str:
    """Revision of the checkout that the code runs from, when it was first asked; "unknown" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _plain(value: Any) -> Any:
    """A setting as JSON can hold it: a finished measurement must not fail for a number of numpy's."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _told(fact: Any) -> str:
    return "none recorded" if fact in ("", []) else str(fact)


@dataclass(frozen=True, repr=False)
class Provenance(Brief):
    """How a result came about: enough to run it again."""

    measurement: str
    """Name of the function that measured."""
    model: str
    """Name it was loaded by; empty where no model took part."""
    windows: str
    """Source of the windows."""
    n_windows: int
    settings: dict[str, Any]
    """Every argument that can change the numbers, and ``hooks``: where the caller has attached something."""
    dtype: str
    """Of the model's parameters, when it was measured."""
    device: str
    code_revision: str = field(default_factory=_code_revision)
    """Of this suite's code; ``model_revision`` is the model's."""
    versions: dict[str, str] = field(
        default_factory=lambda: {package: importlib.metadata.version(package) for package in _PACKAGES}
    )
    time: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    windows_digest: str = ""
    """``Windows.digest``; of a stream, a hash of its chunks' digests."""
    windows_tokenizer: str = ""
    """Fingerprint of the tokenizer that made the windows' ids; empty where that is not known."""
    tokenizer: str = ""
    """Fingerprint of the model's own tokenizer; ``no tokenizer`` where it has none, so that nobody could tell whether
    the windows are its own text."""
    model_revision: str = ""
    """Revision on the hub that was asked for, and its commit; empty for a local directory."""
    weights: str = ""
    """Digest of the model's weights as they were when it was measured."""
    attention: str = ""
    """Implementation of the model's attention."""

    @classmethod
    def of(
        cls, measurement: str, model: TransformerBridge | ModelIdentity | None, windows: Windows, **settings: Any
    ) -> Provenance:
        """Provenance of a measurement of ``model`` on ``windows``.

        Args:
            measurement: name of the function that measured.
            model: the model, or what it was when its identity was last taken; ``None`` where none took part.
            windows: what was measured on.
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
        """What is another thing here than in ``other``, in words; empty where both are of the same model and windows.

        Args:
            other: what is compared with.
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


@runtime_checkable
class Result(Protocol):
    """What every measurement returns."""

    @property
    def provenance(self) -> Provenance:
        """How it came about."""
        ...

    def to_frame(self) -> pd.DataFrame:
        """As a table."""
        ...


class TableError(InterpError, ValueError):
    """A file that is damaged, or no table of this suite."""


def write_table(frame: pd.DataFrame, path: Path, provenance: Provenance | list[Provenance]) -> Path:
    """Write a table as parquet with its provenance in the file's metadata; an interrupted write leaves no file.

    A digest of all other bytes of the file stands in its metadata, and each page has a checksum: damage is an error on
    reading, not another number.

    Raises:
        OutputError: a suffix of another format, such as ``.csv``.
    """
    check_suffix(path, TABLE_SUFFIXES)
    many = provenance if isinstance(provenance, list) else [provenance]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps([asdict(p) for p in many]).encode()}
    table = table.replace_schema_metadata(metadata)
    with whole_file(path) as partial:
        # Opened here: on a full disk pyarrow leaves a file that it opened itself open.
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


def write_result(result: Result, path: Path) -> Path:
    """Write a result's table; see ``write_table``."""
    return write_table(result.to_frame(), path, result.provenance)


def read_table(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table that ``write_table`` wrote.

    Args:
        path: the file.
        columns: those to read, in this order; all unless given.

    Raises:
        TableError: a damaged file, one that was not written by this suite, or one without these columns.
        OSError: no such file.
    """
    with _read(path) as file:
        lacking = sorted({*(columns or ())} - {*file.schema_arrow.names})
        if lacking:
            raise TableError(f"{path} has no column {lacking[0]!r}; it has {file.schema_arrow.names}")
        return file.read(columns=None if columns is None else list(columns)).to_pandas()


def read_provenance(path: Path) -> list[Provenance]:
    """Provenance of a written table.

    Raises:
        TableError: a damaged file, or one that was not written by this suite.
        OSError: no such file.
    """
    with _read(path) as file:
        written = json.loads(file.schema_arrow.metadata[_METADATA_KEY])
    # Version 0.1 called the code's revision `revision`.
    return [Provenance(**{"code_revision" if name == "revision" else name: p[name] for name in p}) for p in written]


@contextmanager
def _read(path: Path) -> Iterator[pq.ParquetFile]:
    """A table's file, whole and checked."""
    data = path.read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        if _METADATA_KEY not in (file.schema_arrow.metadata or {}):
            raise TableError(f"{path} carries no provenance: it was not written by interp.results.write_table")
        # Tables that an older version wrote have none.
        if _DIGEST_KEY.encode() in data:
            found, digest, _ = _digest(data)
            if found != digest:
                raise TableError(f"{path} is damaged: its bytes are not those that were written")
        yield file
    except TableError:
        raise
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise TableError(f"{path} is damaged or no table of this suite: {reason}") from error


def _digest(data: bytes) -> tuple[bytes, bytes, int]:
    """The digest that stands in a table's bytes, the one that should, and where it stands."""
    *_, place = _DIGEST.finditer(data)
    start, end = place.span(1)
    digest = hashlib.sha256(data[:start])
    digest.update(data[end:])
    return place[1], digest.hexdigest().encode(), start
