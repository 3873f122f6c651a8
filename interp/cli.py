"""How language models memorize: measure it from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from interp.commands import index, models, study
from interp.commands.explore import add_explore
from interp.commands.flags import add_flags
from interp.commands.measure import add_comparison, add_measurement
from interp.commands.refusals import RefusingGroup
from interp.comparisons.registry import OF_HEADS, OF_SCORES
from interp.measurements.registry import INTERNAL, STATISTICAL

app = typer.Typer(
    cls=RefusingGroup,
    no_args_is_help=True,
    add_completion=False,
    help=__doc__,
    pretty_exceptions_show_locals=False,
)


def _say_version(wanted: bool | None) -> None:
    if wanted:
        import interp

        typer.echo(f"interp {interp.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool | None, typer.Option("--version", help="say the version and end", callback=_say_version, is_eager=True)
    ] = None,
) -> None:
    """How language models memorize: measure it from the command line."""


def _panel(title: str) -> typer.Typer:
    """Commands that ``--help`` groups together."""
    panel = typer.Typer()
    _PANELS[title] = panel
    return panel


_PANELS: dict[str, typer.Typer] = {"Models": models.app, "Studies": study.app}
statistical = _panel("Statistical level: a model and windows")
for measurement in STATISTICAL:
    add_measurement(statistical, measurement)
add_flags(statistical)
tables = _panel("Statistical level: tables of scores")
for comparison in OF_SCORES:
    add_comparison(tables, comparison)
internal = _panel("Internal level: a model and windows")
for measurement in INTERNAL:
    add_measurement(internal, measurement)
add_explore(_panel("Internal level: tables of heads"))
for title, panel in _PANELS.items():
    for command in panel.registered_commands:
        command.rich_help_panel = title
    app.add_typer(panel)
compare = typer.Typer(no_args_is_help=True, help="Compare models by tables of their heads.")
for comparison in OF_HEADS:
    add_comparison(compare, comparison)
app.add_typer(compare, name="compare", rich_help_panel="Internal level: tables of heads")
app.add_typer(index.app, name="index", rich_help_panel="Corpora")

if __name__ == "__main__":
    app()
