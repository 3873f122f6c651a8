"""The report of a study: its question, and the answer, figures and tables of each measurement and comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from interp.comparisons.comparison import Compared, Given
from interp.errors import InterpError
from interp.measurements.measurement import Figures
from interp.measurements.tables import Finished
from interp.report.page import Section, write_report
from interp.results import Provenance
from interp.study.config import ComparisonEntry, Entry, Study
from interp.study.store import Record, Store, StoreError


@dataclass(frozen=True)
class Results:
    """A study with its units in the store."""

    study: Study
    store: Store
    records: Mapping[tuple[str, str, int], Sequence[Record]]
    """By label of the measurement, name of the windows and seed, in the order of the models."""
    missing: int
    """Number of missing units."""

    @classmethod
    def of(cls, study: Study, store: Store) -> Results:
        """The units of a study that are in its store.

        Raises:
            StoreError: the study was not run there, or none of its units is finished.
        """
        found: dict[tuple[str, str, int], list[Record]] = {}
        missing = 0
        for unit in store.units_of(study.path):
            record = store.record(unit["key"], read=False) if unit["key"] else None
            if record is None:
                missing += 1
            else:
                found.setdefault((unit["measurement"], unit["windows"], unit["seed"]), []).append(record)
        if not found:
            raise StoreError(
                f"nothing of {study.path} is finished in {store.root}; `interp run {study.path}` measures it"
            )
        return cls(study, store, found, missing)

    def sections(self) -> list[Section]:
        """The sections: comparisons first, because they cover all models, then each measurement."""
        made = [self._comparison(entry, seed) for entry in self.study.comparisons for seed in self.study.seeds]
        for entry in self.study.entries:
            for windows in entry.windows:
                made += [self._measurement(entry, windows, seed) for seed in self.study.seeds]
        return [section for section in made if section is not None]

    def figures(self) -> Figures:
        """Every figure, by the title of its section and its name."""
        for section in self.sections():
            for name, figure in section.figures.items():
                yield f"{section.title}/{name}", figure

    def _title(self, label: str, windows: str, seed: int) -> str:
        several = len(self.study.windows) > 1
        where = f" on {windows}" if several and windows else ""
        return f"{_sentence(label)}{where}{f', seed {seed}' if len(self.study.seeds) > 1 else ''}"

    def _measurement(self, entry: Entry, windows: str, seed: int) -> Section | None:
        records = self.records.get((entry.label, windows, seed), ())
        if not records:
            return None
        measured = [record for record in records if record.tables]
        answers = [f"{record.facts['model']}: {record.passed_over}" for record in records if record.passed_over]
        figures: dict[str, go.Figure] = {}
        found = self.store.read(measured)
        if measured:
            told = [entry.measurement.finding(_of_model(found, model)) for model in _models(measured)]
            answers = [*told, *answers]
            figures, problem = _drawn(lambda: entry.measurement.figures(found))
            answers += problem
        summaries = entry.measurement.summaries(found) if measured else {}
        tables = {name: _labelled(rows) for name, rows in {**summaries, **found.tables}.items()}
        read = tables.pop("examples", None)
        place = f"{self.store.root}/tables/measurement={entry.measurement.name}"
        title = self._title(entry.label, windows, seed)
        return Section(title, _asked(entry.measurement.help), answers, figures, tables, read, place)

    def _comparison(self, entry: ComparisonEntry, seed: int) -> Section | None:
        compared = self.compared(entry, seed)
        if compared is None:
            return None
        title = self._title(entry.label, ", ".join(entry.windows), seed)
        if isinstance(compared, str):
            return Section(title, _asked(entry.comparison.help), [f"Not compared: {compared}"])
        figures, problem = _drawn(compared.figures)
        return Section(
            title, _asked(entry.comparison.help), [_sentence(compared.finding), *problem], figures, compared.tables
        )

    def compared(self, entry: ComparisonEntry, seed: int) -> Compared | str | None:
        """A comparison of the finished units, or why it cannot be made, or ``None`` if there is nothing to compare."""
        records = [r for windows in entry.windows for r in self.records.get((entry.of, windows, seed), ())]
        shards = [
            record.tables[entry.comparison.table] for record in records if entry.comparison.table in record.tables
        ]
        if not records:
            return None
        if not shards:
            return f"{entry.of} left no table {entry.comparison.table}; its settings say whether it does"
        self.store.read([record for record in records if record.tables])  # refuses damaged tables
        try:
            rows, provenance = entry.comparison.read([self.store.root / shard.path for shard in shards])
            return entry.comparison.compare(Given(rows, provenance, seed), entry.settings)
        except StoreError:
            raise
        except InterpError as error:
            return str(error)

    def provenance(self) -> list[Provenance]:
        """Provenance of every unit, with the time of its measurement."""
        made: list[Provenance] = []
        for records in self.records.values():
            for record in records:
                time = str((record.made or {}).get("time", ""))
                rests_on = [p for each in self.store.read([record]).provenance.values() for p in each]
                made += [timed for p in rests_on if (timed := replace(p, time=time)) not in made]
        return made


def _models(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(str(record.facts["model"]) for record in records))


def _of_model(found: Finished, model: str) -> Finished:
    return replace(found, tables={name: rows[rows["model"] == model] for name, rows in found.tables.items()})


def _asked(help: str) -> str:
    """The question: the first paragraph of a help text, in one line."""
    return " ".join(help.partition("\n\n")[0].split())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the model as first column."""
    return rows if "model" not in rows else rows[["model", *(name for name in rows if name != "model")]]


def _drawn(figures: Callable[[], Figures]) -> tuple[dict[str, go.Figure], list[str]]:
    """Figures by name, and notes on figures that could not be drawn."""
    found: dict[str, go.Figure] = {}
    try:
        for name, figure in figures():
            found[name] = figure
    except InterpError as error:
        return found, [f"Not drawn: {error}"]
    return found, []


def write_study_report(results: Sequence[Results], out: Path) -> Path:
    """Write one page of one or several studies.

    Raises:
        StoreError: a table has changed since it was written.
    """
    first = results[0].study
    title = first.title if len(results) == 1 else " · ".join(result.study.title for result in results)
    sections = [section for result in results for section in result.sections()]
    return write_report(
        out,
        title=title,
        lead="\n\n".join(filter(None, (_lead(result) for result in results))),
        sections=_apart(sections),
        provenance=[p for result in results for p in result.provenance()],
        facts=[fact for result in results for fact in _facts(result)],
    )


def _lead(result: Results) -> str:
    study = result.study
    asked = f"{len(study.models)} models, {len(study.entries)} measurements"
    missing = f" {result.missing} units are not measured yet." if result.missing else ""
    question = "\n\n".join(" ".join(part.split()) for part in study.question.split("\n\n"))
    return f"{question}\n\n{asked}. Brackets are 95 % intervals.{missing}".strip()


def _facts(result: Results) -> list[tuple[str, str]]:
    records = [record for found in result.records.values() for record in found]
    seconds = sum(float((record.made or {}).get("seconds", 0.0)) for record in records)
    return [
        ("Study", str(result.study.path)),
        ("Store", f"{result.store.root}, {len(records)} units, measured in {seconds / 60:,.1f} minutes"),
    ]


def _apart(sections: Iterable[Section]) -> list[Section]:
    """Sections with distinct titles."""
    seen: dict[str, int] = {}
    found = []
    for section in sections:
        seen[section.anchor] = seen.get(section.anchor, 0) + 1
        again = seen[section.anchor]
        found.append(section if again == 1 else replace(section, title=f"{section.title} ({again})"))
    return found
