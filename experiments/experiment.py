"""An experiment: measurements of the small models on the shipped corpus, with their tables, summaries and figures.

Everything else that an experiment needs stands in the description of its measurement (``interp.measurements``).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from parts import Part, measure_each
from plotly.offline import get_plotlyjs

from interp.comparisons.comparison import Comparison, Given
from interp.figures.page import write_page
from interp.files import write_text
from interp.measurements.extract import EXTRACT, ExtractSettings
from interp.measurements.measurement import Measurement, run
from interp.measurements.registry import INTERNAL, STATISTICAL
from interp.measurements.settings import make
from interp.measurements.subject import NothingToMeasure, Subject, WindowsChoice
from interp.measurements.tables import Finished
from interp.models.registry import known, small_models
from interp.planted.planting import HELD_OUT, REPETITIONS, planted_set
from interp.results import Provenance, read_provenance, read_table, write_table
from interp.statistical.measured import ScoresError

FIGURES = Path(__file__).parent.parent / "figures"
GROUPED = ("planted-256", "planted-128", "planted-64", "planted-1", HELD_OUT)
"""Sets in which there are memorized and unmemorized windows."""
EVERY = (HELD_OUT, *map(planted_set, REPETITIONS))
"""Every planted set, and windows that were never shown."""
_NAMED = {measurement.name: measurement for measurement in (*STATISTICAL, *INTERNAL)}

Asked = tuple[Measurement[Any], Any]
"""A measurement and its settings."""


def parse(doc: str | None, *, per_set: int | None) -> argparse.Namespace:
    """The options of an experiment."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and figures")
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=per_set, help="windows of each set and domain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    for name in args.models:
        if not Path(name).is_dir() and known(name) is None:
            parser.error(f"there is no model and no folder called {name}")
    return args


def experiment(
    doc: str | None,
    *asked: Asked,
    sets: Sequence[str] = GROUPED,
    per_set: int | None,
    inputs: Sequence[Path] = (),
    folder: str = "",
    without: Sequence[str] = (),
) -> None:
    """Measure every model, write the tables, and draw.

    Args:
        doc: the script's docstring.
        asked: measurements with their settings.
        sets: of the shipped corpus.
        per_set: windows of each set and domain, unless the command line says otherwise.
        inputs: files that the measurements rest on.
        folder: inside that of the experiment.
        without: tables by window that are not kept.
    """
    args = parse(doc, per_set=per_set)
    args.out = args.out / folder
    if not args.draw_only:
        windows = {"sets": list(sets), "per_set": args.per_set, "seed": args.seed}
        settings = {measurement.name: _plain(asdict(chosen)) for measurement, chosen in asked}
        measure_each(
            args.models, args.out, measure, inputs=inputs, windows=windows, settings=settings, without=list(without)
        )
    found = read(args.out, seed=args.seed)
    for measurement, _ in asked:
        for name, rows in measurement.summaries(found).items():
            rests_on = [p for made in found.provenance.values() for p in made]
            write_table(rows, args.out / f"{name}.parquet", rests_on)
        draw(measurement.figures(found), args.out)
        print(measurement.finding(found), flush=True)


def measure(
    name: str, *, windows: Mapping[str, Any], settings: Mapping[str, Any], without: Sequence[str]
) -> Part | None:
    """The tables of one model; ``None`` where there is nothing to measure, as where nothing is memorized."""
    subject, tables = Subject(name, windows=make(WindowsChoice, windows)), Part()
    try:
        for measurement, given in settings.items():
            found = run(_NAMED[measurement], subject, make(_NAMED[measurement].settings, given))
            for table in [name for name in found.tables if name not in without]:
                tables.add(table, found[table], *found.provenance[table])
    except (NothingToMeasure, ScoresError) as error:
        print(f"{name}: passed over, {error}", flush=True)
        return None
    return tables


def _plain(settings: Any) -> Any:
    """Settings as JSON can hold them."""
    if isinstance(settings, Mapping):
        return {name: _plain(value) for name, value in settings.items()}
    if isinstance(settings, tuple):
        return list(settings)
    return str(settings) if isinstance(settings, Path) else settings


def read(folder: Path, *, seed: int) -> Finished:
    """The tables of a folder."""
    paths = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    tables = {name: read_table(path) for name, path in paths.items()}
    return Finished(tables, {name: read_provenance(path) for name, path in paths.items()}, seed)


def scores(args: argparse.Namespace, folder: Path) -> Path:
    """The table of scores that several experiments share, measured where it is not there yet."""
    path = folder / "scores.parquet"
    windows = {"sets": list(EVERY), "per_set": args.per_set, "seed": args.seed}
    if not _holds(path, args.models, make(WindowsChoice, windows)):
        settings = {EXTRACT.name: asdict(ExtractSettings(prefix=True))}
        measure_each(args.models, folder, measure, windows=windows, settings=settings, without=[])
    return path


def _holds(path: Path, models: Sequence[str], windows: WindowsChoice) -> bool:
    """Whether a table is of these models, as their weights are now, and of these windows."""
    if not path.exists():
        return False
    found = {record.model: record for record in read_provenance(path) if record.measurement == "extract"}
    if set(found) != set(models):
        return False
    cut = Subject(models[0], windows=windows).windows
    return not any(
        Provenance.of("extract", Subject(name).model, cut).differences(record) for name, record in found.items()
    )


def compare(path: Path, out: Path, *asked: tuple[Comparison[Any], Any], seed: int) -> None:
    """Compare the models of a table: write what comes out, and draw it."""
    for comparison, chosen in asked:
        rows, provenance = comparison.read([path])
        compared = comparison.compare(Given(rows, provenance, seed), chosen)
        for name, table in compared.tables.items():
            write_table(table, out / f"{name}.parquet", provenance)
        draw(compared.figures(), out)
        print(compared.finding, flush=True)


def draw(figures: Iterable[tuple[str, go.Figure]], out: Path) -> None:
    """Write figures as pages; all share one copy of plotly, in ``figures/``."""
    plotly = FIGURES / "plotly.min.js"
    if not plotly.exists():
        write_text(plotly, get_plotlyjs())
    for name, figure in figures:
        path = out / f"{name}.html"
        write_page(figure, path, plotlyjs=os.path.relpath(plotly, path.parent))
