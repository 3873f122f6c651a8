"""Output of a command: finding and written files on standard output, bars and warnings on standard error."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="print the finding as JSON")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="print nothing, and show no bar")]


def shows_bars(quiet: bool) -> bool:
    """Whether to show bars. Not if standard error is a file or a pipe."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def warnings_as_lines(quiet: bool) -> Iterator[None]:
    """Warnings as plain lines, without their place in the code."""
    with warnings.catch_warnings(record=True) as told:
        yield
    if not quiet:
        for message in dict.fromkeys(str(warning.message) for warning in told):
            typer.echo(message, err=True)


def say_left_out(corpus: str, tally: object, *, quiet: bool) -> None:
    """Print one line on what was left out of a corpus."""
    if str(tally) and not quiet:
        typer.echo(f"{corpus}: {tally}", err=True)


def say_found(finding: str, written: Mapping[str, str], *, as_json: bool, quiet: bool) -> None:
    """Print the finding and the written files. The first file is on the line of the finding."""
    if as_json:
        typer.echo(json.dumps({"finding": finding, **written}))
    elif not quiet:
        first, *others = written.items()
        typer.echo(f"{finding}; {first[1]}")
        for name, place in others:
            typer.echo(f"{name}: {place}")
