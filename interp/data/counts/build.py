"""Building an index of a corpus: streamed, a shard at a time, resumable.

The corpus is cut into shards of whole documents. Each shard is written, hashed and sorted before the manifest names
it, so an interrupted build goes on from its last whole shard; the documents before that are read again, because
only their hash shows that they are still the same.

Sorting compares suffixes token by token: time grows with the length of the repeats in the corpus, and a text that
stands many times in a row is very slow. Shuffle or deduplicate such a corpus.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokengrams import MemmapIndex
from tqdm import tqdm

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

SHARD_TOKENS = 2**28
"""Tokens of a shard: its suffix array is sorted at once and takes 8 bytes a token (2 GiB)."""


def build_index(
    documents: Iterable[Int[np.ndarray, " _pos"]],
    out: Path,
    *,
    d_vocab: int,
    tokenizer: str,
    source: str,
    shard_tokens: int = SHARD_TOKENS,
    progress: bool = True,
) -> CountIndex:
    """Index a corpus, or go on with an interrupted build of the same corpus.

    Args:
        documents: token ids of each document; no n-gram crosses from one to the next.
        out: directory of the index.
        d_vocab: size of the vocabulary. Ids are stored as u16 where they and a separator fit, else as u32.
        tokenizer: ``tokenizer_fingerprint`` of the tokenizer that made the ids.
        source: name of the corpus.
        shard_tokens: a shard is closed when it has this many tokens.
        progress: show a bar of tokens.

    Returns:
        The finished index, opened.

    Raises:
        CountIndexError: no documents, an id outside the vocabulary, or a directory that holds another index or
            another corpus.
    """
    engine = f"tokengrams {importlib.metadata.version('tokengrams')}"
    wanted = Manifest(source=source, tokenizer=tokenizer, d_vocab=d_vocab, shard_tokens=shard_tokens, engine=engine)
    out.mkdir(parents=True, exist_ok=True)
    earlier: tuple[Shard, ...] = ()
    if (out / MANIFEST).exists():
        there = read_manifest(out)
        differing = there.describes(wanted)
        if differing:
            raise CountIndexError(
                f"{out} holds an index with another "
                + ", ".join(f"{name} ({getattr(there, name)!r}, not {getattr(wanted, name)!r})" for name in differing)
                + "; give another directory"
            )
        earlier = there.shards
    elif any(out.iterdir()):
        raise CountIndexError(f"{out} is not empty and holds no index; give another directory")

    manifest = wanted
    if not earlier:
        manifest.write(out)
    with tqdm(unit="token", unit_scale=True, disable=not progress, desc=f"index of {source}") as bar:
        stream = _checked(documents, d_vocab)
        for number, shard in enumerate(_write_shards(stream, out, manifest, bar)):
            if number < len(earlier):
                if shard != earlier[number]:
                    raise CountIndexError(
                        f"shard {number} of {source} is not what {out} was built from: the corpus has changed; "
                        "give another directory"
                    )
                token_file(out, number).with_suffix(".partial").unlink()
            else:
                _finish_shard(out, number, d_vocab)
            manifest = manifest.with_shard(shard)
            if number >= len(earlier):
                manifest.write(out)
    if not manifest.shards:
        raise CountIndexError(f"{source} has no documents; there is nothing to index")
    if len(manifest.shards) < len(earlier):
        raise CountIndexError(f"{source} ends before the corpus that {out} was built from; give another directory")
    Manifest(**{**vars(manifest), "finished": True}).write(out)
    return open_index(out, tokenizer=tokenizer)


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


def _write_shards(
    documents: Iterator[Int[np.ndarray, " _pos"]], out: Path, manifest: Manifest, bar: tqdm
) -> Iterator[Shard]:
    """Write token files, each named ``.partial``, and yield what is in each."""
    number, ids = 0, next(documents, None)
    while ids is not None:
        digest, n_tokens, n_documents = hashlib.sha256(), 0, 0
        with token_file(out, number).with_suffix(".partial").open("wb") as file:
            while ids is not None and n_tokens < manifest.shard_tokens:
                piece = np.append(ids, manifest.d_vocab).astype(manifest.dtype).tobytes()
                file.write(piece)
                digest.update(piece)
                n_tokens, n_documents = n_tokens + len(ids) + 1, n_documents + 1
                bar.update(len(ids))
                ids = next(documents, None)
            file.flush()
            os.fsync(file.fileno())
        yield Shard(n_tokens=n_tokens, n_documents=n_documents, sha256=digest.hexdigest())
        number += 1


def _finish_shard(out: Path, number: int, d_vocab: int) -> None:
    """Sort the suffixes of a shard; both files get their names when they are whole."""
    tokens, table = token_file(out, number), table_file(out, number)
    os.replace(tokens.with_suffix(".partial"), tokens)
    MemmapIndex.build(str(tokens), str(table.with_suffix(".partial")), vocab=d_vocab + 1, verbose=False)
    os.replace(table.with_suffix(".partial"), table)
