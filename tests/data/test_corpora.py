"""Corpora as they are: files, folders, columns and names as strangers have them."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import socket
import tracemalloc
from pathlib import Path

import datasets
import jaxtyping
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from interp.data.columns import ABSENT, look_up
from interp.data.counts.documents import token_documents
from interp.data.documents import read_documents
from interp.data.local import read_file
from interp.data.sources import read_windows
from interp.data.tally import Tally
from interp.data.windows import WindowError
from interp.models.loading import load_model
from interp.planted.shapes import TOKENIZER

TEXTS = ['the sea, and\nthe \u2028 "ships" ' * 30, "int main(void)\r\n\t{ return 0; } " * 30, "a third " * 60]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TOKENIZER)


def lines(rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def table(rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def commas(rows) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


ROWS = [{"id": f"d{i}", "text": text, "kind": "k"} for i, text in enumerate(TEXTS)]
FORMATS = {
    "lines.jsonl": lines(ROWS),
    "lines.json": lines(ROWS),
    "array.json": json.dumps(ROWS, indent=1).encode(),
    "mark.jsonl": b"\xef\xbb\xbf" + lines(ROWS),
    "ends.jsonl": lines(ROWS).replace(b"\n", b"\r\n"),
    "blank.jsonl": lines(ROWS).replace(b"\n", b"\n\n"),
    "no-end.jsonl": lines(ROWS)[:-1],
    "table.parquet": table(ROWS),
    "table.PARQUET": table(ROWS),
    "table": table(ROWS),
    "commas.csv": commas(ROWS),
    "mark.csv": b"\xef\xbb\xbf" + commas(ROWS),
    "lines.jsonl.gz": gzip.compress(lines(ROWS)),
    "two.jsonl.gz": gzip.compress(lines(ROWS[:1])) + gzip.compress(lines(ROWS[1:])),
    "array.json.bz2": bz2.compress(json.dumps(ROWS).encode()),
    "commas.csv.xz": lzma.compress(commas(ROWS)),
    "lines.jsonl.zst": None,
    "LINES.JSONL.GZ": gzip.compress(lines(ROWS)),
    "table.parquet.gz": gzip.compress(table(ROWS)),
    "table.parquet.zst": table(ROWS),
    "with [brackets] and * spaces?#é.jsonl": lines(ROWS),
    "dots.v1.2.jsonl": lines(ROWS),
}


def write(path: Path, data: bytes | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(data or lines(ROWS))
    else:
        path.write_bytes(data or b"")
    return path


def documents(source, tally: Tally | None = None, **options) -> list[tuple[str, str | None, str]]:
    tally = Tally() if tally is None else tally
    return [(d.name, d.domain, d.text) for d in read_documents(source, tally=tally, **options)]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_documents(tmp_path, name):
    path = write(tmp_path / "a [folder] *" / name, FORMATS[name])
    found = documents(path, document_column="id", domain_column="kind")
    assert found == [(row["id"], "k", row["text"]) for row in ROWS]
    if path.suffix:
        assert documents(path.parent, document_column="id", domain_column="kind") == found


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".TXT"])
def test_a_text_file_is_one_document_as_it_stands(tmp_path, suffix):
    text = "one line\r\n\r\nand another \u2028 " * 40
    data = b"\xef\xbb\xbf" + text.encode()
    path = write(tmp_path / f"book{suffix}", gzip.compress(data) if suffix.endswith("gz") else data)
    assert documents(path) == [("row-0", None, text)]
    assert documents(path, document_column="file") == [(f"book{suffix}", None, text)]
    assert documents(write(tmp_path / "empty.txt", b"")) == [("row-0", None, "")]


LATE = 300
OTHERS = {
    "null first": lambda i: {"language": "en" if i >= LATE else None},
    "appears late": lambda i: {"url": "u"} if i >= LATE else {},
    "another type": lambda i: {"n": f"x{i}" if i >= LATE else i},
    "fields that come and go": lambda i: {"meta": {"a": 1} if i % 2 else {"b": [i]}},
    "not a number": lambda i: {"score": float("nan")},
}


@pytest.mark.parametrize("others", OTHERS)
def test_other_columns_may_be_anything(tmp_path, others):
    rows = [{"text": f"text {i}", **OTHERS[others](i)} for i in range(LATE + 3)]
    path = write(tmp_path / "c.jsonl", lines(rows))
    assert [text for _, _, text in documents(path)] == [row["text"] for row in rows]


def test_files_of_a_folder_may_have_other_columns_and_kinds(tmp_path):
    write(tmp_path / "b" / "1.jsonl", lines([{"text": "b1", "id": "1"}]))
    write(tmp_path / "b" / "2.parquet", table([{"text": "b2", "attributes": [1.5]}]))
    write(tmp_path / "a.csv", b"text,n\na,1\n")
    write(tmp_path / "c.txt", b"c")
    write(tmp_path / "nothing.jsonl", b"")
    write(tmp_path / "README.md", b"# read me")
    for hidden in (".cache/x.jsonl", ".hidden.jsonl"):
        write(tmp_path / hidden, b"no JSON")
    (tmp_path / "again").symlink_to(tmp_path)
    tally = Tally()
    assert [text for _, _, text in documents(tmp_path, tally)] == ["a", "b1", "b2", "c"]
    assert tally.other_files == 1
    assert "1 files of the folder were not read" in str(tally)


def test_files_that_cannot_all_be_read_once_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "c.jsonl", lines(ROWS))
    write(tmp_path / "c.jsonl.gz", gzip.compress(lines(ROWS)))
    with pytest.raises(WindowError, match="c.jsonl.gz and c.jsonl are both there: one text twice"):
        documents(tmp_path)
    (tmp_path / "c.jsonl.gz").unlink()
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(WindowError, match="gone.jsonl cannot be read"):
        documents(tmp_path)
    (tmp_path / "gone.jsonl").unlink()
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(WindowError, match="closed cannot be read: Permission denied"):
        documents(tmp_path)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "c.jsonl")
    with pytest.raises(WindowError, match="neither a file nor a folder"):
        documents(tmp_path / "c.jsonl")


def test_map_columns_are_not_read_and_can_be_named(tmp_path):
    headers = pa.array([[("a.b", "x")], None], type=pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"text": ["one", "two"], "headers": headers}), tmp_path / "m.parquet")
    assert documents(tmp_path / "m.parquet", domain_column="headers.a.b") == [
        ("row-0", "x", "one"),
        ("row-1", None, "two"),
    ]


NESTED = [
    {"doc": {"text": "one"}, "meta": {"set": "web", "id": 7}, "meta.id": "plain"},
    {"doc": {"text": "two"}, "meta": None, "meta.id": None},
    {"doc": {"text": "three"}, "meta": {"set": None, "id": 9}, "meta.id": "c"},
]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "stored", "memory", "stream", "strings"])
def test_nested_columns_are_named_by_a_path_and_null_is_no_name(tmp_path, form):
    rows = [{**row, "meta": json.dumps(row["meta"])} for row in NESTED] if form == "strings" else NESTED
    data = datasets.Dataset.from_list(rows)
    match form:
        case "parquet":
            source = write(tmp_path / "c.parquet", table(rows))
        case "stored":
            data.save_to_disk(str(tmp_path / "stored"))
            source = tmp_path / "stored"
        case "memory":
            source = data
        case "stream":
            source = data.to_iterable_dataset()
        case _:
            source = write(tmp_path / "c.jsonl", lines(rows))
    tally = Tally()
    found = documents(source, tally, text_column="doc.text", document_column="meta.id", domain_column="meta.set")
    assert found == [("plain", "web", "one"), ("row-1", None, "two"), ("c", None, "three")]
    assert (tally.documents, tally.unnamed, tally.without_domain) == (3, 1, 2)
    with pytest.raises(WindowError, match=r"no column 'meta\.lang'; it has \[.*'meta\.set'"):
        documents(source, text_column="doc.text", domain_column="meta.lang")
    with pytest.raises(WindowError, match="holds dict, not a name"):
        documents(datasets.Dataset.from_list(NESTED), text_column="doc.text", domain_column="doc")


@pytest.mark.parametrize("empty", [None, "", float("nan")])
def test_an_empty_id_or_domain_is_none(tmp_path, empty):
    path = write(
        tmp_path / "c.jsonl", lines([{"text": "one", "id": empty, "set": empty}, {"text": "two", "id": 0, "set": 0}])
    )
    tally = Tally()
    found = documents(path, tally, document_column="id", domain_column="set")
    assert found == [("row-0", None, "one"), ("0", "0", "two")]
    assert (tally.unnamed, tally.without_domain) == (1, 1)


def test_the_domain_of_windows_without_one_is_unknown_and_is_not_looked_up(tokenizer):
    corpus = datasets.Dataset.from_dict({"text": TEXTS, "set": ["a", None, "b"]})
    options = {"max_windows": 99, "per_document": 1, "domain_column": "set"}
    assert read_windows(corpus, tokenizer, **options).domain.tolist() == ["a", "unknown", "b"]
    named = read_windows(corpus, tokenizer, **options, domains={"a": "A", "b": "B"})
    assert named.domain.tolist() == ["A", "unknown", "B"]


def test_a_column_has_to_be_in_one_of_the_first_thousand_rows(tmp_path):
    for n, found in ((999, True), (1000, False)):
        path = write(tmp_path / "c.jsonl", lines([*[{"text": "a"}] * n, {"text": "b", "set": "s"}]))
        if found:
            assert documents(path, domain_column="set")[-1] == (f"row-{n}", "s", "b")
        else:
            with pytest.raises(WindowError, match="no column .set. in its first 1,000 rows; it has"):
                documents(path, domain_column="set")


def test_a_refusal_names_thirty_columns_at_most(tmp_path):
    for n, more in ((30, "'c29'\\]$"), (31, "'c29'\\] and 1 more$")):
        path = write(tmp_path / "c.jsonl", lines([{f"c{i:02}": i for i in range(n)}]))
        with pytest.raises(WindowError, match=f"no column 'text'; it has .*{more}"):
            documents(path)


def test_one_object_over_many_lines_is_a_document(tmp_path):
    path = write(tmp_path / "c.json", json.dumps(ROWS[1], indent=2).encode())
    assert documents(path, document_column="id") == [("d1", None, TEXTS[1])]


def test_a_column_that_a_row_lacks_is_null_there(tmp_path):
    path = write(
        tmp_path / "c.jsonl", lines([{"text": "one"}, {"text": "two", "id": 2, "set": float("nan")}, {"id": 3}])
    )
    found = documents(path, document_column="id", domain_column="set")
    assert found == [("row-0", None, "one"), ("2", None, "two"), ("3", None, "")]
    assert look_up({"a": {"b": 1}}, "a.c") is ABSENT
    assert look_up({"a": '{"b": "x"'}, "a.b") is ABSENT


REFUSED = {
    "cut.jsonl": (b'{"text": "a', "line 1 is not JSON"),
    "later.jsonl": (b'{"text": "a"}\n{"text": }\n', "line 2 is not JSON"),
    "list.jsonl": (b'{"text": "a"}\n["b"]\n', "line 2 is not an object"),
    "strings.json": (b'["a", "b"]', "entry 0 is not an object"),
    "deep.jsonl": (b'{"text": ' + b"[" * 100_000, "cannot be read"),
    "latin.jsonl": (b'{"text": "ab"}\n{"text": "\xe9"}\n', "byte 25 is not UTF-8"),
    "latin.txt": (b"\xef\xbb\xbfcaf\xe9", "byte 6 is not UTF-8"),
    "wide.txt": ("text".encode("utf-16"), "byte 0 is not UTF-8"),
    "table.jsonl": (table(ROWS), "byte .* is not UTF-8|not JSON"),
    "table.txt": (table(ROWS), "is not UTF-8"),
    "packed.jsonl": (gzip.compress(lines(ROWS)), "byte 1 is not UTF-8"),
    "plain.jsonl.gz": (lines(ROWS), "[Nn]ot a gzipped file"),
    "cut.jsonl.gz": (gzip.compress(lines(ROWS))[:-20], "cannot be read"),
    "cut.jsonl.bz2": (bz2.compress(lines(ROWS))[:-20], "cannot be read"),
    "cut.jsonl.xz": (lzma.compress(lines(ROWS))[:-20], "cannot be read"),
    "cut.parquet": (table(ROWS)[:-20], "cannot be read"),
    "empty.parquet": (b"", "cannot be read"),
    "lines.parquet": (lines(ROWS), "cannot be read"),
    "lines.csv": (lines([{"a": 1, "b": 2}]), "no column 'text'"),
    "quote.csv": (b'text,n\n"open, a\nb,c\n', "unexpected end of data"),
    "wide.csv": (b"text,n\na,1\nb,2,3\n", "row 2 has 3 fields, the header has 2"),
    "twice.csv": (b"text,text\na,b\n", "two columns 'text'"),
    "pointer.txt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "pointer of Git LFS"),
    "half.jsonl": (b'{"text": "ab\\ud800"}\n', "half of a character.* 2"),
    "number.jsonl": (b'{"text": 3}\n', "holds int, not text"),
    "notes.xyz": (b"a", "is none of .parquet"),
    "none.jsonl": (b"", "holds no documents"),
    "nothing.csv": (b"", "holds no documents"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_damaged_files_are_refused(tmp_path, tokenizer, name):
    data, message = REFUSED[name]
    path = write(tmp_path / name, data)
    with pytest.raises(WindowError, match=message):
        read_windows(path, tokenizer, max_windows=9, short_documents="skip")


def test_a_cut_zstd_file_is_refused(tmp_path):
    path = write(tmp_path / "c.jsonl.zst", None)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WindowError, match="cannot be read"):
        documents(path)


def test_a_row_of_a_large_file_is_read_before_the_rest(tmp_path):
    """Memory does not grow with a file: in parquet not even with a row group."""
    rows = [{"text": os.urandom(2**12).hex()} for _ in range(800)]
    for name, data in {"c.parquet": table(rows), "c.jsonl": lines(rows), "c.csv": commas(rows)}.items():
        path = write(tmp_path / name, data)
        tracemalloc.start()
        used = pa.total_allocated_bytes()
        next(read_file(path, ["text"], name))
        assert tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - used < len(data), name
        tracemalloc.stop()


def test_fields_of_any_length_and_the_limit_of_the_process(tmp_path):
    before = csv.field_size_limit()
    path = write(tmp_path / "c.csv", commas([{"text": "word " * 100_000}]))
    assert len(documents(path)[0][2]) == 500_000
    assert csv.field_size_limit() == before


SPLITS = ("validation", "test")


@pytest.fixture(params=["stored", "memory", "files"])
def split_source(request, tmp_path):
    parts = datasets.DatasetDict({name: datasets.Dataset.from_dict({"text": [name]}) for name in SPLITS})
    match request.param:
        case "memory":
            return parts
        case "stored":
            parts.save_to_disk(str(tmp_path / "s"))
        case "files":
            for name in SPLITS:
                write(tmp_path / "s" / "data" / f"{name}-00000-of-00001.jsonl", lines([{"text": name}]))
    return tmp_path / "s"


def test_a_split_is_chosen_or_refused_with_what_there_is(split_source, tmp_path):
    for split in SPLITS:
        assert documents(split_source, split=split) == [("row-0", None, split)]
    for asked in (None, "train", "tset"):
        with pytest.raises(WindowError, match="has no split '(train|tset)'; it has test, validation"):
            documents(split_source, split=asked)


def test_windows_are_named_by_what_was_asked_for(split_source, tokenizer):
    given = {"max_windows": 1, "prefix_len": 1, "continuation_len": 1}
    name = str(split_source) if isinstance(split_source, Path) else "dataset"
    for split in SPLITS:
        assert read_windows(split_source, tokenizer, split=split, **given).source == f"{name} (split {split})"
    assert read_windows(datasets.Dataset.from_list(ROWS), tokenizer, **given).source == "dataset"


def test_one_split_needs_no_name_and_names_that_say_no_split_are_one(tmp_path):
    write(tmp_path / "one" / "test.jsonl", lines([{"text": "a"}]))
    assert len(documents(tmp_path / "one")) == 1
    write(tmp_path / "one" / "book.txt", b"b")
    assert len(documents(tmp_path / "one")) == 2
    with pytest.raises(WindowError, match="has no split 'test'; it has train"):
        documents(tmp_path / "one", split="test")
    write(tmp_path / "two" / "train" / "0.jsonl", lines([{"text": "a"}]))
    write(tmp_path / "two" / "test" / "0.jsonl", lines([{"text": "b"}]))
    tally = Tally()
    assert documents(tmp_path / "two", tally) == [("row-0", None, "a")]
    assert tally.other_files == 1


@pytest.fixture
def requests(monkeypatch):
    """What was asked of the network, with nothing set to be offline; a library may swallow the refusal."""
    asked = []

    def refuse(*args, **kwargs):
        asked.append(args)
        raise OSError("no network here")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    return asked


MISTYPED = [
    *("texts", "texts.jsonl", "corpus/texts.parqet", "corpus/texts.jsonl.gz", "here/texts", "./a/b", "~nobody/x"),
    *("a/b/c", "/absent", "a*/b", "https://example.org/c.jsonl"),
]


@pytest.mark.parametrize("source", [*MISTYPED, "", " ", "a\0b", "x" * 5000, Path("owner/name")])
def test_a_mistyped_path_is_not_asked_of_the_hub(tmp_path, monkeypatch, requests, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(WindowError, match="there is no file or directory|is not a path"):
        documents(source)
    assert not requests


def test_a_name_of_the_hub_is_asked_of_it(requests):
    with pytest.raises(WindowError, match="owner/name-v1.5 cannot be read"):
        documents("owner/name-v1.5")
    assert requests


def test_a_dataset_of_the_hub_is_streamed_with_the_columns_and_the_split(monkeypatch):
    asked = []

    def load_dataset(path, **options):
        asked.append((path, options))
        parts = {split: datasets.Dataset.from_list(ROWS).to_iterable_dataset() for split in SPLITS}
        return datasets.IterableDatasetDict(parts)

    monkeypatch.setattr("interp.data.opening.load_dataset", load_dataset)
    found = documents("owner/name", split="test", config="en", document_column="id")
    assert [name for name, _, _ in found] == ["d0", "d1", "d2"]
    assert asked == [("owner/name", {"name": "en", "streaming": True})]
    with pytest.raises(WindowError, match="owner/name has no split 'train'; it has test, validation"):
        documents("owner/name")
    with pytest.raises(WindowError, match="only a dataset on the hub has configurations"):
        documents(Path(__file__).parent, config="en")


def test_a_dataset_in_another_format_has_the_same_names():
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "n": [1, 2], "x": [1.5, float("nan")], "l": [[1], [2]]})
    for form in (None, "numpy", "torch"):
        found = documents(data.with_format(form), document_column="n", domain_column="x")
        assert found == [("1", "1.5", "a"), ("2", None, "b")]
        with pytest.raises(WindowError, match="column 'l' of row 0 holds"):
            documents(data.with_format(form), domain_column="l")


def test_a_local_corpus_and_model_ask_nothing_of_the_network(tmp_path, requests, checkpoints):
    tokenizer = load_model(checkpoints["OpenLLaMA"], device="cpu").tokenizer
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "stored"))
    for name in ("lines.jsonl", "table.parquet", "commas.csv.xz"):
        write(tmp_path / "folder" / name, FORMATS[name])
    for source in (tmp_path / "stored", str(tmp_path / "folder"), tmp_path / "folder" / "lines.jsonl"):
        assert read_windows(source, tokenizer, max_windows=5)
    assert not requests


def test_what_was_left_out_is_counted_and_said(tokenizer):
    texts = [None, "", "short", "many words " * 100, "before <|endoftext|> after " * 30]
    corpus = datasets.Dataset.from_dict({"text": texts, "id": [None, "a", "b", "c", "d"]})
    tally = Tally()
    read_windows(corpus, tokenizer, max_windows=99, short_documents="skip", document_column="id", tally=tally)
    assert (tally.documents, tally.empty, tally.short, tally.unnamed, tally.special) == (5, 2, 1, 1, 1)
    assert not tally.stopped
    assert "left out 3 of 5 documents read: 1 shorter than a window, 2 without text" in str(tally)
    counted = Tally()
    assert len(list(token_documents(corpus, tokenizer, tally=counted))) == 5
    assert (counted.documents, counted.empty, counted.special) == (5, 2, 1)
    assert not str(Tally(documents=3))


def test_windows_that_were_cut_off_are_said(tokenizer):
    corpus = datasets.Dataset.from_dict({"text": ["many words " * 100] * 4})
    n = len(read_windows(corpus, tokenizer, max_windows=99))
    for max_windows, stopped in ((n - 1, True), (n, False), (n + 1, False)):
        tally = Tally()
        assert len(read_windows(corpus, tokenizer, max_windows=max_windows, tally=tally)) == min(n, max_windows)
        assert tally.stopped is stopped


@pytest.fixture
def unchecked():
    """As for users, whose calls no type checker sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("source", [None, 5, ["a text"], {"text": ["a text"]}, iter([{"text": "a text"}])])
def test_what_is_no_corpus_is_refused(tokenizer, source):
    with pytest.raises(WindowError, match="is not a corpus: give a path"):
        read_windows(source, tokenizer, max_windows=1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["max_windows", "chunk", "prefix_len", "continuation_len", "short_documents"])
def test_other_kinds_than_whole_numbers_are_refused(tokenizer, option):
    corpus = datasets.Dataset.from_dict({"text": ["many words " * 100]})
    with pytest.raises(WindowError, match=f"{option}.*2.5"):
        read_windows(corpus, tokenizer, **{"max_windows": 1, option: 2.5})


@pytest.mark.parametrize("option", ["max_windows", "chunk", "per_document", "prefix_len", "continuation_len"])
def test_numbers_below_one_are_refused(tokenizer, option):
    corpus = datasets.Dataset.from_dict({"text": ["many words " * 100]})
    with pytest.raises(WindowError, match=f"{option} must be at least 1, not 0"):
        read_windows(corpus, tokenizer, **{"max_windows": 5, option: 0})


def test_a_file_and_a_dataset_have_one_split(tmp_path):
    for source in (write(tmp_path / "c.jsonl", lines(ROWS)), datasets.Dataset.from_list(ROWS)):
        assert documents(source, split="train") == documents(source)
        with pytest.raises(WindowError, match="has no split 'test'; it has train"):
            documents(source, split="test")


def test_a_column_is_missed_in_a_dataset_without_rows():
    with pytest.raises(WindowError, match=r"no column 'text'; it has \['a'\]"):
        documents(datasets.Dataset.from_dict({"a": []}))
