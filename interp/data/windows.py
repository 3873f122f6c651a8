"""Windows: the pieces of text for all measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from xxhash import xxh3_64_hexdigest, xxh3_128

from interp.brief import Brief
from interp.data.domains import UNKNOWN
from interp.data.owned import WindowError, check_number, counts, names, token_ids, window_ids


@dataclass(frozen=True, repr=False, eq=False)
class Windows(Brief):
    """Token windows cut from documents: a prefix of ``prefix_len`` tokens, then the continuation.

    All windows have the same length, without padding or BOS. The data are copied, and the arrays are read-only.

    Raises:
        WindowError: ids, names or numbers have the wrong type, shape or length, or a window id occurs twice.
    """

    tokens: Int[Tensor, "window pos"]
    """Token ids, int64, in main memory."""
    window: Int[np.ndarray, " window"]
    """Id of each window: unique, 0 or more, kept by ``select``."""
    document: Shaped[np.ndarray, " window"]
    """Name of the window's document; intervals are clustered by it."""
    domain: Shaped[np.ndarray, " window"]
    count: Float[np.ndarray, " window"]
    """How often the window occurs in the training data; NaN if unknown."""
    prefix_len: int = 32
    source: str = "tokens"
    """Origin of the windows, for provenance."""
    tokenizer: str | None = None
    """``tokenizer_fingerprint`` of the tokenizer that made the ids; ``None`` if unknown."""

    def __post_init__(self) -> None:
        tokens = token_ids(self.tokens)
        n, length = tokens.shape
        labels = {
            "window": window_ids(self.window),
            "document": names(self.document, "document"),
            "domain": names(self.domain, "domain"),
            "count": counts(self.count),
        }
        object.__setattr__(self, "tokens", tokens)
        for name, values in labels.items():
            if len(values) != n:
                raise WindowError(f"{name} has {len(values)} entries for {n} windows")
            object.__setattr__(self, name, values)
        if isinstance(self.prefix_len, bool) or not isinstance(self.prefix_len, Integral):
            raise WindowError(f"prefix_len={self.prefix_len!r} is not a whole number of tokens")
        object.__setattr__(self, "prefix_len", int(self.prefix_len))
        if not 0 < self.prefix_len < length:
            raise WindowError(
                f"prefix_len={self.prefix_len} leaves no prefix or no continuation in windows of {length} tokens"
            )
        for name in ("source", "tokenizer"):
            if not isinstance(getattr(self, name), str) and (name == "source" or self.tokenizer is not None):
                raise WindowError(f"{name}={getattr(self, name)!r} is not a text")

    @classmethod
    def from_tokens(
        cls,
        ids: Shaped[Tensor, ...] | Shaped[np.ndarray, ...] | Sequence[Sequence[int]],
        *,
        prefix_len: int = 32,
        document: Sequence[str] | Sequence[int] | Shaped[np.ndarray, " window"] | None = None,
        domain: Sequence[str] | Sequence[int] | Shaped[np.ndarray, " window"] | None = None,
        count: Sequence[float | int] | Shaped[np.ndarray, " window"] | None = None,
        window: Sequence[int] | Shaped[np.ndarray, " window"] | None = None,
        source: str = "tokens",
        tokenizer: str | None = None,
    ) -> Windows:
        """Windows from a matrix of token ids. By default each window is its own document.

        Args:
            ids: integers, one row per window, as a tensor, an array or lists of equal length.
            prefix_len: number of tokens given to a model.
            document, domain: a name for each window; all texts or all whole numbers.
            count: a number for each window, 0 or more; NaN if unknown.
            window: distinct whole numbers from 0 on. Default: the positions.
            source: origin of the windows.
            tokenizer: ``tokenizer_fingerprint`` of the tokenizer that made the ids. Without it, a model with another
                tokenizer cannot be detected.

        Raises:
            WindowError: as ``Windows``.
        """
        tokens = token_ids(ids)
        n = len(tokens)
        return cls(
            tokens=tokens,
            window=np.arange(n) if window is None else window_ids(window),
            document=names([f"window-{i}" for i in range(n)] if document is None else document, "document"),
            domain=names([UNKNOWN] * n if domain is None else domain, "domain"),
            count=np.full(n, np.nan) if count is None else counts(count),
            prefix_len=prefix_len,
            source=source,
            tokenizer=tokenizer,
        )

    @classmethod
    def concat(cls, pieces: Sequence[Windows]) -> Windows:
        """Join pieces. They must agree in length, prefix length, source and tokenizer.

        Raises:
            WindowError: there are no pieces, they do not agree, or a window id occurs twice.
        """
        kinds = {(piece.tokens.shape[1], piece.prefix_len, piece.source, piece.tokenizer) for piece in pieces}
        if len(kinds) != 1:
            raise WindowError(
                "windows of different (length, prefix_len, source, tokenizer) cannot be joined: "
                f"{sorted(kinds, key=str)}"
                if kinds
                else "there are no windows to join"
            )
        return replace(
            pieces[0],
            tokens=torch.cat([piece.tokens for piece in pieces]),
            window=np.concatenate([piece.window for piece in pieces]),
            document=np.concatenate([piece.document for piece in pieces]),
            domain=np.concatenate([piece.domain for piece in pieces]),
            count=np.concatenate([piece.count for piece in pieces]),
        )

    def found(self) -> str:
        """Number of windows, documents and tokens, for ``repr``."""
        n_documents = len(pd.unique(self.document))
        return (
            f"{len(self):,} windows of {n_documents:,} documents ({self.source}), "
            f"{self.prefix_len} + {self.continuation_len} tokens"
        )

    @property
    def digests(self) -> Shaped[np.ndarray, " window"]:
        """Hash of each window's token ids and prefix length, 16 hexadecimal digits. Independent of its id.

        The hash is xxh3 with 64 bits.
        """
        rows = self.tokens.numpy()
        return np.array([xxh3_64_hexdigest(row.tobytes(), self.prefix_len) for row in rows], dtype=object)

    @property
    def digest(self) -> str:
        """Hash of all that can change a result: token ids, prefix length, window ids, names and counts, in order.

        Window ids are included because they seed the draws of noise and of replacements. The hash is xxh3 with 128
        bits.
        """
        found = xxh3_128(f"{tuple(self.tokens.shape)} {self.prefix_len} {self._labels}".encode())
        found.update(self.tokens.numpy().data)  # ids can be changed in place, so they are hashed each time
        return found.hexdigest()

    @cached_property
    def _labels(self) -> str:
        found = xxh3_128(self.window.tobytes() + self.count.tobytes())
        for values in (self.document, self.domain):
            found.update(json.dumps(values.tolist()).encode())
        return found.hexdigest()

    @property
    def described(self) -> str:
        """Number, source and digest, for the provenance of additional windows."""
        return f"{len(self)} windows of {self.source}, digest {self.digest}"

    @property
    def n_documents(self) -> int:
        """Number of documents that the windows come from."""
        return len(np.unique(self.document.astype(str)))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def prefix(self) -> Int[Tensor, "window prefix"]:
        """Tokens given to the model."""
        return self.tokens[:, : self.prefix_len]

    @property
    def continuation(self) -> Int[Tensor, "window continuation"]:
        """Tokens to be generated."""
        return self.tokens[:, self.prefix_len :]

    @property
    def continuation_len(self) -> int:
        """Number of tokens in the continuation."""
        return self.tokens.shape[1] - self.prefix_len

    def select(self, which: Shaped[np.ndarray, " which"]) -> Windows:
        """The windows where the mask ``which`` is true, or those at the positions ``which``, in its order.

        Raises:
            WindowError: the mask has another length, or ``which`` is neither a mask nor positions (such as numbers with
                NaN).
        """
        index = np.asarray(which)
        if index.dtype.kind not in "biu" and index.size:
            raise WindowError(
                f"windows are selected by true and false or by positions, not by {index.dtype}; if some values are "
                "not measured (NaN), select with a comparison such as memorized == 1"
            )
        if index.dtype == bool and index.shape != (len(self),):
            raise WindowError(f"a mask over {len(self)} windows is needed, not one of shape {index.shape}")
        index = np.flatnonzero(index) if index.dtype == bool else index
        return replace(
            self,
            tokens=self.tokens[torch.from_numpy(index.astype(np.int64))],
            window=self.window[index],
            document=self.document[index],
            domain=self.domain[index],
            count=self.count[index],
        )

    def batches(self, batch_size: int) -> Iterator[tuple[slice, Int[Tensor, "batch pos"]]]:
        """Consecutive slices of the windows, each with its token ids."""
        check_number("batch_size", batch_size)
        for start in range(0, len(self), batch_size):
            where = slice(start, min(start + batch_size, len(self)))
            yield where, self.tokens[where]

    def to_frame(self) -> pd.DataFrame:
        """One row per window, with the columns that identify it.

        Columns ``window``, ``document``, ``domain``, ``count``, ``digest`` (of token ids and prefix length) and
        ``tokenizer`` (empty if unknown). Window ids count from 0 in every corpus, so they alone do not identify a
        window.
        """
        return pd.DataFrame(
            {
                "window": self.window,
                "document": self.document,
                "domain": self.domain,
                "count": self.count,
                "digest": self.digests,
                "tokenizer": self.tokenizer or "",
            }
        )

    def check_fits(self, *, n_ctx: int, d_vocab: int, model_name: str, tokenizer: str | None = None) -> None:
        """Refuse windows that do not fit a model, naming the document. ``check_windows`` gets these facts from it.

        Args:
            n_ctx: context length of the model, in tokens.
            d_vocab: size of the vocabulary.
            model_name: name for messages.
            tokenizer: fingerprint of the model's tokenizer. Compared only if both are known.

        Raises:
            WindowError: there are no windows, ids have another tokenizer, a window is longer than the context, or an id
                is beyond the vocabulary.
        """
        if len(self) == 0:
            raise WindowError(f"no windows to run {model_name} on: the selection is empty")
        if None not in (tokenizer, self.tokenizer) and tokenizer != self.tokenizer:
            raise WindowError(
                f"windows of {self.source} have token ids of the tokenizer {self.tokenizer}, but {model_name} has "
                f"another tokenizer, {tokenizer}: it would read another text; cut the text with its own (read_windows)"
            )
        if self.tokens.shape[1] > n_ctx:
            raise WindowError(
                f"windows of {self.tokens.shape[1]} tokens (first from document {self.document[0]!r}) are longer "
                f"than the context of {model_name}, {n_ctx} tokens; cut shorter windows"
            )
        beyond = (self.tokens < 0) | (self.tokens >= d_vocab)
        if beyond.any():
            row, pos = (int(i) for i in beyond.nonzero()[0])
            raise WindowError(
                f"document {self.document[row]!r} has token id {int(self.tokens[row, pos])} at position {pos} of "
                f"window {self.window[row]}, beyond the vocabulary of {model_name} ({d_vocab}); was it made with "
                "another tokenizer?"
            )
