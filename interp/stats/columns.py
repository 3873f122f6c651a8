"""Estimates as columns of a table: ``value``, ``low``, ``high``, ``n``, ``n_documents``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from interp.stats.estimates import Estimate

COLUMNS = ("value", "low", "high", "n", "n_documents")


def estimate_columns(estimate: Estimate) -> dict[str, float]:
    """One estimate by column name. ``n`` counts windows (or other samples)."""
    return {name: getattr(estimate, name) for name in COLUMNS}


def estimates_frame(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """One row per estimate."""
    return pd.DataFrame([[getattr(e, name) for name in COLUMNS] for e in estimates], columns=list(COLUMNS))


def estimate_of(row: Mapping[str, Any] | pd.Series) -> Estimate:
    """The estimate in a row of a table."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(row["n"]), int(row["n_documents"]))
