"""Curves over layers or positions for groups of windows, with intervals by document.

A group is a boolean mask over the windows, so a window may stand in several (unmemorized and matched).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.stats.estimates import Estimate, cluster_sums, mean_estimates, trials_of

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
    values: Float[np.ndarray, "window column"],
    documents: Shaped[np.ndarray, " window"],
    *,
    seed: int,
    trials: int | None = None,
) -> tuple[list[Estimate], Float[np.ndarray, "resample column"]]:
    """Mean of each column over the windows measured in it (not NaN), with its interval by document.

    Args:
        values: NaN where a window was not measured in a column.
        documents: the document of each window; whole documents are drawn.
        seed: of the bootstrap.
        trials: as in ``from_resamples``, of all columns; unless given, they are shares if all hold true and false.

    Returns:
        The estimates, and the means in each resample: the same documents are drawn for all columns, so that a
        difference of columns has its interval from ``from_resamples``.
    """
    sums, sizes = cluster_sums(values, documents)
    return mean_estimates(sums, sizes, seed=seed, trials=trials_of(values) if trials is None else trials)


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
    trials: int | None = None,
) -> pd.DataFrame:
    """Mean over the windows of each group at each point, with a 95 % bootstrap interval by document.

    Args:
        values: one value a window and point; NaN where not measured.
        windows: the windows, for their documents.
        points: columns that describe the points, each as long as there are points.
        groups: masks by name; all windows as one group unless given.
        seed: of the bootstrap.
        trials: as in ``column_estimates``, of all groups.

    Returns:
        One row a group and point: ``group``, the columns of ``points``, ``value``, ``low``, ``high``, ``n`` (windows),
        ``n_documents``.

    Raises:
        WindowError: a mask of another length than there are windows.
    """
    rows, known = [], trials_of(values) if trials is None else trials
    for group, mask in group_masks(groups, len(windows)).items():
        estimates, _ = column_estimates(values[mask], windows.document[mask], seed=seed, trials=known)
        for i, e in enumerate(estimates):
            described = {name: column[i] for name, column in points.items()}
            rows.append({"group": group, **described, **estimate_columns(e)})
    return pd.DataFrame(rows)
