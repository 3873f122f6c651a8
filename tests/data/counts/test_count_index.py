from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from interp.data.corpus import planted_windows
from interp.data.counts.build import build_index
from interp.data.counts.documents import shown_documents, token_documents
from interp.data.counts.index import CountIndex, ngram_counts, open_index, window_counts
from interp.data.counts.manifest import CountIndexError, read_manifest, table_file, token_file, tokenizer_fingerprint
from interp.data.windows import WindowError, Windows
from interp.models.small import TOKENIZER, VOCAB_SIZE


def random_documents(d_vocab: int, *, n: int = 30, seed: int = 0) -> list[np.ndarray]:
    """Documents over few ids, high ones among them, so that n-grams repeat; one of a single token."""
    rng = np.random.default_rng(seed)
    used = np.array([0, 1, d_vocab // 2, d_vocab - 1])
    return [rng.choice(used, size=size) for size in [1, *rng.integers(2, 60, size=n - 1)]]


def brute_force(documents: list[np.ndarray], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(ids[i : i + n].tolist()) for ids in documents for i in range(len(ids) - n + 1))


def build(documents: list[np.ndarray], out: Path, *, d_vocab: int, **settings: object) -> CountIndex:
    options = {"tokenizer": "t", "source": "random", "progress": False, **settings}
    return build_index(iter(documents), out, d_vocab=d_vocab, **options)


# 65535 ids and a separator are the most that u16 holds; one more needs u32.
@pytest.mark.parametrize(("d_vocab", "dtype"), [(300, "<u2"), (65_535, "<u2"), (65_536, "<u4"), (100_278, "<u4")])
@pytest.mark.parametrize("shard_tokens", [2**28, 100])
def test_counts_equal_brute_force(d_vocab: int, dtype: str, shard_tokens: int, tmp_path: Path) -> None:
    documents = random_documents(d_vocab)
    index = build(documents, tmp_path / "index", d_vocab=d_vocab, shard_tokens=shard_tokens)
    assert index.manifest.dtype == np.dtype(dtype)
    assert (len(index.manifest.shards) > 5) == (shard_tokens == 100)
    assert index.manifest.n_tokens == sum(map(len, documents))
    everything = np.concatenate(documents)
    for n in range(1, 9):
        expected = brute_force(documents, n)
        # Every n-gram of the corpus, and those that only cross from one document to the next.
        crossing = [tuple(everything[i : i + n].tolist()) for i in range(len(everything) - n + 1)]
        asked = np.array(sorted({*expected, *crossing}))
        assert index.count(asked).tolist() == [expected[tuple(g)] for g in asked.tolist()]


def test_queries_keep_their_order(tmp_path: Path) -> None:
    index = build([np.array([5, 1, 5, 1, 5])], tmp_path / "index", d_vocab=10)
    assert index.count(np.array([[5], [1], [5], [9], [5]])).tolist() == [3, 2, 3, 0, 3]
    assert index.count(np.array([[5, 1], [1, 5], [5, 5]])).tolist() == [2, 2, 0]
    assert index.count(np.zeros((0, 3), dtype=np.int64)).tolist() == []


def test_positions_of_counts_in_windows(tmp_path: Path) -> None:
    index = build([np.array([1, 2, 3, 4]), np.array([1, 2, 3])], tmp_path / "index", d_vocab=10)
    windows = Windows.from_tokens(np.array([[1, 2, 3, 4], [3, 1, 2, 9]]), prefix_len=2)
    # The bigram that ends at each position: (1 2) twice, (2 3) twice, (3 4) once; (3 1) crosses documents.
    assert ngram_counts(index, windows, 1).tolist() == [[2, 2, 2, 1], [2, 2, 2, 0]]
    assert np.isnan(ngram_counts(index, windows, 2)[:, 0]).all()
    assert ngram_counts(index, windows, 2)[:, 1:].tolist() == [[2, 2, 1], [0, 2, 0]]
    assert window_counts(index, windows).tolist() == [1, 0]
    with pytest.raises(CountIndexError, match="no 5-grams"):
        ngram_counts(index, windows, 5)


def test_planted_repetitions_are_recovered_exactly(tmp_path: Path) -> None:
    tokenizer = tokenizer_fingerprint(AutoTokenizer.from_pretrained(TOKENIZER))
    index = build_index(
        shown_documents(), tmp_path / "index", d_vocab=VOCAB_SIZE, tokenizer=tokenizer, source="shown", progress=False
    )
    windows = planted_windows()
    assert index.manifest.n_tokens == windows.count.sum() * windows.tokens.shape[1]
    assert (window_counts(index, windows) == windows.count).all()
    # A window shares no 32-token run with another, so its halves stand in the corpus as often as it does.
    assert (index.count(windows.prefix.numpy()) == windows.count).all()


def test_an_interrupted_build_goes_on(tmp_path: Path) -> None:
    documents = random_documents(300)

    def interrupted() -> Iterator[np.ndarray]:
        yield from documents[:20]
        raise KeyboardInterrupt

    out = tmp_path / "index"
    settings = {"d_vocab": 300, "tokenizer": "t", "source": "random", "shard_tokens": 100, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        build_index(interrupted(), out, **settings)
    done = len(read_manifest(out).shards)
    assert done > 2
    with pytest.raises(CountIndexError, match="half built"):
        open_index(out)
    kept = table_file(out, 0).stat().st_mtime_ns
    resumed = build_index(iter(documents), out, **settings)
    assert table_file(out, 0).stat().st_mtime_ns == kept
    whole = build_index(iter(documents), tmp_path / "whole", **settings)
    assert resumed.manifest == whole.manifest
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())
    asked = np.array(list(brute_force(documents, 3)))
    assert (resumed.count(asked) == whole.count(asked)).all()


def test_foreign_and_damaged_indexes_are_refused(tmp_path: Path) -> None:
    documents, out = random_documents(300), tmp_path / "index"
    build(documents, out, d_vocab=300, shard_tokens=100)
    with pytest.raises(CountIndexError, match=r"another source \('random', not 'other'\)"):
        build(documents, out, d_vocab=300, shard_tokens=100, source="other")
    with pytest.raises(CountIndexError, match="the corpus has changed"):
        build(documents[1:], out, d_vocab=300, shard_tokens=100)
    n_first_two = sum(shard.n_documents for shard in read_manifest(out).shards[:2])
    with pytest.raises(CountIndexError, match="ends before"):
        # The first two shards, whole.
        build(documents[:n_first_two], out, d_vocab=300, shard_tokens=100)
    with pytest.raises(CountIndexError, match="built with the tokenizer t, not u"):
        open_index(out, tokenizer="u")
    with pytest.raises(CountIndexError, match="holds no manifest"):
        open_index(tmp_path)
    with pytest.raises(CountIndexError, match="outside the index's vocabulary of 300"):
        open_index(out).count(np.array([[300]]))
    copy = shutil.copytree(out, tmp_path / "copy")
    token_file(copy, 1).write_bytes(b"1")
    with pytest.raises(CountIndexError, match="has 1 bytes"):
        open_index(copy)
    table_file(copy, 1).unlink()
    token_file(copy, 1).unlink()
    with pytest.raises(CountIndexError, match="has no bytes"):
        open_index(copy)


def test_bad_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CountIndexError, match="document 1 has token id 10, outside the vocabulary of 10"):
        build([np.array([1]), np.array([10])], tmp_path / "a", d_vocab=10)
    with pytest.raises(CountIndexError, match="no documents"):
        build([], tmp_path / "b", d_vocab=10)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").write_text("x")
    with pytest.raises(CountIndexError, match="is not empty and holds no index"):
        build([np.array([1])], tmp_path / "c", d_vocab=10)


def test_documents_of_any_dataset(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "int main(void)"}\n{"text": "the sea"}\n')
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    ids = list(token_documents(tmp_path / "texts.jsonl", tokenizer))
    assert [tokenizer.decode(i) for i in ids] == ["int main(void)", "the sea"]
    with pytest.raises(WindowError, match=r"no column 'body'; it has \['text'\]"):
        next(token_documents(tmp_path / "texts.jsonl", tokenizer, text_column="body"))
