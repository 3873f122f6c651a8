"""What a measurement is: the one description from which its command, its tables, figures and findings are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from interp.brief import Brief

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from interp.measurements.subject import Subject
    from interp.measurements.tables import Finished, Tables

S = TypeVar("S")
Figures = Iterator["tuple[str, go.Figure]"]


def _windows(subject: Subject, chosen: Any) -> Mapping[str, str]:
    return {"windows": subject.windows.digest}


def _nothing(found: Finished) -> Mapping[str, pd.DataFrame]:
    return {}


@dataclass(frozen=True, repr=False)
class Measurement(Brief, Generic[S]):
    """One measurement of a model on windows."""

    name: str
    """Of its command and of the folder of its tables."""
    settings: type[S]
    """What can be chosen. Its docstring says what is measured, in which unit."""
    measure: Callable[[Subject, S], Tables]
    """Tables of one model. The first is what a command writes."""
    finding: Callable[[Finished], str]
    """What the tables say, with intervals, model by model."""
    figures: Callable[[Finished], Figures]
    """Figures of finished tables, by name, of one model or of several. The first is what a command draws."""
    per_set: int
    """Windows of each planted set and domain, unless others are asked for."""
    max_windows: int = 1_000
    """The same of another corpus."""
    without: tuple[str, ...] = ()
    """Choices of model and windows that mean nothing to it."""
    summaries: Callable[[Finished], Mapping[str, pd.DataFrame]] = _nothing
    """Further tables, made of the finished tables of all models."""
    version: int = 1
    """Raised when its numbers change: a study then measures again what an earlier version measured."""
    inputs: Callable[[Subject, S], Mapping[str, str]] = _windows
    """Digests of all texts and files that it reads, known without the model."""
    row_a_window: bool = False
    """Whether its tables have a row a window and nothing else, so that a study may measure windows apart."""

    def found(self) -> str:
        """Name and question, for ``repr``."""
        return f"{self.name}. {self.help.splitlines()[0]}"

    @property
    def help(self) -> str:
        """What is measured."""
        return inspect.getdoc(self.settings) or ""


def run(measurement: Measurement[Any], subject: Subject, chosen: Any) -> Finished:
    """Measure, and label every row with its model."""
    tables = measurement.measure(subject, chosen)
    tables.label(subject.labels)
    return tables.finished(seed=subject.seed)
