"""Manifest of an index, so that an incomplete or different index is never mistaken for the right one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from interp.brief import Brief
from interp.data.tokenizers import tokenizer_fingerprint
from interp.errors import InterpError
from interp.files import write_text

__all__ = ["CountIndexError", "Manifest", "Shard", "read_manifest", "table_file", "token_file", "tokenizer_fingerprint"]

MANIFEST = "manifest.json"
_FORMAT = 2

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CountIndexError(InterpError, ValueError):
    """An index cannot be built or read, or cannot answer a query."""


@dataclass(frozen=True)
class Shard:
    """One piece of the corpus: a token file and its suffix array."""

    n_tokens: Annotated[int, Field(gt=1)]
    """Number of tokens, separators included."""
    n_documents: Annotated[int, Field(gt=0)]
    sha256: Digest
    """Hash of the token file."""
    table_sha256: Digest
    """Hash of the suffix array's file."""


@dataclass(frozen=True, repr=False)
class Manifest(Brief):
    """Facts on an index."""

    source: str
    """Origin of the corpus."""
    tokenizer: str
    """Fingerprint of the tokenizer that made the ids."""
    d_vocab: Annotated[int, Field(gt=0, lt=2**32 - 1)]
    """Ids are below this. ``d_vocab`` itself separates documents."""
    shard_tokens: Annotated[int, Field(gt=0)]
    engine: str
    shards: tuple[Shard, ...] = ()
    """Finished shards, in order."""
    finished: bool = False
    format: int = _FORMAT

    @property
    def dtype(self) -> np.dtype:
        """Type of the ids on disk: u16 if they fit, otherwise u32."""
        return np.dtype("<u2") if self.d_vocab < 2**16 else np.dtype("<u4")

    @property
    def n_tokens(self) -> int:
        """Number of tokens of the corpus, without separators."""
        return sum(shard.n_tokens - shard.n_documents for shard in self.shards)

    @property
    def sha256(self) -> str:
        """Hash of the whole corpus and its shards."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def describes(self, other: Manifest) -> list[str]:
        """Names of the facts in which another build differs from this one."""
        names = ("source", "tokenizer", "d_vocab", "shard_tokens", "format")
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def with_shard(self, shard: Shard) -> Manifest:
        """The manifest with one more shard."""
        return replace(self, shards=(*self.shards, shard))

    def write(self, directory: Path) -> None:
        """Write atomically: an interrupted write leaves the old manifest."""
        write_text(directory / MANIFEST, json.dumps(asdict(self), indent=1))


def read_manifest(directory: Path) -> Manifest:
    """Read an index's manifest, finished or not.

    Raises:
        CountIndexError: there is no manifest, it is damaged, or another version wrote it.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise CountIndexError(f"{directory} has no {MANIFEST}: it is not an index; build one with `interp index build`")
    text = path.read_bytes()
    try:
        facts = json.loads(text)
        if isinstance(facts, dict) and facts.get("format") != _FORMAT:
            raise CountIndexError(
                f"{path} has format {facts.get('format')!r}, this version reads {_FORMAT}; build the index again in "
                "another directory"
            )
        return TypeAdapter(Manifest).validate_json(text, strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        what = f"{'.'.join(map(str, wrong['loc'])) or 'it'}: {wrong['msg']}, not {str(wrong['input'])[:80]}"
        raise CountIndexError(f"{path} is damaged ({what}); build the index again in another directory") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, CountIndexError):
            raise
        raise CountIndexError(f"{path} is damaged ({error}); build the index again in another directory") from error


def token_file(directory: Path, shard: int) -> Path:
    """Path of a shard's tokens."""
    return directory / f"tokens-{shard:05d}.bin"


def table_file(directory: Path, shard: int) -> Path:
    """Path of a shard's suffix array."""
    return directory / f"table-{shard:05d}.idx"
