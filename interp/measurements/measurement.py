"""Description of a measurement, from which its command, tables, figures and findings are made."""

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
    """Name of its command and of the folder of its tables."""
    settings: type[S]
    """Settings dataclass. Its docstring says what is measured, in which unit."""
    measure: Callable[[Subject, S], Tables]
    """Makes the tables of one model. A command writes the first."""
    finding: Callable[[Finished], str]
    """The finding in words, with intervals, model by model."""
    figures: Callable[[Finished], Figures]
    """Figures of finished tables, by name, for one or several models. A command draws the first."""
    per_set: int
    """Default number of windows of each planted set and domain."""
    max_windows: int = 1_000
    """Default number of windows of another corpus."""
    without: tuple[str, ...] = ()
    """Choices of model and windows that do not apply to it."""
    summaries: Callable[[Finished], Mapping[str, pd.DataFrame]] = _nothing
    """Further tables, made from the finished tables of all models."""
    version: int = 1
    """Increase it when the numbers change. A study then repeats measurements of earlier versions."""
    inputs: Callable[[Subject, S], Mapping[str, str]] = _windows
    """Digests of all texts and files that it reads. Computed without the model."""
    row_a_window: bool = False
    """Whether its tables have exactly one row per window, so that a study may split the windows."""

    def found(self) -> str:
        """Name and question, for ``repr``."""
        return f"{self.name}. {self.help.splitlines()[0]}"

    @property
    def help(self) -> str:
        """Text of what is measured."""
        return inspect.getdoc(self.settings) or ""


def run(measurement: Measurement[Any], subject: Subject, chosen: Any) -> Finished:
    """Run a measurement, and label every row with its model."""
    tables = measurement.measure(subject, chosen)
    tables.label(subject.labels)
    return tables.finished(seed=subject.seed)
