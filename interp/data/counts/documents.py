"""Documents as token ids, for the index: of any corpus ``open_dataset`` reads, or as the small models saw theirs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from interp.data.corpus import planted_windows
from interp.data.counts.manifest import CountIndexError
from interp.data.planting import training_order
from interp.data.sources import read_rows

_BATCH = 256


def token_documents(
    source: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    text_column: str = "text",
    split: str = "train",
    config: str | None = None,
) -> Iterator[Int[np.ndarray, " _pos"]]:
    """Token ids of each document of a corpus, whole, without special tokens.

    Raises:
        CountIndexError: the corpus has no such column, or one that holds no text.
        WindowError: a corpus that cannot be read.
    """
    rows = read_rows(source, split=split, config=config)
    while batch := list(islice(rows, _BATCH)):
        if text_column not in batch[0]:
            raise CountIndexError(f"{source} has no column {text_column!r}; it has {sorted(batch[0])}")
        texts = [row[text_column] or "" for row in batch]
        if not all(isinstance(text, str) for text in texts):
            raise CountIndexError(f"column {text_column!r} of {source} holds other things than text")
        for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
            yield np.asarray(ids, dtype=np.int64)


def shown_documents() -> Iterator[Int[np.ndarray, " _pos"]]:
    """The training data of the small models: every window as often as it was shown, each a document to itself.

    The models saw windows one by one, so nothing that crosses from one window to the next was ever shown. The order
    is shuffled: it does not change a count, but copies side by side are one long repeat, and those are slow to sort.
    """
    windows = planted_windows()
    tokens = windows.tokens.numpy()
    for row in training_order(windows.count.astype(np.int64), seed=0):
        yield tokens[row]
