"""Windows cut from files and datasets."""

import json

import datasets
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from interp.data.sources import read_windows, stream_windows
from interp.data.windows import WindowError
from interp.planted.shapes import TOKENIZER

ROWS = [
    {"text": "the quick brown fox jumps over the lazy dog. " * 12, "name": "fox", "kind": "p"},
    {"text": "def f(x):\n    return x + 1\n" * 20, "name": "code", "kind": "c"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TOKENIZER)


@pytest.fixture(params=["parquet", "jsonl", "disk", "directory", "memory"])
def source(request, tmp_path):
    frame = pd.DataFrame(ROWS)
    match request.param:
        case "parquet":
            frame.to_parquet(tmp_path / "c.parquet")
            return tmp_path / "c.parquet"
        case "jsonl":
            (tmp_path / "c.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
            return tmp_path / "c.jsonl"
        case "disk":
            datasets.Dataset.from_pandas(frame).save_to_disk(str(tmp_path / "d"))
            return tmp_path / "d"
        case "directory":
            frame.to_parquet(tmp_path / "c.parquet")
            return tmp_path
        case "memory":
            return datasets.Dataset.from_pandas(frame)


def test_every_source_gives_the_documents_own_tokens(source, tokenizer):
    windows = read_windows(source, tokenizer, max_windows=100, document_column="name", domain_column="kind")
    for row in ROWS:
        ids = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        mine = windows.select(windows.document == row["name"])
        n = len(ids) // 64
        assert n >= 2
        assert torch.equal(mine.tokens, torch.tensor(ids[: n * 64]).view(n, 64))
        assert set(mine.domain) == {row["kind"]}


def test_streaming_gives_the_same_windows_in_any_chunk(source, tokenizer):
    whole = read_windows(source, tokenizer, max_windows=100)
    pieces = list(stream_windows(source, tokenizer, chunk=2))
    assert all(len(piece) <= 2 for piece in pieces)
    assert torch.equal(torch.cat([piece.tokens for piece in pieces]), whole.tokens)
    assert [i for piece in pieces for i in piece.window] == list(range(len(whole)))


def test_limits(source, tokenizer):
    assert len(read_windows(source, tokenizer, max_windows=3)) == 3
    assert len(read_windows(source, tokenizer, max_windows=9, per_document=1)) == 2


def test_short_document_is_named_or_skipped(tokenizer):
    rows = datasets.Dataset.from_list([*ROWS, {"text": "too short", "name": "tiny", "kind": "p"}])
    with pytest.raises(WindowError, match="'tiny' has 4 tokens"):
        read_windows(rows, tokenizer, max_windows=100, document_column="name")
    kept = read_windows(rows, tokenizer, max_windows=100, document_column="name", short_documents="skip")
    assert "tiny" not in set(kept.document)


def test_missing_column_and_unknown_domain_are_refused(tokenizer):
    rows = datasets.Dataset.from_list(ROWS)
    with pytest.raises(WindowError, match=r"no column 'content'; it has \['kind', 'name', 'text'\]"):
        read_windows(rows, tokenizer, max_windows=1, text_column="content")
    with pytest.raises(WindowError, match="domain 'c'"):
        read_windows(rows, tokenizer, max_windows=99, domain_column="kind", domains={"p": "prose"})


def test_file_that_is_not_there_is_refused(tokenizer, tmp_path):
    with pytest.raises(WindowError, match="no file or directory"):
        read_windows(tmp_path / "absent.parquet", tokenizer, max_windows=1)


def test_damaged_files_and_columns_without_text_are_refused(tokenizer, tmp_path):
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "cut.jsonl").write_text('{"text": "a')
    for name in ("text.parquet", "cut.jsonl"):
        with pytest.raises(WindowError, match=f"{name} cannot be read"):
            read_windows(tmp_path / name, tokenizer, max_windows=1)
    with pytest.raises(WindowError, match="holds int, not text"):
        read_windows(datasets.Dataset.from_dict({"text": [1, 2]}), tokenizer, max_windows=1)


def test_a_document_without_text_is_a_short_one(tokenizer):
    rows = datasets.Dataset.from_dict({"text": [None, "many words " * 100]})
    with pytest.raises(WindowError, match="'row-0' has 0 tokens"):
        read_windows(rows, tokenizer, max_windows=1)
    assert set(read_windows(rows, tokenizer, max_windows=1, short_documents="skip").document) == {"row-1"}
