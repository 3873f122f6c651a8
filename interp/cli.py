"""How language models memorize: measure it from the command line."""

from __future__ import annotations

import typer

from interp.commands import comparing, index, internal, models, statistical
from interp.commands.refusals import RefusingGroup

app = typer.Typer(
    cls=RefusingGroup,
    no_args_is_help=True,
    add_completion=False,
    help=__doc__,
    pretty_exceptions_show_locals=False,
)
_LEVELS = {
    "Models": models,
    "Statistical level: a model and windows": statistical,
    "Statistical level: tables of scores": comparing,
    "Internal level: a model and windows": internal,
}
for panel, level in _LEVELS.items():
    for command in level.app.registered_commands:
        command.rich_help_panel = panel
    app.add_typer(level.app)
app.add_typer(index.app, name="index", rich_help_panel="Corpora")

if __name__ == "__main__":
    app()
