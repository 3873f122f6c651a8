"""Documents of a corpus and their token ids. Windows are cut from them, and an index counts them.

Rules for all readers of corpora (ours):

- No special token is added. If a text contains the string of one (``<|endoftext|>``), the model's own tokenizer
  decides. The `tokenizers` library (Pythia, StarCoder, OLMo) makes it the token; this is how ``<reponame>`` came into
  StarCoder's training data, and ``|||EMAIL_ADDRESS|||`` into OLMo's. Sentencepiece (OpenLLaMA) treats it as text. The
  number of such documents is reported.
- A document without an id is named ``row-`` and its number. Without a domain, its domain is "unknown". The numbers of
  both are reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from interp.data.columns import ABSENT, look_up
from interp.data.opening import Source, read_rows
from interp.data.owned import WindowError
from interp.data.tally import Tally

_DOCUMENTS_AT_ONCE = 64
_CHARACTERS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Document:
    """One document of a corpus, unchanged."""

    name: str
    domain: str | None
    """``None`` if the corpus gives none."""
    text: str


def read_documents(
    source: Source,
    *,
    text_column: str = "text",
    document_column: str | None = None,
    domain_column: str | None = None,
    split: str | None = None,
    config: str | None = None,
    tally: Tally,
    progress: bool = False,
) -> Iterator[Document]:
    """Documents of a corpus, in order. Columns are given by name or path; the rest is as in ``read_rows``.

    Raises:
        WindowError: as ``read_rows``; or a text, an id or a domain has the wrong type or half of a character.
    """
    columns = [column for column in (text_column, document_column, domain_column) if column is not None]
    rows = read_rows(source, columns, split=split, config=config, tally=tally, progress=progress)
    for i, row in enumerate(rows):
        given = None if document_column is None else _label(look_up(row, document_column), document_column, i)
        name = f"row-{i}" if given is None else given
        domain = None if domain_column is None else _label(look_up(row, domain_column), domain_column, i)
        text = look_up(row, text_column)
        if text is None or text is ABSENT:
            text = ""
        if not isinstance(text, str):
            raise WindowError(f"column {text_column!r} of document {name!r} holds {type(text).__name__}, not text")
        refuse_halves(text, f"document {name!r}")
        tally.documents += 1
        tally.empty += not text
        tally.unnamed += document_column is not None and given is None
        tally.without_domain += domain_column is not None and domain is None
        yield Document(name, domain, text)


def tokenized(
    documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, *, tally: Tally
) -> Iterator[tuple[Document, list[int]]]:
    """Each document with all its token ids. No special tokens are added."""
    special = tokenizer.all_special_tokens
    for batch in _batches(documents):
        texts = [document.text for document in batch]
        # Empty texts are not encoded: some tokenizers put a token before any text.
        asked = [text for text in texts if text]
        encoded = iter(tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"] if asked else [])
        for document in batch:
            tally.special += any(token in document.text for token in special)
            yield document, next(encoded) if document.text else []


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Batches of short documents; long ones are alone."""
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == _DOCUMENTS_AT_ONCE or sum(len(d.text) for d in batch) >= _CHARACTERS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _label(value: Any, column: str, i: int) -> str | None:
    """An id or a domain as a string, or ``None``."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value  # from a dataset in numpy or torch format
    if value is ABSENT or value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (dict, list, bytes)) or hasattr(value, "ndim"):
        raise WindowError(
            f"column {column!r} of row {i} holds {type(value).__name__}, not a name; a field in it is named by a path, "
            f"{column}.FIELD"
        )
    return str(value) or None


def refuse_halves(text: str, what: str) -> None:
    """Refuse a text that no tokenizer and no file can encode. Messages call it ``what``.

    Raises:
        WindowError: the text has half of a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise WindowError(
            f"{what} has half of a character (a lone surrogate) at character {error.start}: it is not valid text"
        ) from error
