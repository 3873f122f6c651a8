"""Refusals on the command line: one line and exit code 1, where Python would print a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from interp.errors import InterpError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class RefusingGroup(TyperGroup):
    """Commands whose refusals are said in one line.

    An ``InterpError`` is a refusal, as is a file that cannot be read or written or that ends too early. Anything else
    is a bug, and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a refusal becomes a line and an exit status."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Whoever read the output has left, and reads no message either.
        except KeyboardInterrupt:
            _say("interrupted: what was not finished is not written")
            raise typer.Exit(INTERRUPTED) from None
        except EOFError as error:
            _say(f"a file, or the input, ends before its end: {error}")
            raise typer.Exit(1) from error
        except (InterpError, OSError) as error:
            _say(str(error) or type(error).__name__)
            raise typer.Exit(1) from error


def _say(reason: str) -> None:
    # A name may hold what no terminal can print.
    line = " ".join(reason.split()).encode("utf-8", "backslashreplace").decode()
    typer.echo(f"error: {line}", err=True)
