"""Documents of a corpus as token ids, for the index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from interp.data.documents import read_documents, tokenized
from interp.data.opening import Source
from interp.data.tally import Tally


def token_documents(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    *,
    text_column: str = "text",
    split: str | None = None,
    config: str | None = None,
    tally: Tally | None = None,
    progress: bool = False,
) -> Iterator[Int[np.ndarray, " _pos"]]:
    """All token ids of each document of a corpus, read and encoded like windows (``stream_windows``).

    The arguments are those of ``stream_windows``.

    Raises:
        WindowError: the corpus cannot be read, or a column is missing or has no text.
    """
    tally = Tally() if tally is None else tally
    documents = read_documents(
        source, text_column=text_column, split=split, config=config, tally=tally, progress=progress
    )
    for _, ids in tokenized(documents, tokenizer, tally=tally):
        yield np.asarray(ids, dtype=np.int64)
