"""What the command line says when something goes wrong: one line and an exit code, or a traceback where it is a bug."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from interp.commands.refusals import RefusingGroup
from interp.errors import InterpError

SAID: list[tuple[BaseException, int, str]] = [
    (InterpError("seed -1\n  is negative"), 1, "error: seed -1 is negative\n"),
    (FileNotFoundError(2, "No such file", "x.parquet"), 1, "error: [Errno 2] No such file: 'x.parquet'\n"),
    (OSError(), 1, "error: OSError\n"),
    (EOFError("cut off"), 1, "error: a file, or the input, ends before its end: cut off\n"),
    (KeyboardInterrupt(), 130, "error: interrupted: unfinished results are not written\n"),
    (InterpError("no \ud800 here"), 1, "error: no \\ud800 here\n"),
]


def ran(raised: BaseException) -> tuple[int, str, BaseException | None]:
    app = typer.Typer(cls=RefusingGroup)

    @app.command()
    def work() -> None:
        raise raised

    @app.command()
    def other() -> None: ...

    result = CliRunner().invoke(app, ["work"])
    return result.exit_code, result.stderr, result.exception


@pytest.mark.parametrize(("raised", "code", "said"), SAID, ids=lambda value: type(value).__name__)
def test_refusals_are_one_line(raised: BaseException, code: int, said: str) -> None:
    assert ran(raised)[:2] == (code, said)


@pytest.mark.parametrize("bug", [ValueError("a bug"), KeyError("a bug"), AssertionError()])
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    assert ran(bug)[2] is bug


def test_nothing_is_said_to_a_reader_that_has_left() -> None:
    code, said, _ = ran(BrokenPipeError(32, "Broken pipe"))
    assert (code, said) == (1, "")
