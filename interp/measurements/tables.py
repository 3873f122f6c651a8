"""Tables of a measurement, while it runs and when finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interp.brief import Brief

if TYPE_CHECKING:
    import pandas as pd

    from interp.results import Provenance


class Tables:
    """Tables by name, in order of creation, each with its provenance."""

    def __init__(self) -> None:
        self.tables: dict[str, list[pd.DataFrame]] = {}
        self.provenance: dict[str, list[Provenance]] = {}

    def add(self, table: str, rows: pd.DataFrame, *provenance: Provenance) -> None:
        """Add rows to a table, with their provenance."""
        self.tables.setdefault(table, []).append(rows)
        known = self.provenance.setdefault(table, [])
        known += [p for p in provenance if p not in known]

    def label(self, labels: Mapping[str, Any]) -> None:
        """Give every row the columns that identify its model. Existing columns are kept."""
        for name, parts in self.tables.items():
            self.tables[name] = [part.assign(**{k: v for k, v in labels.items() if k not in part}) for part in parts]

    def finished(self, *, seed: int) -> Finished:
        """The present tables, finished."""
        import pandas as pd

        frames = {name: pd.concat(rows, ignore_index=True) for name, rows in self.tables.items()}
        return Finished(frames, self.provenance, seed)


@dataclass(frozen=True, repr=False, eq=False)
class Finished(Brief):
    """Finished tables of one or several models, for figures and findings."""

    tables: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, list[Provenance]]
    seed: int
    """Seed of later bootstraps."""

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.tables[table]

    def __contains__(self, table: object) -> bool:
        return table in self.tables


def models_of(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each model, in order of appearance."""
    return [(str(name), rows) for name, rows in frame.groupby("model", sort=False)]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def by_size(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows sorted by size, then family."""
    return frame.sort_values([name for name in ("n_params", "family") if name in frame], kind="stable")


def split(frame: pd.DataFrame, *, alone: str) -> dict[str, str]:
    """How to split a figure: by size and family if these identify all models, otherwise by model and ``alone``."""
    if {"size", "family"} <= {*frame}:
        models = frame[["model", "size", "family"]].drop_duplicates()
        if len(models) > 1 and not models.isna().any(axis=None) and not models.duplicated(["size", "family"]).any():
            return {"panel": "size", "line": "family"}
    return {"panel": "model", "line": alone}
