"""Windows from any corpus: local files, or a dataset on disk or on the Hugging Face hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from interp.data.documents import read_documents, tokenized
from interp.data.domains import UNKNOWN
from interp.data.opening import Source, corpus_name
from interp.data.owned import WindowError, check_number
from interp.data.tally import Tally
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import Windows


def stream_windows(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prefix_len: int = 32,
    continuation_len: int = 32,
    text_column: str = "text",
    document_column: str | None = None,
    domain_column: str | None = None,
    domains: Mapping[str, str] | None = None,
    per_document: int | None = None,
    short_documents: Literal["error", "skip"] = "error",
    split: str | None = None,
    config: str | None = None,
    chunk: int = 1024,
    tally: Tally | None = None,
    progress: bool = False,
) -> Iterator[Windows]:
    """Cut a corpus into windows, one chunk at a time. Memory does not grow with the corpus.

    Windows follow one another from the start of each document. They do not overlap and never cross a document; a
    shorter rest is dropped. No special token is added. ``interp.data.documents`` says how the string of one is treated.

    Args:
        source: a file (parquet, JSON lines, JSON, CSV, text; also compressed), a folder of such files, a folder
            written by ``save_to_disk``, a hub dataset ``owner/name``, or an opened dataset. Only the columns named
            here are read.
        tokenizer: the model's own tokenizer.
        text_column, document_column, domain_column: columns by name, or by path if nested (``meta.pile_set_name``, even
            if ``meta`` is a JSON string). If a column is missing or null, documents are named by their row, and domains
            are "unknown".
        domains: names of the domains by the column's values. Other values are an error.
        per_document: maximal number of windows per document.
        short_documents: whether a document shorter than one window is an error, or is skipped and counted.
        split: the split to read. Default: "train", or the only one.
        config: configuration of a hub dataset.
        chunk: windows per yielded piece.
        tally: counts what is read and what is left out.
        progress: show a bar of the corpus read so far, with the time left.

    Raises:
        WindowError: the corpus cannot be read or gives no window; a column is missing or has no text; a document is
            shorter than a window (one without text has no tokens); a domain has no name; or a number is below 1.
    """
    numbers = {"prefix_len": prefix_len, "continuation_len": continuation_len, "chunk": chunk}
    for option, number in {**numbers, "per_document": 1 if per_document is None else per_document}.items():
        check_number(option, number)
    if short_documents not in ("error", "skip"):
        raise WindowError(f"short_documents={short_documents!r} is neither 'error' nor 'skip'")
    tally = Tally() if tally is None else tally
    documents = read_documents(
        source,
        text_column=text_column,
        document_column=document_column,
        domain_column=domain_column,
        split=split,
        config=config,
        tally=tally,
        progress=progress,
    )
    length = prefix_len + continuation_len
    name = corpus_name(source, split=split, config=config)
    fingerprint = tokenizer_fingerprint(tokenizer)
    pending: list[tuple[str, str, list[int]]] = []
    n_yielded = 0

    def flush(rows: list[tuple[str, str, list[int]]]) -> Windows:
        return Windows.from_tokens(
            np.array([ids for _, _, ids in rows], dtype=np.int64),
            prefix_len=prefix_len,
            document=[document for document, _, _ in rows],
            domain=[domain for _, domain, _ in rows],
            window=list(range(n_yielded, n_yielded + len(rows))),
            source=name,
            tokenizer=fingerprint,
        )

    for document, ids in tokenized(documents, tokenizer, tally=tally):
        domain = document.domain
        if domain is not None and domains is not None:
            if domain not in domains:
                raise WindowError(f"document {document.name!r} has domain {domain!r}, which `domains` does not name")
            domain = domains[domain]
        if len(ids) < length:
            if short_documents == "error":
                raise WindowError(
                    f"document {document.name!r} has {len(ids)} tokens, fewer than a window of {length}; "
                    "pass short_documents='skip' to leave such documents out"
                )
            tally.short += bool(document.text)
            continue
        starts = range(0, len(ids) - length + 1, length)
        pending.extend((document.name, domain or UNKNOWN, ids[s : s + length]) for s in islice(starts, per_document))
        while len(pending) >= chunk:
            yield flush(pending[:chunk])
            n_yielded += chunk
            pending = pending[chunk:]
    if pending:
        yield flush(pending)
    elif not n_yielded:
        raise WindowError(f"{name} gives no windows: {tally if tally.documents else 'it holds no documents'}")


def read_windows(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_windows: int,
    tally: Tally | None = None,
    **options: Any,
) -> Windows:
    """The first ``max_windows`` windows of a corpus, in memory. Options as in ``stream_windows``.

    Raises:
        WindowError: as ``stream_windows``.
    """
    check_number("max_windows", max_windows)
    tally = Tally() if tally is None else tally
    pieces: list[Windows] = []
    n = 0
    # One window more than requested shows that the corpus continues.
    options = {"chunk": min(max_windows + 1, 1024), **options}
    for piece in stream_windows(source, tokenizer, tally=tally, **options):
        pieces.append(piece.select(np.arange(min(len(piece), max_windows - n))))
        n += len(piece)
        if n > max_windows:
            tally.stopped = True
            break
    return Windows.concat(pieces)
