"""The command that lists the registry of models."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="show all facts on this model")] = None,
    small: Annotated[bool, typer.Option("--small", help="only the project's own models")] = False,
) -> None:
    """Print the models known by name: the 20 of the study and the project's own 18. Or print all facts on one."""
    from rich.console import Console
    from rich.table import Table

    from interp.models.registry import find, registry

    console, table = Console(), Table(title=None, box=None, pad_edge=False)
    if name is not None:
        table.show_header = False
        for fact, value in asdict(find(name)).items():
            table.add_row(fact, "-" if value is None else f"{value:,}" if fact == "n_params" else str(value))
        console.print(table)
        return
    # Fits 80 columns of a terminal. The model's own entry shows the rest.
    for column, width in (("name", 20), ("parameters", 10), ("layers x heads", 14), ("context", 7)):
        table.add_column(column, no_wrap=True, min_width=width, justify="left" if column == "name" else "right")
    table.add_column("corpus", no_wrap=True, overflow="ellipsis")
    for spec in registry().values():
        if spec.small or not small:
            size, shape = f"{spec.n_params / 1e6:,.1f}M", f"{spec.n_layers} x {spec.n_heads}"
            corpus = re.split(r" [(/+]|,", spec.corpus)[0]
            table.add_row(spec.name, size, shape, f"{spec.n_ctx:,}", corpus)
    console.print(table)
