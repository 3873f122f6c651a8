"""Refusals on the command line: one line and exit code 1, where Python would print a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from interp.errors import InterpError


class RefusingGroup(TyperGroup):
    """Commands whose refusals are said in one line.

    An ``InterpError`` is a refusal, as is a file that cannot be read or written. Anything else is a bug, and keeps its
    traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not (isinstance(error, (InterpError, OSError))):
                raise
            # A file's name may hold bytes that are no text, and an error that quotes it must still be printed.
            line = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
            typer.echo(f"error: {line}", err=True)
            raise typer.Exit(1) from error
