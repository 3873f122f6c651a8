"""Commands of studies: run one, and maintain its store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.places import check_places
from interp.study.config import Engine

if TYPE_CHECKING:
    from interp.study.config import Study
    from interp.study.plan import Planned
    from interp.study.run import Ran, Told

app = typer.Typer()


class Export(StrEnum):
    """Formats of figures as files."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


StudyArgument = Annotated[Path, typer.Argument(help="study file; `interp init` writes an example")]
PlaceArgument = Annotated[Path, typer.Argument(help="study file, or the folder of a store")]
StoreOption = Annotated[Path | None, typer.Option(help="folder of the results, if not the one in the file")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(help="pattern such as pythia* for a measurement, model or windows; all given patterns must match"),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="units at a time; by default one per GPU, or two on a CPU", min=1)
]


@app.command()
def init(path: Annotated[Path, typer.Argument(help="file to write")] = Path("study.yaml")) -> None:
    """Write an example of a study file, with a comment on every setting."""
    from interp.files import OutputError, check_outputs, write_text
    from interp.study.example import example

    check_outputs({"path": path})
    if path.exists():
        raise OutputError(f"{path} is there already; name another file")
    write_text(path, example())
    typer.echo(f"{path}: edit it, then `interp run {path} --dry-run`")


@app.command()
def run(
    study: StudyArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print what would be measured")] = False,
    only: OnlyOption = None,
    engine: Annotated[Engine, typer.Option(help="engine that measures the units")] = "local",
    workers: WorkersOption = None,
    store: StoreOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only a summary at the end")] = False,
) -> None:
    """Measure the units of a study that its store does not have yet. Can be stopped at any moment and run again."""
    from interp.study.config import read_study
    from interp.study.plan import plan
    from interp.study.run import run as measure

    asked = read_study(study, store=store)
    if dry_run:
        _say_plan(asked, plan(asked, only=only or ()))
        return
    with _shown(asked, quiet=quiet) as told:
        ran = measure(asked, only=only or (), engine=engine, workers=workers, told=told)
    _say_done(asked, ran)


def _say_done(asked: Study, ran: Ran) -> None:
    """Print what was done, what failed and what to do."""
    for outcome in ran.failed:
        typer.echo(f"failed: {outcome.unit.title}: {outcome.message}", err=True)
    n, failed = len(ran.outcomes), len(ran.failed)
    counts = {
        "measured now": ran.count("measured"),
        "there before": ran.count("there"),
        "without anything to measure": ran.count("passed over"),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    then = f"`interp report {asked.store}` makes the page"
    if failed:
        then = (
            f"{failed} failed, see above and {asked.store / 'log.jsonl'}: correct this and run the same command again"
        )
    typer.echo(f"{n - failed} of {n} units are in {asked.store} ({said or 'none'}); {then}")
    if failed:
        raise typer.Exit(1)


def _say_plan(asked: Study, planned: Sequence[Planned]) -> None:
    from rich.console import Console
    from rich.table import Table

    from interp.study.run import forecast
    from interp.study.store import Store, StoreError

    try:
        store = Store.open(asked.store)
    except StoreError:
        store = None
    table = Table(title=None, box=None, pad_edge=False)
    for column in ("measurement", "model", "windows", "seed", "state"):
        table.add_column(column, overflow="fold")
    missing, states = [], []
    for one in planned:
        there = store is not None and one.key is not None and store.record(one.key) is not None
        state = "there" if there else one.lacking or "to measure"
        if not there:
            missing.append(one)
        states.append(state)
        part = "" if one.unit.part is None else f" {one.unit.part[0]}-{one.unit.part[1] - 1}"
        entry, model, windows = one.unit.names
        table.add_row(entry, model, windows + part, str(one.unit.windows.seed), state)
    Console().print(table)
    typer.echo(f"{len(planned)} units: {len(planned) - len(missing)} there, {len(missing)} to measure")
    if missing:
        told = forecast(missing, store.records() if store else [])
        known = len(missing) - told.untold
        typer.echo(
            f"estimated from similar units: {_duration(told.seconds)} on one worker, {told.disk / 2**20:,.1f} MiB of "
            f"disk, for {known} of them; {told.memory / 2**20:,.0f} MiB of memory for the largest"
            if known
            else f"no similar unit was measured yet, so the time is unknown; the weights of the "
            f"largest model are {told.memory / 2**20:,.0f} MiB"
        )


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return (
        f"{hours:.1f} hours" if hours >= 1 else f"{minutes:.1f} minutes" if minutes >= 1 else f"{seconds:.0f} seconds"
    )


@contextmanager
def _shown(asked: Study, *, quiet: bool) -> Iterator[Told]:
    """In a terminal, a table that grows with each unit. Elsewhere one line per unit."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    lines: list[Mapping[str, Any]] = []
    if quiet:
        yield lambda _: None
    elif not console.is_terminal:
        yield lambda line: typer.echo(_told(line), err=True)
    else:
        with Live(_live(asked, lines), console=console, refresh_per_second=4) as live:

            def told(line: Mapping[str, Any]) -> None:
                lines.append(line)
                live.update(_live(asked, lines))

            yield told


def _told(line: Mapping[str, Any]) -> str:
    """A readable line of the log."""
    part = "" if line["part"] is None else " {}-{}".format(*line["part"])
    unit = f"{line['measurement']} of {line['model']} on {line['windows']}{part}, seed {line['seed']}"
    cost = ""
    if "seconds" in line:
        cost = f" in {line['seconds']:.1f} s, {line['peak_mib']:,} MiB, {line['tokens_per_second']:,.0f} tokens/s"
    why = f": {line['message']}" if "message" in line else ""
    return f"{line['state']}: {unit}{cost}{why}"


def _live(asked: Study, lines: Sequence[Mapping[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title=asked.title, title_justify="left", box=None, pad_edge=False)
    for column in ("measurement", "units", "failed", "seconds", "MiB", "last"):
        table.add_column(column, justify="left" if column in {"measurement", "last"} else "right")
    for entry in asked.entries:
        mine = [line for line in lines if line["measurement"] == entry.label]
        failed = sum(line["state"] == "failed" for line in mine)
        seconds = sum(line.get("seconds", 0.0) for line in mine)
        memory = max((line.get("peak_mib", 0) for line in mine), default=0)
        last = f"{mine[-1]['model']}, {mine[-1]['windows']}: {mine[-1]['state']}" if mine else ""
        table.add_row(entry.label, f"{len(mine) - failed}", f"{failed or ''}", f"{seconds:,.0f}", f"{memory:,}", last)
    return table


@app.command()
def status(study: StudyArgument, store: StoreOption = None, only: OnlyOption = None) -> None:
    """Print the state of a study: what is there, what is being measured, what failed at the last attempt."""
    from rich.console import Console
    from rich.table import Table

    from interp.study.config import read_study
    from interp.study.plan import plan
    from interp.study.store import Store

    asked = read_study(study, store=store)
    opened = Store.open(asked.store)
    failures = {(e["unit"]): e.get("message", "") for e in opened.logged()[0] if e["state"] == "failed"}
    table, totals = Table(box=None, pad_edge=False), dict.fromkeys(("there", "running", "failed", "missing"), 0)
    for column in ("measurement", *totals):
        table.add_column(column, justify="left" if column == "measurement" else "right")
    counts = {entry.label: dict.fromkeys(totals, 0) for entry in asked.entries}
    reasons = []
    for one in plan(asked, only=only or ()):
        key = one.key or ""
        if key and opened.record(key, read=False) is not None:
            state = "there"
        elif key and opened.held(key):
            state = "running"
        elif key in failures:
            state = "failed"
            reasons.append(f"{one.unit.title}: {failures[key]}")
        else:
            state = "missing"
        counts[one.unit.entry][state] += 1
        totals[state] += 1
    for label, found in counts.items():
        if any(found.values()):
            table.add_row(label, *(str(n or "") for n in found.values()))
    Console().print(table)
    for reason in reasons:
        typer.echo(f"failed: {reason}")
    typer.echo(", ".join(f"{n} {state}" for state, n in totals.items()))


@app.command()
def verify(place: PlaceArgument, store: StoreOption = None) -> None:
    """Compare every file of a store with its digest."""
    from interp.study.store import Store

    opened = Store.open(store or _store_of(place))
    damaged = list(opened.verify())
    for found in damaged:
        typer.echo(f"{found.path}: {found.what}")
    n = len(opened.records())
    if damaged:
        typer.echo(
            f"{len(damaged)} files have changed since they were written; {n} units are complete in number and size",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(f"all files of {n} units are unchanged")


@app.command()
def gc(
    studies: Annotated[list[Path], typer.Argument(help="study files of one store; units in none of them are removed")],
    store: StoreOption = None,
    delete: Annotated[bool, typer.Option("--delete", help="remove the files; without it they are only listed")] = False,
) -> None:
    """Remove units that no study needs any more: units of other settings, weights, texts or versions."""
    from interp.study.config import read_study
    from interp.study.document import StudyError
    from interp.study.plan import plan
    from interp.study.store import Store

    asked = [read_study(path, store=store) for path in studies]
    places = {one.store.resolve() for one in asked}
    if len(places) > 1:
        raise StudyError(
            f"these studies have several stores: {', '.join(sorted(map(str, places)))}; give studies of one store"
        )
    planned = [one for study in asked for one in plan(study)]
    unknown = [one for one in planned if one.key is None]
    if unknown:
        raise StudyError(
            f"it is not known which results belong to {unknown[0].unit.title} ({unknown[0].lacking}); nothing was "
            "removed"
        )
    opened = Store.open(asked[0].store, write=delete)
    unused = opened.unused([one.key for one in planned if one.key])
    size = sum(path.stat().st_size for path in unused)
    for path in unused:
        typer.echo(str(path))
    if delete:
        opened.clear_leavings()
        opened.remove(unused)
    typer.echo(
        f"{len(unused)} files, {size / 2**20:,.1f} MiB: {'removed' if delete else 'would be removed with --delete'}"
    )


def _store_of(place: Path) -> Path:
    from interp.study.config import read_study

    return place if place.is_dir() else read_study(place).store


@app.command()
def report(
    places: Annotated[list[Path], typer.Argument(help="study files, or folders of stores")],
    page: Annotated[
        Path | None, typer.Option("--out", help="the page; by default report.html in the first store")
    ] = None,
    store: StoreOption = None,
    export: Annotated[
        list[Export] | None, typer.Option(help="also write every figure as a file beside the page; needs a browser")
    ] = None,
) -> None:
    """Make one page from the results of studies: questions, answers, figures and tables."""
    from interp.report.export import export_figures
    from interp.report.study import Results, write_study_report
    from interp.study.config import read_study
    from interp.study.store import Store, StoreError

    check_places({"page": page})
    results = []
    for place in places:
        opened = Store.open(place) if place.is_dir() else None
        files = [place] if opened is None else opened.studies()
        if not files:
            raise StoreError(f"no study was run in {place}; give the study file, or run one there")
        for file in files:
            asked = read_study(file, store=store if opened is None else place)
            results.append(Results.of(asked, opened or Store.open(asked.store)))
    page = page or results[0].store.root / "report.html"
    typer.echo(f"report: {write_study_report(results, page)}")
    if export:
        folder = page.parent / f"{page.stem}-figures"
        figures = {name: figure for result in results for name, figure in result.figures()}
        typer.echo(f"{export_figures(figures, folder, [kind.value for kind in export])} files in {folder}")
