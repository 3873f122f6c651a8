from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from interp.data.counts.build import build_index
from interp.data.counts.documents import token_documents
from interp.data.counts.index import CountIndex, ngram_counts, open_index, window_counts
from interp.data.counts.manifest import CountIndexError, read_manifest, table_file, token_file, tokenizer_fingerprint
from interp.data.windows import WindowError, Windows
from interp.planted.corpus import planted_windows, shown_documents
from interp.planted.shapes import TOKENIZER, VOCAB_SIZE


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
    with pytest.raises(CountIndexError, match="has no manifest"):
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


KILLED = """
import sys
from pathlib import Path
import numpy as np
from interp.data.counts.build import build_index
from interp.data.counts.index import open_index
from interp.data.counts.manifest import CountIndexError
from kills import killed_at_each_call, run_in_child

documents, root, k = [np.arange(i, i + 40) % 60 for i in range(5)], Path(sys.argv[1]), 0
asked = np.array([[0, 1], [4, 5], [59, 0], [5, 4]])
expected = [sum((d[:-1] == a).astype(int) @ (d[1:] == b) for d in documents) for a, b in asked]

def build():
    facts = dict(d_vocab=60, tokenizer="t", source="s", shard_tokens=100, progress=False)
    assert build_index(iter(documents), root / str(k), **facts).count(asked).tolist() == expected

def read():  # no index, a half-built one, or all of it
    try:
        assert open_index(root / str(k)).count(asked).tolist() == expected
    except CountIndexError:
        pass

for _ in killed_at_each_call(build):
    if k % 3 == 0:  # each is a process
        assert run_in_child(read) == 0, k
        assert run_in_child(build) == 0, k
    k += 1
print(k)
"""


def test_a_build_killed_at_any_moment_goes_on_to_the_same_index(tmp_path: Path) -> None:
    # In a process of its own: the engine's threads do not outlive a fork.
    run = [sys.executable, "-c", KILLED, str(tmp_path)]
    here = Path(__file__).parents[2]
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 15
    for out in (tmp_path / str(k) for k in range(0, 15, 3)):
        assert {p.name for p in out.iterdir()} == {
            ".interp.lock", "manifest.json", *(f"{kind}-0000{i}.{ending}" for i in (0, 1) for kind, ending in FILES)
        }  # fmt: skip


FILES = (("tokens", "bin"), ("table", "idx"))


def test_a_second_build_waits_and_both_end_well(tmp_path: Path) -> None:
    documents, out = random_documents(300), tmp_path / "index"
    settings = {"d_vocab": 300, "tokenizer": "t", "source": "random", "shard_tokens": 100, "progress": False}
    started, go_on, built = threading.Event(), threading.Event(), []

    def slow() -> Iterator[np.ndarray]:
        yield from documents[:20]
        started.set()
        assert go_on.wait(20)
        yield from documents[20:]

    first = threading.Thread(target=lambda: built.append(build_index(slow(), out, **settings)))
    second = threading.Thread(target=lambda: built.append(build_index(iter(documents), out, **settings)))
    first.start()
    assert started.wait(20)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    first.join(20)
    second.join(20)
    asked = np.array(list(brute_force(documents, 3)))
    expected = [brute_force(documents, 3)[tuple(g)] for g in asked.tolist()]
    assert [index.count(asked).tolist() for index in built] == [expected, expected]


def test_a_flipped_bit_of_an_index_is_refused(tmp_path: Path) -> None:
    """The size stays, and without the digest the counts are other ones, or the engine dies."""
    out = tmp_path / "index"
    build(random_documents(300), out, d_vocab=300, shard_tokens=100)
    rng = np.random.default_rng(0)
    for file in (token_file(out, 0), token_file(out, 2), table_file(out, 1)):
        whole = file.read_bytes()
        for bit in rng.integers(0, 8 * len(whole), 10).tolist():
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            with pytest.raises(CountIndexError, match=rf"{file.name} has other content than was written"):
                open_index(out)
        file.write_bytes(whole)
    open_index(out)


def test_a_finished_index_does_not_grow(tmp_path: Path) -> None:
    """Its corpus ends with a shard, and a longer one begins the same."""
    documents, out = [np.arange(99)] * 4, tmp_path / "index"
    build(documents[:2], out, d_vocab=300, shard_tokens=100)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(CountIndexError, match="is longer than the corpus of"):
        build(documents, out, d_vocab=300, shard_tokens=100)
    assert (out / "manifest.json").read_bytes() == before
    assert build(documents[:2], out, d_vocab=300, shard_tokens=100).manifest.n_tokens == 198


def changed(facts: dict, **given: object) -> str:
    return json.dumps(facts | given)


def test_a_manifest_that_is_damaged_or_absurd_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "index"
    build(random_documents(300), out, d_vocab=300)
    path = out / "manifest.json"
    facts = json.loads(path.read_text())
    (shard,) = facts["shards"]
    texts = ["", "[]", "null", "3", '"text"', "{", "{}", "[" * 100_000, "\xff"]
    texts += [changed(facts, format=value) for value in (1, 3, None, "2")]
    texts += [changed(facts, d_vocab=value) for value in (-5, 0, 2**40, "300", 1.5, None, True)]
    texts += [changed(facts, shard_tokens=0), changed(facts, finished="yes"), changed(facts, tokenizer=None)]
    texts += [changed(facts, shards=value) for value in (None, {}, [[]], [3], [{}])]
    texts += [changed(facts, shards=[shard | {"n_tokens": -1}]), changed(facts, shards=[shard | {"sha256": "0"}])]
    texts += [changed(facts, shards=[{name: shard[name] for name in ("n_tokens", "n_documents", "sha256")}])]
    for text in texts:
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(CountIndexError, match=r"manifest\.json (is damaged|has format)") as refused:
            open_index(out)
        assert len(str(refused.value)) < 500 + len(str(out))
    path.write_text(json.dumps(facts))
    open_index(out)
