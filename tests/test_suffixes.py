"""A file's name does not promise a format that the file does not have."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import interp.models.loading
from interp.cli import app
from interp.figures.page import write_page
from interp.files import PAGE_SUFFIXES, TABLE_SUFFIXES, OutputError, check_suffix
from interp.results import Provenance, write_table
from interp.statistical import scores

COMMANDS = {
    name: command
    for name, command in get_command(app).commands.items()
    if any("--out" in option.opts and "parquet file" in (option.help or "") for option in command.params)
}


@pytest.mark.parametrize("name", ["t.parquet", "t", "T.PARQUET", "model-0.2m", "t.v1"])
def test_a_table_may_have_its_suffix_or_none(name):
    check_suffix(Path(name), TABLE_SUFFIXES)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".xlsx", ".feather", ".html", ".png", ".CSV"])
def test_a_table_is_not_written_under_another_format(suffix, tmp_path, models, windows):
    provenance = Provenance.of("m", models["Pythia"], windows)
    with pytest.raises(OutputError, match=r"tables are written as parquet; name it t\.parquet"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / f"t{suffix}", provenance)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".jpeg", ".webp", ".json", ".parquet", ".PNG"])
def test_a_page_is_not_written_as_an_image(suffix, tmp_path):
    with pytest.raises(OutputError, match=r"figures are written as HTML pages; name it f\.html"):
        write_page(go.Figure(), tmp_path / f"f{suffix}")
    assert not list(tmp_path.iterdir())
    for name in ("f.html", "f.htm", "f"):
        check_suffix(Path(name), PAGE_SUFFIXES)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_before_it_loads_anything(command, tmp_path, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("loaded first")

    monkeypatch.setattr(interp.models.loading, "load_model", loaded)
    monkeypatch.setattr(interp.models.loading, "load_tokenizer", loaded)
    monkeypatch.setattr(scores, "read_scores", loaded)
    needed = [o for o in COMMANDS[command].params if o.required and o.param_type_name == "option" and o.name != "out"]
    given = [command, "x", *[part for o in needed for part in (o.opts[0], "1")]]
    table, page = tmp_path / "o.parquet", tmp_path / "o.html"
    for out, figure, refused in ((tmp_path / "o.csv", page, "--out"), (table, tmp_path / "o.png", "--figure")):
        drawn = ["--figure", str(figure)] if any("--figure" in o.opts for o in COMMANDS[command].params) else []
        result = CliRunner().invoke(app, [*given, "--out", str(out), *drawn])
        if drawn or refused == "--out":
            assert result.exit_code == 1, result.output
            assert result.stderr.startswith(f"error: {refused} "), result.stderr
            assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_commands_that_write_tables_were_found():
    assert len(COMMANDS) >= 19
