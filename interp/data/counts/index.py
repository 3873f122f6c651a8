"""Reads an index: counts of many n-grams at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from tokengrams import ShardedMemmapIndex

from interp.brief import Brief
from interp.data.counts.manifest import CountIndexError, Manifest, read_manifest, table_file, token_file
from interp.data.windows import Windows
from interp.files import sha256

TABLE_BYTES = 8
"""Bytes per suffix in the engine's table."""

_CHUNK = 2**14


@dataclass(frozen=True, repr=False, eq=False)
class CountIndex(Brief):
    """A finished index, memory-mapped."""

    path: Path
    manifest: Manifest
    engine: ShardedMemmapIndex

    def count(self, ngrams: Int[np.ndarray, "ngram length"]) -> Int[np.ndarray, " ngram"]:
        """How often each n-gram occurs in the corpus, within documents.

        Each distinct n-gram is looked up once, in sorted order. Neighbours then search the same pages, which is several
        times faster than the order of the text.

        Raises:
            CountIndexError: the n-grams have no tokens, or an id is outside the index's vocabulary.
        """
        if ngrams.shape[1] == 0:
            raise CountIndexError("an n-gram needs at least one token")
        if len(ngrams) == 0:
            return np.zeros(0, dtype=np.int64)
        low, high = int(ngrams.min()), int(ngrams.max())
        if low < 0 or high >= self.manifest.d_vocab:
            raise CountIndexError(
                f"token id {low if low < 0 else high} is outside the index's vocabulary of {self.manifest.d_vocab}; "
                f"{self.path} was built with another tokenizer"
            )
        # Big-endian bytes sort like the ids.
        keys = np.ascontiguousarray(ngrams.astype(self.manifest.dtype.newbyteorder(">")))
        _, first, inverse = np.unique(
            keys.view(f"S{keys.itemsize * keys.shape[1]}")[:, 0], return_index=True, return_inverse=True
        )
        counts = np.empty(len(first), dtype=np.int64)
        # Lists of Python integers are large, so n-grams are converted in pieces.
        for start in range(0, len(first), _CHUNK):
            piece = ngrams[first[start : start + _CHUNK]].tolist()
            counts[start : start + len(piece)] = list(map(self.engine.count, piece))
        return counts[inverse]


def open_index(path: Path, *, tokenizer: str | None = None) -> CountIndex:
    """Open a finished index.

    Every byte is read and compared with its digest, because a damaged table silently gives wrong counts. This takes 0.1
    s for 10 million tokens in memory. Otherwise it takes as long as the disk needs for 10 bytes per token.

    Args:
        path: directory written by ``build_index``.
        tokenizer: ``tokenizer_fingerprint`` of the tokenizer whose ids will be looked up. Checked if given.

    Raises:
        CountIndexError: there is no index, it is incomplete or damaged, or it has another tokenizer.
    """
    manifest = read_manifest(path)
    if not manifest.finished:
        raise CountIndexError(
            f"{path} is half built ({len(manifest.shards)} shards are done); run the build again, it resumes there"
        )
    if tokenizer is not None and tokenizer != manifest.tokenizer:
        raise CountIndexError(
            f"{path} was built with the tokenizer {manifest.tokenizer}, not {tokenizer}: the same ids mean other text"
        )
    paths = []
    for number, shard in enumerate(manifest.shards):
        facts = {
            token_file(path, number): (shard.n_tokens * manifest.dtype.itemsize, shard.sha256),
            table_file(path, number): (shard.n_tokens * TABLE_BYTES, shard.table_sha256),
        }
        again = "the index is damaged; build it again in another directory"
        for file, (size, digest) in facts.items():
            if not file.is_file() or file.stat().st_size != size:
                found = file.stat().st_size if file.is_file() else "no"
                raise CountIndexError(f"{file} has {found} bytes, not {size}: {again}")
            if sha256(file) != digest:
                raise CountIndexError(f"{file} has other content than was written: {again}")
        paths.append(tuple(str(file) for file in facts))
    return CountIndex(path=path, manifest=manifest, engine=ShardedMemmapIndex(paths, vocab=manifest.d_vocab + 1))


def ngram_counts(index: CountIndex, windows: Windows, n: int) -> Float[np.ndarray, "window pos"]:
    """Count of the n-gram that ends at each position of each window. NaN if it would begin before the window.

    Raises:
        CountIndexError: the n-grams are longer than a window.
    """
    tokens = windows.tokens.numpy()
    n_windows, length = tokens.shape
    if not 0 < n <= length:
        raise CountIndexError(f"windows of {length} tokens have no {n}-grams")
    ngrams = np.lib.stride_tricks.sliding_window_view(tokens, n, axis=1).reshape(-1, n)
    counts = np.full((n_windows, length), np.nan)
    counts[:, n - 1 :] = index.count(ngrams).reshape(n_windows, -1)
    return counts


def window_counts(index: CountIndex, windows: Windows) -> Float[np.ndarray, " window"]:
    """How often each whole window occurs in the corpus."""
    return index.count(windows.tokens.numpy()).astype(np.float64)
