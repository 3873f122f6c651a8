"""Refusals on the command line: one line and exit code 1 instead of a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from interp.errors import InterpError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""


class RefusingGroup(TyperGroup):
    """Commands whose refusals are printed in one line.

    An ``InterpError`` is a refusal, and so is a file that cannot be read or written or that ends too early. Anything
    else is a bug and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A refusal becomes a line and an exit status."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # The reader of the output has gone, and would not read a message either.
        except KeyboardInterrupt:
            _say("interrupted: unfinished results are not written")
            raise typer.Exit(INTERRUPTED) from None
        except EOFError as error:
            _say(f"a file, or the input, ends before its end: {error}")
            raise typer.Exit(1) from error
        except (InterpError, OSError) as error:
            _say(str(error) or type(error).__name__)
            raise typer.Exit(1) from error


def _say(reason: str) -> None:
    # A name may contain characters that no terminal can print.
    line = " ".join(reason.split()).encode("utf-8", "backslashreplace").decode()
    typer.echo(f"error: {line}", err=True)
