"""What a command says: its finding and where it wrote on standard output; bars and warnings on standard error."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="say what was found as JSON")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="say nothing, and show no bar")]


def shows_bars(quiet: bool) -> bool:
    """Whether bars are shown: a file or a pipe that takes standard error wants none."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def warnings_as_lines(quiet: bool) -> Iterator[None]:
    """Warnings as the user's own lines: where in the code one was given says nothing to them."""
    with warnings.catch_warnings(record=True) as told:
        yield
    if not quiet:
        for message in dict.fromkeys(str(warning.message) for warning in told):
            typer.echo(message, err=True)


def say_left_out(corpus: str, tally: object, *, quiet: bool) -> None:
    """One line on what was not read as it stands."""
    if str(tally) and not quiet:
        typer.echo(f"{corpus}: {tally}", err=True)


def say_found(finding: str, written: Mapping[str, str], *, as_json: bool, quiet: bool) -> None:
    """What was found, and where it was written; the first place stands beside the finding."""
    if as_json:
        typer.echo(json.dumps({"finding": finding, **written}))
    elif not quiet:
        first, *others = written.items()
        typer.echo(f"{finding}; {first[1]}")
        for name, place in others:
            typer.echo(f"{name}: {place}")
