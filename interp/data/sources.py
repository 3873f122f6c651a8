"""Windows from anybody's corpus: a Hugging Face dataset on the hub or on disk, parquet or JSON lines, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, IterableDataset, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError
from transformers import PreTrainedTokenizerBase

from interp.data.windows import WindowError, Windows

_BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".txt": "text"}


def open_dataset(source: str | Path, *, split: str = "train", config: str | None = None) -> Dataset | IterableDataset:
    """Open a corpus without reading it whole.

    Args:
        source: a hub id, a directory written by ``save_to_disk``, a directory of data files, or one parquet or
            JSON-lines file (also compressed).
        split: split of a dataset that has several.
        config: configuration of a hub dataset.

    Raises:
        WindowError: a file of an unknown kind, or a path that does not exist.
    """
    path = Path(source).expanduser()
    if path.is_file():
        kinds = [_BUILDERS[suffix] for suffix in path.suffixes if suffix in _BUILDERS]
        if not kinds:
            raise WindowError(f"{path} is none of {', '.join(_BUILDERS)} (possibly compressed)")
        return load_dataset(kinds[-1], data_files=str(path), split="train", streaming=True)
    if path.is_dir():
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            stored = load_from_disk(str(path))
            return stored[split] if isinstance(stored, DatasetDict) else stored
        return load_dataset(str(path), split=split, streaming=True)
    if str(source).startswith(("/", "./", "../", "~")):
        raise WindowError(f"there is no file or directory {path}")
    return load_dataset(str(source), name=config, split=split, streaming=True)


def read_rows(source: str | Path | Dataset | IterableDataset, **options: Any) -> Iterator[Mapping[str, Any]]:
    """Rows of a corpus, one after the other; options as ``open_dataset``, for what has to be opened.

    Raises:
        WindowError: as ``open_dataset``, or a file that is damaged or of another kind than its name says.
    """
    try:
        yield from open_dataset(source, **options) if isinstance(source, (str, Path)) else source
    except (pa.ArrowException, DatasetsError, UnicodeDecodeError) as error:
        raise WindowError(f"{source} cannot be read: {error}") from error


def _documents(
    rows: Iterator[Mapping[str, Any]], text_column: str, document_column: str | None, domain_column: str | None
) -> Iterator[tuple[str, str, str]]:
    for i, row in enumerate(rows):
        lacking = [c for c in (text_column, document_column, domain_column) if c is not None and c not in row]
        if lacking:
            raise WindowError(f"the dataset has no column {lacking[0]!r}; it has {sorted(row)}")
        document = f"row-{i}" if document_column is None else str(row[document_column])
        text = "" if row[text_column] is None else row[text_column]
        if not isinstance(text, str):
            raise WindowError(f"column {text_column!r} of document {document!r} holds {type(text).__name__}, not text")
        yield document, "unknown" if domain_column is None else str(row[domain_column]), text


def stream_windows(
    source: str | Path | Dataset | IterableDataset,
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
    split: str = "train",
    config: str | None = None,
    chunk: int = 1024,
) -> Iterator[Windows]:
    """Cut a corpus into windows, a chunk at a time: memory does not grow with the corpus.

    Windows follow one another from the start of each document, do not overlap and never cross a document; the
    piece that is left at the end is dropped. No special token is added.

    Args:
        source: anything ``open_dataset`` takes, or an opened dataset.
        tokenizer: the model's own.
        text_column, document_column, domain_column: columns of the dataset; documents are numbered and domains
            called "unknown" where no column is given.
        domains: names of the domains by the column's values; a value that is not in it is an error.
        per_document: at most so many windows of each document.
        short_documents: a document shorter than one window is an error, or is skipped.
        split, config: as ``open_dataset``.
        chunk: windows in each yielded piece.

    Raises:
        WindowError: a corpus that cannot be read, a missing column or one without text, a document shorter than a
            window, a domain without a name. A document without text counts as one of no tokens.
    """
    rows = read_rows(source, split=split, config=config)
    length = prefix_len + continuation_len
    name = str(source) if isinstance(source, (str, Path)) else "dataset"
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
        )

    for document, raw_domain, text in _documents(rows, text_column, document_column, domain_column):
        if domains is not None and raw_domain not in domains:
            raise WindowError(f"document {document!r} has domain {raw_domain!r}, which `domains` does not name")
        domain = raw_domain if domains is None else domains[raw_domain]
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []
        if len(ids) < length:
            if short_documents == "error":
                raise WindowError(
                    f"document {document!r} has {len(ids)} tokens, fewer than a window of {length}; "
                    "pass short_documents='skip' to leave such documents out"
                )
            continue
        starts = range(0, len(ids) - length + 1, length)
        pending.extend((document, domain, ids[s : s + length]) for s in islice(starts, per_document))
        while len(pending) >= chunk:
            yield flush(pending[:chunk])
            n_yielded += chunk
            pending = pending[chunk:]
    if pending:
        yield flush(pending)


def read_windows(
    source: str | Path | Dataset | IterableDataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_windows: int,
    **options: Any,
) -> Windows:
    """The first ``max_windows`` windows of a corpus, in memory; options as ``stream_windows``.

    Raises:
        WindowError: as ``stream_windows``, or when the corpus gives no window at all.
    """
    pieces, n = [], 0
    for piece in stream_windows(source, tokenizer, **options):
        pieces.append(piece.select(np.arange(min(len(piece), max_windows - n))))
        n += len(pieces[-1])
        if n >= max_windows:
            break
    if not pieces:
        raise WindowError(f"{source} gives no windows: every document is shorter than one")
    return Windows.concat(pieces)
