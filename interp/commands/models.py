"""Commands of the models: what is known by name, and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.commands.places import check_places

app = typer.Typer()


@app.command()
def models(
    small: Annotated[bool, typer.Option("--small", help="only the project's own")] = False,
) -> None:
    """Print the models known by name: the 20 of the study and the project's own 18."""
    from rich.console import Console
    from rich.table import Table

    from interp.models.registry import registry

    table = Table(title=None, box=None, pad_edge=False)
    for column in ("name", "family", "architecture", "parameters", "layers", "heads/kv", "norm", "context", "sliding"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("parameters", "layers") else "left")
    for column in ("corpus", "BOS", "tokenizer"):
        table.add_column(column, overflow="fold", max_width=48)
    for spec in registry().values():
        if spec.small or not small:
            facts = (spec.name, spec.family, spec.architecture, f"{spec.n_params:,}", str(spec.n_layers))
            sliding = "-" if spec.sliding_window is None else str(spec.sliding_window)
            shape = (f"{spec.n_heads}/{spec.n_kv_heads}", spec.norm, str(spec.n_ctx), sliding)
            table.add_row(*facts, *shape, spec.corpus, spec.bos_rule, spec.tokenizer_caveat)
    Console(width=None if Console().is_terminal else 320).print(table)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for the report and its tables")] = Path("figures/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="two sizes and fewer windows: under a minute")] = False,
) -> None:
    """Run the whole path on the small families and write report.html."""
    check_places({"out": out}, folders=["out"])
    from interp.demo import FULL, QUICK, measure, write_tables
    from interp.demo_report import write_demo_report

    results = measure(QUICK if quick else FULL)
    write_tables(results, out)
    typer.echo(f"report: {write_demo_report(results, out)}")
