"""Windows: the pieces of text that every measurement runs on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from interp.brief import Brief
from interp.data.domains import UNKNOWN
from interp.errors import InterpError


class WindowError(InterpError, ValueError):
    """Windows that a model cannot take or that would give a wrong number."""


@dataclass(frozen=True, repr=False, eq=False)
class Windows(Brief):
    """Token windows cut from documents: a prefix of ``prefix_len`` tokens, then the continuation.

    Windows are not padded and carry no BOS: all have the same length.
    """

    tokens: Int[Tensor, "window pos"]
    """Token ids, int64."""
    window: Int[np.ndarray, " window"]
    """Id of each window, unique; stays with it under ``select``."""
    document: Shaped[np.ndarray, " window"]
    """Name of the document it was cut from; intervals are clustered by it."""
    domain: Shaped[np.ndarray, " window"]
    count: Float[np.ndarray, " window"]
    """How often the window stood in the training data; NaN where that is not known."""
    prefix_len: int = 32
    source: str = "tokens"
    """Where the windows come from, for provenance."""

    def __post_init__(self) -> None:
        n = len(self.tokens)
        for name in ("window", "document", "domain", "count"):
            if len(getattr(self, name)) != n:
                raise WindowError(f"{name} has {len(getattr(self, name))} entries for {n} windows")
        if not 0 < self.prefix_len < self.tokens.shape[1]:
            raise WindowError(
                f"prefix_len={self.prefix_len} leaves no prefix or no continuation in windows of "
                f"{self.tokens.shape[1]} tokens"
            )
        if len(np.unique(self.window)) != n:
            raise WindowError("window ids are not unique; per-window results could not be told apart")

    @classmethod
    def from_tokens(
        cls,
        ids: Shaped[Tensor, ...] | Shaped[np.ndarray, ...],
        *,
        prefix_len: int = 32,
        document: Sequence[str] | None = None,
        domain: Sequence[str] | None = None,
        count: Sequence[float | int] | None = None,
        window: Sequence[int] | None = None,
        source: str = "tokens",
    ) -> Windows:
        """Windows from a matrix of token ids; each is its own document unless ``document`` says otherwise.

        Raises:
            WindowError: ids of the wrong kind or shape, or a sequence of another length.
        """
        if torch.as_tensor(ids).is_floating_point() or torch.as_tensor(ids).ndim != 2:
            raise WindowError(f"token ids must be a matrix of integers, not {ids.dtype} of shape {tuple(ids.shape)}")
        tokens = torch.as_tensor(ids).to(torch.int64)
        n = len(tokens)
        return cls(
            tokens=tokens,
            window=np.arange(n) if window is None else np.asarray(window, dtype=np.int64),
            document=np.asarray([f"window-{i}" for i in range(n)] if document is None else document, dtype=object),
            domain=np.asarray([UNKNOWN] * n if domain is None else domain, dtype=object),
            count=np.full(n, np.nan) if count is None else np.asarray(count, dtype=np.float64),
            prefix_len=prefix_len,
            source=source,
        )

    @classmethod
    def concat(cls, pieces: Sequence[Windows]) -> Windows:
        """Several pieces as one; they must agree in length, prefix and source.

        Raises:
            WindowError: pieces that do not agree, or window ids that occur twice.
        """
        kinds = {(piece.tokens.shape[1], piece.prefix_len, piece.source) for piece in pieces}
        if len(kinds) != 1:
            raise WindowError(f"windows of different (length, prefix_len, source) cannot be joined: {sorted(kinds)}")
        return replace(
            pieces[0],
            tokens=torch.cat([piece.tokens for piece in pieces]),
            window=np.concatenate([piece.window for piece in pieces]),
            document=np.concatenate([piece.document for piece in pieces]),
            domain=np.concatenate([piece.domain for piece in pieces]),
            count=np.concatenate([piece.count for piece in pieces]),
        )

    def found(self) -> str:
        n_documents = len(pd.unique(self.document))
        return (
            f"{len(self):,} windows of {n_documents:,} documents ({self.source}), "
            f"{self.prefix_len} + {self.continuation_len} tokens"
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def prefix(self) -> Int[Tensor, "window prefix"]:
        return self.tokens[:, : self.prefix_len]

    @property
    def continuation(self) -> Int[Tensor, "window continuation"]:
        return self.tokens[:, self.prefix_len :]

    @property
    def continuation_len(self) -> int:
        return self.tokens.shape[1] - self.prefix_len

    def select(self, which: Bool[np.ndarray, " window"] | Int[np.ndarray, " kept"]) -> Windows:
        """The windows where ``which`` is true, or those at its positions, in its order."""
        index = np.asarray(which)
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
        """Slices of the windows in order, each with its token ids."""
        if batch_size < 1:
            raise WindowError(f"batch_size must be at least 1, not {batch_size}")
        for start in range(0, len(self), batch_size):
            where = slice(start, min(start + batch_size, len(self)))
            yield where, self.tokens[where]

    def to_frame(self) -> pd.DataFrame:
        """One row a window: ``window``, ``document``, ``domain``, ``count``."""
        return pd.DataFrame(
            {"window": self.window, "document": self.document, "domain": self.domain, "count": self.count}
        )

    def check_fits(self, *, n_ctx: int, d_vocab: int, model_name: str) -> None:
        """Refuse windows that the model cannot take, naming the document.

        Raises:
            WindowError: no windows, a window longer than the context, or an id beyond the vocabulary.
        """
        if len(self) == 0:
            raise WindowError(f"no windows to run {model_name} on: the selection is empty")
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
