"""Makes commands from the descriptions of measurements and comparisons.

Heavy packages are imported only when a command runs, so that ``interp --help`` is fast.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.options import ModelArgument, options, parameter, plain
from interp.commands.places import check_places
from interp.commands.saying import JsonOption, QuietOption, say_found, say_left_out, shows_bars, warnings_as_lines
from interp.comparisons.comparison import Comparison, Given
from interp.measurements.measurement import Figures, Measurement, run
from interp.measurements.settings import make
from interp.measurements.subject import ModelChoice, Subject, WindowsChoice

if TYPE_CHECKING:
    import pandas as pd

    from interp.results import Provenance

TablesArgument = Annotated[list[Path], typer.Argument(help="saved tables, or folders of them")]
OutOption = Annotated[Path, typer.Option(help="parquet file for the result")]
FolderOption = Annotated[Path | None, typer.Option(help="folder for all tables of the result, one file each")]
FigureOption = Annotated[Path | None, typer.Option("--figure", help="HTML file for a figure of the result")]
SeedOption = Annotated[int, typer.Option(help="seed of every random choice", min=0, max=2**32 - 1)]


def add_measurement(app: typer.Typer, measurement: Measurement[Any]) -> None:
    """Make a measurement a command of a model and windows."""
    defaults = {"per_set": measurement.per_set, "max_windows": measurement.max_windows}
    every = [*options(WindowsChoice, defaults), *options(ModelChoice)]
    shared = [option for option in every if option.name not in measurement.without]
    subject = parameter("model", ModelArgument)

    def command(model: str, settings: Any, given: dict[str, Any], quiet: bool) -> _Result:
        chosen = {kind: _of(kind, given) for kind in (ModelChoice, WindowsChoice)}
        asked = Subject(model, chosen[ModelChoice], chosen[WindowsChoice], progress=shows_bars(quiet))
        found = run(measurement, asked, settings)
        if asked.tally is not None:
            say_left_out(str(asked.chosen.corpus), asked.tally, quiet=quiet)
        return _Result(found.tables, found.provenance, measurement.finding(found), lambda: measurement.figures(found))

    _add(app, measurement, subject, shared, command)


def add_comparison(app: typer.Typer, comparison: Comparison[Any]) -> None:
    """Make a comparison a command over tables."""

    def command(tables: list[Path], settings: Any, given: dict[str, Any], quiet: bool) -> _Result:
        rows, provenance = comparison.read(tables)
        compared = comparison.compare(Given(rows, provenance, given["seed"]), settings)
        rests_on = dict.fromkeys(compared.tables, provenance)
        return _Result(compared.tables, rests_on, compared.finding, compared.figures)

    _add(app, comparison, parameter("tables", TablesArgument), [parameter("seed", SeedOption, 0)], command)


class _Result:
    """The result of a command."""

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        provenance: Mapping[str, list[Provenance]],
        finding: str,
        figures: Callable[[], Figures],
    ) -> None:
        self.tables, self.provenance, self.finding, self.figures = tables, provenance, finding, figures

    def write(self, out: Path, folder: Path | None, figure: Path | None) -> dict[str, str]:
        """Write the requested files. Returns their paths by name."""
        from interp.figures.page import write_page
        from interp.results import write_table

        first = next(iter(self.tables))
        written = {"table": str(write_table(self.tables[first], out, self.provenance[first]))}
        if folder is not None:
            for name, rows in self.tables.items():
                write_table(rows, folder / f"{name}.parquet", self.provenance[name])
            written["folder"] = str(folder)
        if figure is not None:
            drawn = next(self.figures(), None)
            if drawn is None:
                typer.echo("there is nothing to draw", err=True)
            else:
                written["figure"] = str(write_page(drawn[1], figure))
        return written


def _add(
    app: typer.Typer,
    described: Measurement[Any] | Comparison[Any],
    subject: inspect.Parameter,
    shared: Sequence[inspect.Parameter],
    measure: Callable[[Any, Any, dict[str, Any], bool], _Result],
) -> None:
    """A command with its subject, ``--out``, its own settings, and the shared options."""

    def command(**given: Any) -> None:
        check_places(given)
        out, folder, figure = (given.pop(name) for name in ("out", "folder", "figure"))
        as_json, quiet = given.pop("json"), given.pop("quiet")
        settings = _of(described.settings, given)
        with warnings_as_lines(quiet):
            result = measure(given.pop(subject.name), settings, given, quiet)
        written = result.write(out, folder, figure)
        say_found(result.finding, written, as_json=as_json, quiet=quiet)

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            subject,
            parameter("out", OutOption),
            *options(described.settings),
            *shared,
            parameter("figure", FigureOption, None),
            parameter("folder", FolderOption, None),
            parameter("json", JsonOption, False),
            parameter("quiet", QuietOption, False),
        ]
    )
    command.__doc__ = described.help
    app.command(described.name)(command)


def _of(kind: type, given: Mapping[str, Any]) -> Any:
    """Settings of a kind from the given values."""
    return make(kind, {field.name: plain(given[field.name]) for field in fields(kind) if field.name in given})
