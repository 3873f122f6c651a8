"""Documents as token ids, for the index: of any corpus that gives windows, or as the small models saw theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from interp.data.corpus import planted_windows
from interp.data.documents import read_documents, tokenized
from interp.data.opening import Source
from interp.data.planting import training_order
from interp.data.tally import Tally


def token_documents(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    *,
    text_column: str = "text",
    split: str | None = None,
    config: str | None = None,
    tally: Tally | None = None,
) -> Iterator[Int[np.ndarray, " _pos"]]:
    """Token ids of each document of a corpus, whole; read and encoded as windows are (``stream_windows``).

    Raises:
        WindowError: a corpus that cannot be read, a missing column or one without text.
    """
    tally = Tally() if tally is None else tally
    documents = read_documents(source, text_column=text_column, split=split, config=config, tally=tally)
    for _, ids in tokenized(documents, tokenizer, tally=tally):
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
