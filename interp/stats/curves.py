"""Curves over layers or positions for groups of windows, with intervals by document.

A group is a boolean mask over the windows. A window can be in several groups (unmemorized and matched).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.stats.columns import estimate_columns
from interp.stats.estimates import Estimate, cluster_sums, mean_estimates, trials_of

Groups = Mapping[str, Bool[np.ndarray, " _window"]]
"""Mask of each group, by name. The length of a mask is checked where it is used."""

Points = Mapping[str, Sequence[Any] | Shaped[np.ndarray, " point"]]
"""Columns that describe the points of a curve, by name."""

EVERY = "all windows"


def memorization_groups(
    score: Float[np.ndarray, " window"], *, matched: Bool[np.ndarray, " window"] | None = None
) -> dict[str, Bool[np.ndarray, " window"]]:
    """Masks of memorized (M = 1), unmemorized (M = 0) and, if given, matched windows.

    Args:
        score: M of each window, 0 to 1. Windows with another value than 0 and 1, or NaN, are in no group.
        matched: unmemorized windows chosen as controls of the memorized ones.
    """
    groups = {"memorized": score == 1, "unmemorized": score == 0}
    if matched is not None:
        groups["matched"] = matched & groups["unmemorized"]
    return groups


def group_masks(groups: Groups | None, n_windows: int) -> Groups:
    """The given groups, checked; or one group of all windows if none are given.

    Raises:
        WindowError: ``groups`` is not a mapping from names to masks, or a mask has another type or length.
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
    """Mean of each column over its measured windows (not NaN), with the interval by document.

    Args:
        values: NaN where a window was not measured in a column.
        documents: the document of each window; the bootstrap resamples whole documents.
        seed: seed of the bootstrap.
        trials: as in ``from_resamples``, for all columns. By default the means are shares if all values are 0 or 1.

    Returns:
        The estimates, and the means in each resample. All columns use the same resampled documents, so
        ``from_resamples`` can give the interval of a difference of columns.
    """
    sums, sizes = cluster_sums(values, documents)
    return mean_estimates(sums, sizes, seed=seed, trials=trials_of(values) if trials is None else trials)


def group_curves(
    values: Float[np.ndarray, "window point"],
    windows: Windows,
    *,
    points: Points,
    groups: Groups | None = None,
    seed: int = 0,
    trials: int | None = None,
) -> pd.DataFrame:
    """Mean of each group at each point, with a 95 % bootstrap interval by document.

    Args:
        values: one value per window and point; NaN if not measured.
        windows: the windows; their documents are the clusters.
        points: columns that describe the points, one entry per point.
        groups: masks by name. Default: one group of all windows.
        seed: seed of the bootstrap.
        trials: as in ``column_estimates``, for all groups.

    Returns:
        One row per group and point: ``group``, the columns of ``points``, ``value``, ``low``, ``high``, ``n``
        (windows), ``n_documents``.

    Raises:
        WindowError: a mask does not have one entry per window.
    """
    rows, known = [], trials_of(values) if trials is None else trials
    for group, mask in group_masks(groups, len(windows)).items():
        estimates, _ = column_estimates(values[mask], windows.document[mask], seed=seed, trials=known)
        for i, e in enumerate(estimates):
            described = {name: column[i] for name, column in points.items()}
            rows.append({"group": group, **described, **estimate_columns(e)})
    return pd.DataFrame(rows)
