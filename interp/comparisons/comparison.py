"""Description of a comparison, from which its command and its section of a report are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from interp.brief import Brief
from interp.measurements.measurement import Figures

if TYPE_CHECKING:
    import pandas as pd

    from interp.results import Provenance

S = TypeVar("S")


@dataclass(frozen=True, repr=False, eq=False)
class Given(Brief):
    """Stacked rows of the compared tables."""

    rows: pd.DataFrame
    provenance: list[Provenance]
    seed: int

    @property
    def rests_on(self) -> str:
        """Basis of the estimates, for captions."""
        rows = self.rows
        models, windows = rows["model"].nunique(), rows.groupby("model")["window"].nunique().max()
        return f"{windows} windows of {rows['document'].nunique()} documents, {models} models; 95 % intervals."


@dataclass(frozen=True, repr=False, eq=False)
class Compared(Brief):
    """Result of a comparison."""

    tables: Mapping[str, pd.DataFrame]
    """Tables by name. A command writes the first."""
    finding: str
    """The finding in words, with intervals."""
    figures: Callable[[], Figures]
    """Figures by name. A command draws the first."""


@dataclass(frozen=True, repr=False)
class Comparison(Brief, Generic[S]):
    """One comparison of tables."""

    name: str
    """Name of its command."""
    settings: type[S]
    """Settings dataclass. Its docstring says what is compared."""
    compare: Callable[[Given, S], Compared]
    read: Callable[[Sequence[Path]], tuple[pd.DataFrame, list[Provenance]]]
    """Reads the tables to compare."""
    measurement: str = "extract"
    """Name of the measurement that made the tables."""
    table: str = "scores"
    """Name of that measurement's table."""

    def found(self) -> str:
        """Name and question, for ``repr``."""
        return f"{self.name}. {self.help.splitlines()[0]}"

    @property
    def help(self) -> str:
        """Text of what is compared."""
        return inspect.getdoc(self.settings) or ""


def read_scores(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[Provenance]]:
    """Tables of ``interp extract`` or ``interp flags``."""
    from interp.statistical import scores

    return scores.read_scores(paths)


def read_family_scores(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[Provenance]]:
    """The same for models with known family and size."""
    from interp.statistical import scores

    return scores.read_scores(paths, of_families=True)
