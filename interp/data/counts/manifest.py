"""What an index says about itself, so that a half-built or foreign one is never read as the right one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from interp.brief import Brief
from interp.data.tokenizers import tokenizer_fingerprint
from interp.errors import InterpError
from interp.files import write_text

__all__ = ["CountIndexError", "Manifest", "Shard", "read_manifest", "table_file", "token_file", "tokenizer_fingerprint"]

MANIFEST = "manifest.json"
_FORMAT = 1


class CountIndexError(InterpError, ValueError):
    """An index that cannot be built or read, or a query that it cannot answer."""


@dataclass(frozen=True)
class Shard:
    """One piece of the corpus: a token file and its suffix array."""

    n_tokens: int
    """Tokens, separators among them."""
    n_documents: int
    sha256: str
    """Hash of the token file."""


@dataclass(frozen=True, repr=False)
class Manifest(Brief):
    """Facts on an index."""

    source: str
    """Where the corpus came from."""
    tokenizer: str
    """Fingerprint of the tokenizer that made the ids."""
    d_vocab: int
    """Ids are below this; ``d_vocab`` itself separates documents."""
    shard_tokens: int
    engine: str
    shards: tuple[Shard, ...] = ()
    """Finished shards, in order."""
    finished: bool = False
    format: int = _FORMAT

    @property
    def dtype(self) -> np.dtype:
        """Type of the ids on disk: u16 where they fit, else u32."""
        return np.dtype("<u2") if self.d_vocab < 2**16 else np.dtype("<u4")

    @property
    def n_tokens(self) -> int:
        """Tokens of the corpus, separators not counted."""
        return sum(shard.n_tokens - shard.n_documents for shard in self.shards)

    @property
    def sha256(self) -> str:
        """Hash of the whole corpus as it was cut into shards."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def describes(self, other: Manifest) -> list[str]:
        """Names of the facts in which another build differs from this one."""
        names = ("source", "tokenizer", "d_vocab", "shard_tokens", "format")
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def with_shard(self, shard: Shard) -> Manifest:
        return replace(self, shards=(*self.shards, shard))

    def write(self, directory: Path) -> None:
        """Write whole or not at all: an interrupted write leaves the manifest as it was."""
        write_text(directory / MANIFEST, json.dumps(asdict(self), indent=1))


def read_manifest(directory: Path) -> Manifest:
    """Read an index's manifest, finished or not.

    Raises:
        CountIndexError: there is none, or it was written by another version.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise CountIndexError(
            f"{directory} holds no {MANIFEST}: it is not an index; build one with `interp index build`"
        )
    facts = json.loads(path.read_text())
    if facts.get("format") != _FORMAT:
        raise CountIndexError(f"{path} has format {facts.get('format')}, this version reads {_FORMAT}; build it again")
    return Manifest(**{**facts, "shards": tuple(Shard(**shard) for shard in facts["shards"])})


def token_file(directory: Path, shard: int) -> Path:
    return directory / f"tokens-{shard:05d}.bin"


def table_file(directory: Path, shard: int) -> Path:
    return directory / f"table-{shard:05d}.idx"
