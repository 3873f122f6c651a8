"""The head explorer of saved tables, as a page."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from interp.commands.places import check_places

Tables = Annotated[list[Path], typer.Argument(help="tables of `interp ablate`, or folders of them")]


def add_explore(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("explore")(explore)


def explore(
    tables: Tables,
    page: Annotated[Path, typer.Option("--out", help="HTML file for the page")] = Path("heads.html"),
    show: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="open the page in a browser; by default if the output is a terminal"),
    ] = None,
) -> None:
    """Explore the head maps of one or several models in a page that needs no kernel and no network.

    The page has maps by method, group and domain, ranked lists with intervals, and models side by side. Domains and
    differences of groups need the tables of `interp ablate --by-window --folder`. Attention and text need a running
    model: in a notebook, interp.explore(ablation, model=model) shows them and saves them to a page.
    """
    check_places({"tables": tables, "page": page})
    from interp.explore.tables import explore_tables

    explore_tables(tables).save(page)
    typer.echo(str(page))
    if sys.stdout.isatty() if show is None else show:
        webbrowser.open(page.resolve().as_uri())
