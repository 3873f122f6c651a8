"""Curves over layers or positions for groups of windows, with intervals by document.

A group is a boolean mask over the windows, so a window may stand in several (unmemorized and matched).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from interp.data.windows import WindowError, Windows
from interp.stats import NOT_MEASURED, Estimate, from_resamples, resampled_means

Groups = Mapping[str, Bool[np.ndarray, " _window"]]
"""Windows of each group, by the group's name; the length of a mask is checked where it is used."""

Points = Mapping[str, Sequence[Any] | Shaped[np.ndarray, " point"]]
"""Columns that describe the points of a curve, by name."""

EVERY = "all windows"


def memorization_groups(
    score: Float[np.ndarray, " window"], *, matched: Bool[np.ndarray, " window"] | None = None
) -> dict[str, Bool[np.ndarray, " window"]]:
    """Memorized windows (M = 1), unmemorized ones (M = 0) and, where given, the matched ones among these.

    Args:
        score: M of each window, 0 to 1; windows between, or NaN, are in no group.
        matched: unmemorized windows chosen as controls of the memorized ones.
    """
    groups = {"memorized": score == 1, "unmemorized": score == 0}
    if matched is not None:
        groups["matched"] = matched & groups["unmemorized"]
    return groups


def group_masks(groups: Groups | None, n_windows: int) -> Groups:
    """Groups as they were given, or all windows as one where none were.

    Raises:
        WindowError: what is no mapping of masks by name, or a mask of another kind or length.
    """
    if groups is None:
        return {EVERY: np.ones(n_windows, dtype=bool)}
    if not isinstance(groups, Mapping) or not groups:
        raise WindowError(f"groups are masks by name, as memorization_groups gives them, not {groups!r}")
    for group, mask in groups.items():
        if np.asarray(mask).dtype != bool or np.shape(mask) != (n_windows,):
            given = f"{np.asarray(mask).dtype} of shape {np.shape(mask)}"
            raise WindowError(f"group {group!r} is {given}; it must be a mask, true or false, over {n_windows} windows")
    return groups


def column_estimates(
    values: Float[np.ndarray, "window column"], documents: Shaped[np.ndarray, " window"], *, seed: int
) -> tuple[list[Estimate], Float[np.ndarray, "resample column"]]:
    """Mean of each column over the windows measured in it (not NaN), with its interval by document.

    Returns:
        The estimates, and the means in each resample: the same documents are drawn for all columns, so that a
        difference of columns has its interval from ``from_resamples``.
    """
    means, _ = resampled_means(values, seed=seed, clusters=documents)
    estimates = []
    for column, resampled in zip(values.T, means.T, strict=True):
        measured = ~np.isnan(column)
        n_documents = len(set(documents[measured].astype(str)))
        estimates.append(
            from_resamples(float(column[measured].mean()), resampled, n=int(measured.sum()), n_clusters=n_documents)
            if measured.any()
            else NOT_MEASURED
        )
    return estimates, means


def estimate_columns(e: Estimate) -> dict[str, float]:
    """An estimate as columns of a table: ``value``, ``low``, ``high``, ``n``, ``n_documents``."""
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n, "n_documents": e.n_clusters}


def group_curves(
    values: Float[np.ndarray, "window point"],
    windows: Windows,
    *,
    points: Points,
    groups: Groups | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean over the windows of each group at each point, with a 95 % bootstrap interval by document.

    Args:
        values: one value a window and point; NaN where not measured.
        windows: the windows, for their documents.
        points: columns that describe the points, each as long as there are points.
        groups: masks by name; all windows as one group unless given.
        seed: of the bootstrap.

    Returns:
        One row a group and point: ``group``, the columns of ``points``, ``value``, ``low``, ``high``, ``n`` (windows),
        ``n_documents``.

    Raises:
        WindowError: a mask of another length than there are windows.
    """
    rows = []
    for group, mask in group_masks(groups, len(windows)).items():
        estimates, _ = column_estimates(values[mask], windows.document[mask], seed=seed)
        for i, e in enumerate(estimates):
            described = {name: column[i] for name, column in points.items()}
            rows.append({"group": group, **described, **estimate_columns(e)})
    return pd.DataFrame(rows)
