"""Builds an index of a corpus: streamed, one shard at a time, resumable.

The corpus is cut into shards of whole documents. Each shard is written, hashed and sorted before the manifest names it,
so an interrupted build resumes after its last complete shard. It reads the earlier documents again, because only their
hash shows that they are unchanged.

Sorting compares suffixes token by token, so the time grows with the length of repeats. A text repeated many times in a
row is very slow: shuffle or deduplicate such a corpus.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int
from tokengrams import MemmapIndex

from interp.data.counts.index import CountIndex, open_index
from interp.data.counts.manifest import (
    MANIFEST,
    CountIndexError,
    Manifest,
    Shard,
    read_manifest,
    table_file,
    token_file,
)
from interp.files import is_empty, only_writer, sha256, whole_file
from interp.progress import Progress, bar

SHARD_TOKENS = 2**28
"""Tokens per shard. The suffix array of a shard is sorted in memory and takes 8 bytes per token (2 GiB)."""


def build_index(
    documents: Iterable[Int[np.ndarray, " _pos"]],
    out: Path,
    *,
    d_vocab: int,
    tokenizer: str,
    source: str,
    shard_tokens: int = SHARD_TOKENS,
    progress: bool = False,
) -> CountIndex:
    """Index a corpus, or resume an interrupted build of the same corpus.

    One process at a time builds in a directory. Others wait, and then find the finished index.

    Args:
        documents: token ids of each document. No n-gram crosses two documents.
        out: directory of the index.
        d_vocab: size of the vocabulary. Ids are stored as u16 if they and a separator fit, otherwise as u32.
        tokenizer: ``tokenizer_fingerprint`` of the tokenizer that made the ids.
        source: name of the corpus.
        shard_tokens: a shard ends when it has this many tokens.
        progress: show a bar of documents, with the time left if ``documents`` has a length.

    Returns:
        The finished index, opened.

    Raises:
        CountIndexError: there are no documents, an id is outside the vocabulary, or the directory has an index of
            something else.
    """
    engine = f"tokengrams {importlib.metadata.version('tokengrams')}"
    wanted = Manifest(source=source, tokenizer=tokenizer, d_vocab=d_vocab, shard_tokens=shard_tokens, engine=engine)
    with only_writer(out, wait=True):
        earlier = _earlier(out, wanted)
        manifest = wanted
        if earlier is None:
            manifest.write(out)
        known = earlier.shards if earlier else ()
        total = len(documents) if isinstance(documents, Sized) else None
        with bar(total, f"index of {source}", progress, unit="document") as done:
            corpus = _Corpus(_checked(documents, d_vocab), manifest, done)
            while not corpus.ended:
                number = len(manifest.shards)
                if earlier and earlier.finished and number == len(known):
                    raise CountIndexError(f"{source} is longer than the corpus of {out}; give another directory")
                if number < len(known):
                    shard = corpus.shard(known[number].table_sha256)
                    if shard != known[number]:
                        raise CountIndexError(
                            f"shard {number} of {source} is not what {out} was built from: the corpus has changed; "
                            "give another directory"
                        )
                    manifest = manifest.with_shard(shard)
                else:
                    manifest = manifest.with_shard(_write_shard(corpus, out, number))
                    manifest.write(out)
        if not manifest.shards:
            raise CountIndexError(f"{source} has no documents; there is nothing to index")
        if len(manifest.shards) < len(known):
            raise CountIndexError(f"{source} ends before the corpus that {out} was built from; give another directory")
        if not (earlier and earlier.finished):
            replace(manifest, finished=True).write(out)
    return open_index(out, tokenizer=tokenizer)


def _earlier(out: Path, wanted: Manifest) -> Manifest | None:
    """The manifest of an earlier build of this index. Refuses another index."""
    if not (out / MANIFEST).exists():
        if not is_empty(out):
            raise CountIndexError(f"{out} is not empty and holds no index; give another directory")
        return None
    there = read_manifest(out)
    differing = there.describes(wanted)
    if differing:
        raise CountIndexError(
            f"{out} holds an index with another "
            + ", ".join(f"{name} ({getattr(there, name)!r}, not {getattr(wanted, name)!r})" for name in differing)
            + "; give another directory"
        )
    return there


def _checked(documents: Iterable[Int[np.ndarray, " _pos"]], d_vocab: int) -> Iterator[Int[np.ndarray, " _pos"]]:
    for number, ids in enumerate(documents):
        if len(ids) == 0:
            continue
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= d_vocab:
            raise CountIndexError(
                f"document {number} has token id {low if low < 0 else high}, outside the vocabulary of {d_vocab}; "
                "was it made with another tokenizer?"
            )
        yield ids


@dataclass
class _Corpus:
    """Documents, one shard at a time."""

    documents: Iterator[Int[np.ndarray, " _pos"]]
    manifest: Manifest
    done: Progress

    def __post_init__(self) -> None:
        self._next = next(self.documents, None)

    @property
    def ended(self) -> bool:
        return self._next is None

    def pieces(self) -> Iterator[Int[np.ndarray, " _pos"]]:
        """Each document of the next shard, with its separator."""
        n_tokens = 0
        while self._next is not None and n_tokens < self.manifest.shard_tokens:
            yield np.append(self._next, self.manifest.d_vocab)
            n_tokens += len(self._next) + 1
            self.done(1)
            self._next = next(self.documents, None)

    def shard(self, table_sha256: str, file: BinaryIO | None = None) -> Shard:
        """Facts on the next shard. Writes it to ``file`` if given."""
        digest, n_tokens, n_documents = hashlib.sha256(), 0, 0
        for piece in self.pieces():
            written = piece.astype(self.manifest.dtype).tobytes()
            digest.update(written)
            if file is not None:
                file.write(written)
            n_tokens, n_documents = n_tokens + len(piece), n_documents + 1
        return Shard(n_tokens=n_tokens, n_documents=n_documents, sha256=digest.hexdigest(), table_sha256=table_sha256)


def _write_shard(corpus: _Corpus, out: Path, number: int) -> Shard:
    """Write the next shard and sort its suffixes. A file gets its final name when it is complete."""
    tokens, table = token_file(out, number), table_file(out, number)
    with whole_file(tokens) as partial, partial.open("wb") as file:
        shard = corpus.shard("", file)
    with whole_file(table) as partial:
        MemmapIndex.build(str(tokens), str(partial), vocab=corpus.manifest.d_vocab + 1, verbose=False)
    return replace(shard, table_sha256=sha256(table))
