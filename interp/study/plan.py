"""The plan of a study: its units, each with the key of its results in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from interp.errors import InterpError
from interp.files import files_digest
from interp.measurements.subject import ModelChoice, Subject, WindowsChoice
from interp.models.loading import checkpoint_files
from interp.shipped import shipped_digest
from interp.study.config import MEASUREMENTS, Study, StudyModel, StudyWindows


@dataclass(frozen=True)
class Unit:
    """The unit of work, stored atomically: one measurement of one model on windows with one seed."""

    entry: str
    """Label of the measurement in the study."""
    measurement: str
    settings: Any
    model: StudyModel
    windows_name: str
    windows: StudyWindows
    """With the seed."""
    part: tuple[int, int] | None = None
    """First window and the one after the last, if the windows are split."""

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of its measurement, model and windows."""
        return self.entry, self.model.label, self.windows_name

    @property
    def title(self) -> str:
        """Name for a line of the log."""
        part = "" if self.part is None else f"[{self.part[0]}:{self.part[1]}]"
        return f"{self.entry} of {self.model.label} on {self.windows_name}{part}, seed {self.windows.seed}"


class Facts:
    """The facts behind the keys: digests of models and texts, each computed once, and the subjects themselves.

    Digests are kept for one plan or one job only, because files may change afterwards.
    """

    def __init__(self, *, fetch: bool) -> None:
        self._fetch = fetch
        self._checkpoints: dict[tuple[str, str | None], tuple[str, Any]] = {}
        self._subjects: dict[tuple[Any, ...], Subject] = {}
        self._loaded: dict[tuple[str, ModelChoice], Subject] = {}
        self._inputs: dict[str, Mapping[str, str]] = {}

    def checkpoint(self, model: StudyModel) -> str:
        """Digest of a model's files."""
        which = model.name, model.revision
        if which not in self._checkpoints:
            seen, files = self._files(model)
            self._checkpoints[which] = files_digest(files), seen
        return self._checkpoints[which][0]

    def changed(self, unit: Unit) -> bool:
        """Whether a model's files have changed since their digest was taken."""
        return self._files(unit.model)[0] != self._checkpoints[unit.model.name, unit.model.revision][1]

    def _files(self, model: StudyModel) -> tuple[Any, list[Path]]:
        """A model's files, and a stamp that shows rewriting without reading them."""
        files = checkpoint_files(model.name, revision=model.revision, fetch=self._fetch)
        states = [file.stat() for file in files]
        return [(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in states], files

    def subject(self, unit: Unit) -> Subject:
        """A unit's model and windows. A model is loaded once for all of its units."""
        how = ModelChoice(**{name: getattr(unit.model, name) for name in ModelChoice.__dataclass_fields__})
        what = WindowsChoice(**{name: getattr(unit.windows, name) for name in WindowsChoice.__dataclass_fields__})
        model = unit.model.name, how
        key = *model, what, unit.part
        if key not in self._subjects:
            part = None if unit.part is None else slice(*unit.part)
            self._subjects[key] = Subject(*model, what, part=part, beside=self._loaded.get(model))
            self._loaded.setdefault(model, self._subjects[key])
        return self._subjects[key]

    def of(self, unit: Unit) -> dict[str, Any]:
        """Everything that a unit's numbers and labels depend on.

        Raises:
            InterpError: a model or text is not there.
        """
        measurement = MEASUREMENTS[unit.measurement]
        checkpoint = self.checkpoint(unit.model)
        subject = self.subject(unit)
        # The whole shipped corpus determines the matched controls and the rare tokens.
        text = {"shipped corpus": shipped_digest("planted/text")} if unit.windows.corpus is None else {}
        return {
            "measurement": unit.measurement,
            "version": measurement.version,
            "settings": plain_settings(unit.settings),
            "model": unit.model.label,
            "checkpoint": checkpoint,
            "revision": unit.model.revision,
            "dtype": unit.model.dtype,
            "inputs": {**self._read_by(unit, subject), **text},
            "seed": unit.windows.seed,
        }

    def _read_by(self, unit: Unit, subject: Subject) -> Mapping[str, str]:
        """Digests of what a unit reads. For the shipped corpus they are the same for all models."""
        measurement = MEASUREMENTS[unit.measurement]
        if unit.windows.corpus is not None:
            return measurement.inputs(subject, unit.settings)
        asked = json.dumps([unit.measurement, asdict(unit.settings), asdict(unit.windows), unit.part], default=str)
        if asked not in self._inputs:
            self._inputs[asked] = measurement.inputs(subject, unit.settings)
        return self._inputs[asked]


def plain_settings(settings: Any) -> dict[str, Any]:
    """The settings that the numbers depend on, as JSON data. Paths are replaced by the digest of their content."""
    kept = {name: value for name, value in asdict(settings).items() if not isinstance(value, Path)}
    return json.loads(json.dumps(kept))


def key_of(facts: Mapping[str, Any]) -> str:
    """The key of a unit's results: a digest of everything they depend on."""
    told = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Planned:
    """A unit, and what is known of it before it is measured."""

    unit: Unit
    facts: Mapping[str, Any] | None
    """``None`` if its model or text is not there yet."""
    lacking: str = ""
    """The reason."""

    @property
    def key(self) -> str | None:
        """The key of its results; ``None`` if not known yet."""
        return None if self.facts is None else key_of(self.facts)


def plan(study: Study, *, only: Sequence[str] = (), fetch: bool = False) -> list[Planned]:
    """The units of a study in order: by model, then windows, seed and measurement.

    Args:
        study: the study.
        only: patterns such as ``pythia*``. A unit is included if each pattern matches its measurement, model or
            windows.
        fetch: whether to download models that are not on this machine.

    Raises:
        InterpError: ``only`` leaves nothing, or two units are the same.
    """
    facts = Facts(fetch=fetch)
    planned = [_planned(unit, facts) for unit in units(study, facts) if wanted(unit, only)]
    if not planned:
        names = sorted({name for unit in units(study, None) for name in unit.names})
        raise InterpError(f"nothing in the study is called {' and '.join(only)}; it has {', '.join(names)}")
    return planned


def units(study: Study, facts: Facts | None) -> Iterator[Unit]:
    """All units of a study.

    Args:
        study: the study.
        facts: gives the number of windows. Without it, windows are not split.
    """
    for model in study.models.values():
        for name, windows in study.windows.items():
            for seed in study.seeds:
                for entry in study.entries:
                    asked = name in entry.windows and model.label in entry.models
                    if not asked or name not in (model.windows or study.windows):
                        continue
                    whole = Unit(
                        entry.label, entry.measurement.name, entry.settings, model, name, replace(windows, seed=seed)
                    )
                    apart = entry.measurement.row_a_window and facts is not None
                    yield from _parts(whole, facts) if apart and facts is not None else [whole]


def _parts(unit: Unit, facts: Facts) -> Iterable[Unit]:
    """The unit split into parts, if it has more windows than ``per_unit``."""
    at_most = _at_most(unit.windows)
    if at_most is not None and at_most <= unit.windows.per_unit:
        return [unit]
    try:
        facts.checkpoint(unit.model)  # its tokenizer cuts the windows, and must not be downloaded here
        n = len(facts.subject(unit).windows)
    except (InterpError, OSError):
        return [unit]  # its facts will say why
    size = unit.windows.per_unit
    return [unit] if n <= size else [replace(unit, part=(i, min(i + size, n))) for i in range(0, n, size)]


def _at_most(windows: WindowsChoice) -> int | None:
    """Upper bound of the number of windows, as far as the choice gives one."""
    return None if windows.corpus is None else windows.max_windows


def _planned(unit: Unit, facts: Facts) -> Planned:
    try:
        return Planned(unit, facts.of(unit))
    except (InterpError, OSError) as error:
        return Planned(unit, None, " ".join(str(error).split()))


def wanted(unit: Unit, only: Sequence[str]) -> bool:
    """Whether each pattern matches the measurement, the model or the windows of a unit."""
    return all(any(fnmatch(name, pattern) for name in unit.names) for pattern in only)
