"""A study: models x windows x measurements with their settings x seeds, read from a YAML file and checked.

The settings are those of the measurements, so the file, ``--help`` and the documentation have one source.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from interp.comparisons.comparison import Comparison
from interp.comparisons.registry import OF_HEADS, OF_SCORES
from interp.measurements.measurement import Measurement
from interp.measurements.registry import INTERNAL, STATISTICAL
from interp.measurements.settings import Several, option, settings, told
from interp.measurements.subject import ModelChoice, WindowsChoice
from interp.study.document import Document, Place, StudyError, read_document

MEASUREMENTS: Mapping[str, Measurement[Any]] = {m.name: m for m in (*STATISTICAL, *INTERNAL)}
COMPARISONS: Mapping[str, Comparison[Any]] = {c.name: c for c in (*OF_SCORES, *OF_HEADS)}
Engine = Literal["local", "ray", "slurm"]

_T = TypeVar("_T")


@settings
class StudyModel(ModelChoice):
    """A model of a study."""

    name: str = option("registry name (see `interp models`), hub id or local directory")
    label: str = option("name in tables and figures; by default its name, with revision and format", default="")
    windows: Several[str] | None = option("names of its windows; by default all", default=None)


@settings
class StudyWindows(WindowsChoice):
    """Windows of a study."""

    per_unit: int = option("windows per unit, for measurements with one row per window", default=4096, ge=1)


@settings
class AskedMeasurement:
    """A measurement of a study."""

    measure: str = option("name of the measurement, as on the command line")
    label: str = option("its name in this study; by default that of the measurement", default="")
    windows: Several[str] | None = option("names of its windows; by default all", default=None)
    models: Several[str] | None = option("labels of its models; by default all", default=None)
    settings: dict[str, Any] = Field(default_factory=dict, description="its settings, as in `interp NAME --help`")


@settings
class AskedComparison:
    """A comparison of a study."""

    compare: str = option("name of the comparison, as on the command line")
    label: str = option("its name in this study; by default that of the comparison", default="")
    of: str | None = option("label of the measurement whose tables it reads; by default the only one", default=None)
    windows: Several[str] | None = option(
        "names of the windows; by default all, if no model is measured on two of them", default=None
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="its settings")


@settings
class _File:
    """The content of a study file."""

    title: str = option("one line")
    question: str = option("the question; one paragraph or more", default="")
    store: str = option("folder of the results, relative to this file; by default NAME-store beside it", default="")
    seeds: Several[int] = option("seeds of every random choice", default=(0,))
    models: list[Any] = Field(min_length=1, description="names, or a name with dtype, device, revision, label")
    windows: dict[str, dict[str, Any] | None] = Field(min_length=1, description="by names of your own")
    measurements: list[Any] = Field(min_length=1, description="names, or `measure: NAME` with settings, windows ...")
    comparisons: list[Any] = Field(default_factory=list, description="names, or `compare: NAME` with settings ...")
    slurm: dict[str, Any] = Field(default_factory=dict, description="parameters of submitit, for --engine slurm")


@dataclass(frozen=True)
class Entry:
    """A measurement with its settings, on chosen windows and models."""

    label: str
    measurement: Measurement[Any]
    settings: Any
    windows: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonEntry:
    """A comparison with its settings, of the tables of one entry on one choice of windows."""

    label: str
    comparison: Comparison[Any]
    settings: Any
    of: str
    windows: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """A checked study."""

    path: Path
    title: str
    question: str
    store: Path
    seeds: tuple[int, ...]
    models: Mapping[str, StudyModel]
    """By label, in the order of the file."""
    windows: Mapping[str, StudyWindows]
    """By name."""
    entries: tuple[Entry, ...]
    comparisons: tuple[ComparisonEntry, ...]
    slurm: Mapping[str, Any]


def read_study(path: Path, *, store: Path | None = None) -> Study:
    """Read and check a study file.

    Args:
        path: the file.
        store: folder of the results, if not the one in the file.

    Raises:
        StudyError: says what is wrong, in which line, and what is allowed there.
        OSError: no such file.
    """
    document = read_document(path)
    asked = _make(document, _File, document.values, ())
    windows = {}
    for name, given in asked.windows.items():
        place: Place = ("windows", name)
        if "seed" in (given or {}):
            raise _wrong(document, (*place, "seed"), "the seeds are given under `seeds`, for the whole study")
        chosen = _make(document, StudyWindows, given or {}, place)
        beside = path.parent / (chosen.corpus or "")
        windows[name] = replace(chosen, corpus=str(beside)) if chosen.corpus and beside.exists() else chosen
    models = _models(document, asked, windows)
    for i, seed in enumerate(asked.seeds):
        _make(document, WindowsChoice, {"seed": seed}, ("seeds", i))
    entries = _entries(document, asked, models, windows)
    folder = store or (path.parent / (asked.store or f"{path.stem}-store"))
    return Study(
        path=path,
        title=asked.title,
        question=asked.question.strip(),
        store=folder,
        seeds=asked.seeds,
        models=models,
        windows=windows,
        entries=entries,
        comparisons=_comparisons(document, asked, entries, models),
        slurm=asked.slurm,
    )


def _models(document: Document, asked: _File, windows: Mapping[str, Any]) -> dict[str, StudyModel]:
    models: dict[str, StudyModel] = {}
    for i, given in enumerate(asked.models):
        model = _make(document, StudyModel, {"name": given} if isinstance(given, str) else given, ("models", i))
        for name in model.windows or ():
            _named(document, ("models", i, "windows"), name, windows, "windows")
        label = model.label or _label(model)
        if label in models:
            raise _wrong(document, ("models", i), f"{label!r} is named twice; give one of them another `label`")
        models[label] = replace(model, label=label)
    return models


def _label(model: StudyModel) -> str:
    """The name, with revision and number format if these are not the default."""
    revision = f"@{model.revision}" if model.revision else ""
    return f"{model.name}{revision}{'' if model.dtype == 'float32' else f' {model.dtype}'}"


def _entries(
    document: Document, asked: _File, models: Mapping[str, Any], windows: Mapping[str, Any]
) -> tuple[Entry, ...]:
    entries: dict[str, Entry] = {}
    for i, given in enumerate(asked.measurements):
        place: Place = ("measurements", i)
        one = _make(document, AskedMeasurement, {"measure": given} if isinstance(given, str) else given, place)
        measurement = _named(document, (*place, "measure"), one.measure, MEASUREMENTS, "measurement")
        label = one.label or one.measure
        if label in entries:
            raise _wrong(document, place, f"{label!r} is named twice; give one of them another `label`")
        for kind, wanted, known in (("windows", one.windows, windows), ("model", one.models, models)):
            for name in wanted or ():
                _named(document, (*place, kind if kind == "windows" else "models"), name, known, kind)
        entries[label] = Entry(
            label=label,
            measurement=measurement,
            settings=_from_here(document, _make(document, measurement.settings, one.settings, (*place, "settings"))),
            windows=one.windows or tuple(windows),
            models=one.models or tuple(models),
        )
    return tuple(entries.values())


def _from_here(document: Document, settings: _T) -> _T:
    """Settings whose paths are relative to the study file, as paths that can be opened."""
    changed: Any = settings
    for field in fields(changed):
        value = getattr(changed, field.name)
        if isinstance(value, Path):
            changed = replace(changed, **{field.name: document.path.parent / value})
    return changed


def _comparisons(
    document: Document, asked: _File, entries: Sequence[Entry], models: Mapping[str, StudyModel]
) -> tuple[ComparisonEntry, ...]:
    found: dict[str, ComparisonEntry] = {}
    for i, given in enumerate(asked.comparisons):
        place: Place = ("comparisons", i)
        one = _make(document, AskedComparison, {"compare": given} if isinstance(given, str) else given, place)
        comparison = _named(document, (*place, "compare"), one.compare, COMPARISONS, "comparison")
        label = one.label or one.compare
        if label in found:
            raise _wrong(document, place, f"{label!r} is named twice; give one of them another `label`")
        fitting = {entry.label: entry for entry in entries if entry.measurement.name == comparison.measurement}
        if not fitting:
            raise _wrong(
                document,
                place,
                f"{one.compare} compares tables of {comparison.measurement}, which the study does not measure",
            )
        of = _only(document, (*place, "of"), one.of, fitting, "measurement")
        where = _windows_of(document, (*place, "windows"), one.windows, fitting[of], models)
        chosen = _make(document, comparison.settings, one.settings, (*place, "settings"))
        found[label] = ComparisonEntry(label, comparison, chosen, of, where)
    return tuple(found.values())


def _windows_of(
    document: Document, place: Place, given: Sequence[str] | None, entry: Entry, models: Mapping[str, StudyModel]
) -> tuple[str, ...]:
    """The windows of a comparison. One model on two of them would be counted twice."""
    for name in given or ():
        _named(document, place, name, dict.fromkeys(entry.windows), "windows")
    chosen = tuple(given or entry.windows)
    for label in entry.models:
        own = [name for name in chosen if name in (models[label].windows or chosen)]
        if len(own) > 1:
            raise _wrong(document, place, f"which windows of {label}? Choose one of {', '.join(own)} with `windows`")
    return chosen


def _only(document: Document, place: Place, given: str | None, known: Mapping[str, Any], what: str) -> str:
    """The named one, or the only one there is."""
    if given is not None:
        _named(document, place, given, known, what)
        return given
    if len(known) > 1:
        raise _wrong(document, place, f"which {what}? Choose one of {', '.join(known)} with `{place[-1]}`")
    return next(iter(known))


def _named(document: Document, place: Place, name: str, known: Mapping[str, _T], what: str) -> _T:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        nearest = f" Do you mean {near[0]}?" if near else ""
        raise _wrong(document, place, f"there is no {what} {name!r}.{nearest} There are: {', '.join(known)}")
    return known[name]


def _make(document: Document, kind: type[_T], given: Any, place: Place) -> _T:
    """Settings of a kind. Errors give the line."""
    if not isinstance(given, Mapping):
        raise _wrong(document, place, f"keys and values are needed here, not {given!r}")
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        raise StudyError("; ".join(_told(document, place, e, known) for e in error.errors())) from None


def _told(document: Document, place: Place, error: ErrorDetails, known: Sequence[str]) -> str:
    at = tuple(part for part in error["loc"] if isinstance(part, (str, int)))
    name, message = ".".join(map(str, (*place, *at))), told(error)
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        near = difflib.get_close_matches(str(at[-1]), known, n=1, cutoff=0.5)
        nearest = f" Do you mean {near[0]}?" if near else ""
        message = f"there is no such key.{nearest} There are: {', '.join(known)}"
    elif error["type"] in {"missing", "missing_argument"}:
        message = "this is required"
    elif isinstance(error["input"], (str, int, float, bool)):
        message += f" (given {error['input']!r})"
    return f"{document.where((*place, *at))}: {name}: {message}"


def _wrong(document: Document, place: Place, message: str) -> StudyError:
    return StudyError(f"{document.where(place)}: {'.'.join(map(str, place))}: {message}")
