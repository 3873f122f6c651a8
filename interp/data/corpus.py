"""The shipped corpus: its documents, its tokenizer and the windows planted in it."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
DOCUMENTS = CORPUS / "documents.parquet"
WINDOWS = CORPUS / "windows.parquet"
TOKENIZER = CORPUS / "tokenizer"
