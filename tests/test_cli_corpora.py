"""The command line on corpora of others: every command has the same options for one, and says what it left out."""

import json

import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from interp.cli import app

MODEL = "pythia-small-0.2m"
LONG = "many words of one text " * 40
COMMANDS = get_command(app).commands
OF_A_CORPUS = [name for name, command in COMMANDS.items() if any(p.name == "corpus" for p in command.params)]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def corpus(tmp_path):
    """Two splits, with an id and a domain inside of ``meta``; one document is short, one has no id and no domain."""
    for split in ("validation", "test"):
        rows = [{"text": f"{split} {LONG}", "meta": {"id": f"{split}-{i}", "set": "web"}} for i in range(2)]
        rows += [{"text": "short", "meta": {"id": "s", "set": "web"}}, {"text": LONG, "meta": None}]
        path = tmp_path / "corpus" / f"{split}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "corpus"


def test_every_command_of_a_corpus_has_the_options_of_a_corpus():
    assert len(OF_A_CORPUS) >= 14
    for name in OF_A_CORPUS:
        options = {option for p in COMMANDS[name].params for option in p.opts}
        assert {"--text-column", "--document-column", "--domain-column", "--split"} <= options, name


@pytest.mark.parametrize("command", ["extract", "flags"])
def test_split_and_columns_are_chosen_and_what_is_left_out_is_said(corpus, tmp_path, command):
    out = tmp_path / "out"
    columns = ("--document-column", "meta.id", "--domain-column", "meta.set")
    ran = invoke(command, MODEL, "--out", out, "--corpus", corpus, "--split", "test", *columns)
    assert ran.exit_code == 0, ran.output
    table = pd.read_parquet(out)
    assert set(zip(table["document"], table["domain"], strict=True)) == {
        ("test-0", "web"),
        ("test-1", "web"),
        ("row-3", "unknown"),
    }
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith(f"{corpus}: ")]
    assert "left out 1 of 4 documents read: 1 shorter than a window, 0 without text" in line
    assert "1 documents without an id" in line
    assert '1 documents without a domain are "unknown"' in line
    assert "1 files of the folder were not read" in line
    for asked in ((), ("--split", "train")):
        refused = invoke(command, MODEL, "--out", tmp_path / "no", "--corpus", corpus, *asked)
        assert refused.exit_code == 1
        assert "has no split 'train'; it has test, validation" in refused.stderr


def test_an_index_is_built_of_a_split_and_says_what_was_empty(corpus, tmp_path):
    (corpus / "test.jsonl").write_text('{"text": "int main(void)"}\n{"text": null}\n{"text": "a <|endoftext|> b"}\n')
    ran = invoke("index", "build", corpus, "--out", tmp_path / "i", "--tokenizer", MODEL, "--split", "test")
    assert ran.exit_code == 0, ran.output
    assert "left out 1 of 3 documents read" in ran.stderr
    assert "1 documents contain the text of a special token" in ran.stderr


def test_a_corpus_without_a_window_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "short"}\n')
    for command in ("extract", "flags"):
        ran = invoke(command, MODEL, "--out", tmp_path / command, "--corpus", tmp_path / "c.jsonl")
        assert ran.exit_code == 1
        assert "gives no windows: left out 1 of 1 documents read: 1 shorter than a window" in ran.stderr
        assert not (tmp_path / command).is_file()
        assert not list((tmp_path / command).glob("*.parquet"))


def test_windows_that_were_cut_off_are_said(corpus, tmp_path):
    given = ("extract", MODEL, "--out", tmp_path / "o.parquet", "--corpus", corpus, "--split", "test")
    assert "stopped at the requested number of windows" in invoke(*given, "--max-windows", 2).stderr
    assert "stopped" not in invoke(*given, "--max-windows", 99).stderr
