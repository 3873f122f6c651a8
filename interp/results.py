"""What every result carries, and the one place where results are written and read."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief, shortened
from interp.data.windows import Windows
from interp.files import whole_file
from interp.models.hooks import attached_hooks

_PACKAGES = ("torch", "transformers", "transformer-lens")
_METADATA_KEY = b"interp.provenance"


def _git_revision() -> str:
    """Revision of the checkout that the code runs from; "unknown" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@dataclass(frozen=True, repr=False)
class Provenance(Brief):
    """How a result came about: enough to run it again."""

    measurement: str
    """Name of the function that measured."""
    model: str
    windows: str
    """Source of the windows."""
    n_windows: int
    settings: dict[str, Any]
    """Every argument that can change the numbers, and ``hooks``: where the caller has attached something."""
    dtype: str
    device: str
    revision: str = field(default_factory=_git_revision)
    versions: dict[str, str] = field(
        default_factory=lambda: {package: importlib.metadata.version(package) for package in _PACKAGES}
    )
    time: str = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"))

    @classmethod
    def of(cls, measurement: str, model: TransformerBridge, windows: Windows, **settings: Any) -> Provenance:
        """Provenance of a measurement of ``model`` on ``windows``."""
        return cls(
            measurement=measurement,
            model=model.cfg.model_name,
            windows=windows.source,
            n_windows=len(windows),
            settings={"prefix_len": windows.prefix_len, "hooks": attached_hooks(model), **settings},
            dtype=str(model.cfg.dtype).removeprefix("torch."),
            device=str(model.cfg.device),
        )

    def found(self) -> str:
        settings = (f"{name}={value}" for name, value in self.settings.items() if value is not None)
        return shortened(f"{self.measurement} of {self.model} in {self.dtype}, {', '.join(settings)}", 120)


@runtime_checkable
class Result(Protocol):
    """What every measurement returns."""

    @property
    def provenance(self) -> Provenance: ...

    def to_frame(self) -> pd.DataFrame: ...


def write_table(frame: pd.DataFrame, path: Path, provenance: Provenance | list[Provenance]) -> Path:
    """Write a table as parquet with its provenance in the file's metadata; an interrupted write leaves no file."""
    many = provenance if isinstance(provenance, list) else [provenance]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps([asdict(p) for p in many]).encode()}
    with whole_file(path) as partial:
        # With a checksum on each page a flipped bit is an error on reading, not another number.
        pq.write_table(table.replace_schema_metadata(metadata), partial, compression="zstd", write_page_checksum=True)
    return path


def write_result(result: Result, path: Path) -> Path:
    """Write a result's table; see ``write_table``."""
    return write_table(result.to_frame(), path, result.provenance)


def read_provenance(path: Path) -> list[Provenance]:
    """Provenance of a written table.

    Raises:
        ValueError: the file was not written by this suite.
    """
    metadata = pq.read_schema(path).metadata or {}
    if _METADATA_KEY not in metadata:
        raise ValueError(f"{path} carries no provenance: it was not written by interp.results.write_table")
    return [Provenance(**p) for p in json.loads(metadata[_METADATA_KEY])]
