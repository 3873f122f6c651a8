"""Every command refuses an output that cannot be written or would destroy something, before it loads anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from interp.cli import app
from interp.data.counts import web as infini_gram
from interp.models import loading
from interp.planted.shapes import TOKENIZER, WEIGHTS
from interp.statistical import scores

APP: Any = get_command(app)
COMMANDS: dict[str, Any] = dict(APP.commands)
for group in ("index", "compare"):
    COMMANDS |= {f"{group} {name}": command for name, command in COMMANDS.pop(group).commands.items()}
PLACES = ("out", "page", "figure", "parts", "folder", "cache")
READ = ("model", "tables", "corpus", "index", "tokenizer")
FOLDERS = {("flags", "out"), ("index build", "out"), ("index shipped", "out"), ("frequency", "parts")}
FOLDERS |= {(command, "folder") for command in COMMANDS if any(p.name == "folder" for p in COMMANDS[command].params)}
OTHERS = {"by": "model", "n_params": "1e6", "text": "words", "places": "study.yaml"}


def outputs(command: str) -> list[str]:
    return [p.name for p in COMMANDS[command].params if p.name in PLACES]


WRITING = [command for command in COMMANDS if outputs(command)]
CHOICES = [(command, output) for command in WRITING for output in outputs(command)]


class ReachedError(Exception):
    """The work has begun."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Inputs of every kind, and work that says that it was reached."""

    def reached(*args: object, **kwargs: object) -> None:
        raise ReachedError

    for home, name in (
        (loading, "load_model"), (loading, "load_tokenizer"), (scores, "read_scores"), (infini_gram, "InfiniGram"),
    ):  # fmt: skip
        monkeypatch.setattr(home, name, reached)
    monkeypatch.setattr("typer.testing._get_command", lambda _: APP)  # not built again for each call
    # First, since what is imported while the other is replaced would keep it.
    monkeypatch.setattr("interp.explore.tables.read_result", reached)
    for reading in ("read_table", "read_result"):
        monkeypatch.setattr(f"interp.results.{reading}", reached)
    monkeypatch.setattr("interp.data.counts.build.build_index", reached)
    monkeypatch.setattr("interp.study.config.read_study", reached)
    shutil.copytree(WEIGHTS / "pythia-small-0.2m", tmp_path / "model")
    shutil.copytree(TOKENIZER, tmp_path / "tokenizer")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "manifest.json").write_text("{}")
    (tmp_path / "tables").mkdir()
    for file in ("corpus.parquet", "tables/a.parquet"):
        pd.DataFrame({"text": ["words"]}).to_parquet(tmp_path / file)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    return tmp_path


def inputs(command: str, root: Path) -> dict[str, Path]:
    places = {name: root / name for name in READ} | {"corpus": root / "corpus.parquet"}
    if command == "index web":
        places = {}
    return {p.name: places[p.name] for p in COMMANDS[command].params if p.name in places}


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def call(command: str, given: dict[str, Any]) -> Any:
    """Invoke a command with arguments by name, and with others that it needs."""
    arguments, options = [], []
    for param in COMMANDS[command].params:
        value = given.get(param.name, OTHERS.get(param.name) if param.required else None)
        value = "pythia-160m" if value is None and param.name == "model" else value
        if value is not None:
            named = param.param_type_name == "option"
            (options if named else arguments).extend([param.opts[0], str(value)] if named else [str(value)])
    return CliRunner().invoke(app, [*command.split(), *options, *arguments])


def good(command: str, root: Path) -> dict[str, Path]:
    names = {
        "out": "o.parquet",
        "page": "p.html",
        "figure": "f.html",
        "parts": "parts",
        "folder": "tables",
        "cache": "cache.sqlite",
    }
    return {name: root / "new" / names[name] for name in outputs(command)}


def bad(command: str, output: str, root: Path) -> Iterator[Path]:
    """Places that an output of a command must not be, by what they are."""
    folder = (command, output) in FOLDERS
    yield root / "file" if folder else root / "folder"
    yield root / "file" / "below"
    yield Path("/dev/null")
    for place in inputs(command, root).values():
        yield place
        if place.is_dir():
            yield place / "new"
    for other, place in good(command, root).items():
        if other != output:
            yield place
            yield root / "new" / ".." / "new" / place.name


def test_only_commands_without_a_result_write_nothing() -> None:
    into_stores = {"init", "run", "status", "verify", "gc"}  # of a study, with tests of their own
    assert set(COMMANDS) - set(WRITING) == {"models", "index count"} | into_stores
    assert {(command, output) for command, output in CHOICES} >= FOLDERS


@pytest.mark.parametrize("command", WRITING)
def test_good_places_reach_the_work(root: Path, command: str) -> None:
    before = snapshot(root)
    result = call(command, inputs(command, root) | good(command, root))
    assert isinstance(result.exception, ReachedError), result.output
    assert snapshot(root) == before


@pytest.mark.parametrize(("command", "output"), CHOICES)
def test_bad_places_are_refused_before_the_work(root: Path, command: str, output: str) -> None:
    before = snapshot(root)
    for place in bad(command, output, root):
        result = call(command, inputs(command, root) | good(command, root) | {output: place})
        assert isinstance(result.exception, SystemExit), (place, result.exception)
        assert result.exit_code == 1, (place, result.output)
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: "), place
        assert snapshot(root) == before, place
    assert not os.path.isfile("/dev/null")
