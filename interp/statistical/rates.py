"""Memorization rates with intervals, and the histogram of scores.

A window is memorized if greedy decoding from its prefix gives its continuation exactly (M = 1). The rate is the share
of such windows (arXiv 2603.21658, "memorization rate"). The 95 % interval is Wilson's at the effective number of
outcomes, because windows of one document are correlated (``interp.stats.estimates``).

All functions on scores in this package take one table with a row for each window and model. It has the columns
``window``, ``document``, ``domain``, ``count``, ``score`` and ``memorized`` of ``Extraction.to_frame()``. Comparisons
of models also need ``model``, ``family`` and ``n_params``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.results import Result
from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, grouped, numbers, outcomes
from interp.stats.columns import estimates_frame
from interp.stats.estimates import NOT_MEASURED, Estimate, clustered_rate

__all__ = ["Rates", "ScoresError", "check_columns", "rate", "rates", "score_bin", "score_histogram"]

SCORE_BINS = ("0", "(0, 0.25)", "[0.25, 0.5)", "[0.5, 0.75)", "[0.75, 1)", "1")
"""Bins of the score M. The ends 0 and 1 have bins of their own: they mean "unmemorized" and "memorized"."""

_EDGES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, repr=False, eq=False)
class Rates(Result):
    """Rates of groups of windows."""

    groups: pd.DataFrame
    """One row per group: the values of the grouping columns."""
    estimates: tuple[Estimate, ...]
    """Rate of each group with its interval, 0 to 1. NaN if no window was measured."""

    def __post_init__(self) -> None:
        if len(self.groups) != len(self.estimates):
            raise ValueError(f"{len(self.groups)} groups but {len(self.estimates)} estimates")

    def found(self) -> str:
        """The range of rates, for ``repr``."""
        measured = [estimate.value for estimate in self.estimates if not math.isnan(estimate.value)]
        values = f"{min(measured):.3g} to {max(measured):.3g}" if measured else "none measured"
        return f"{len(self.estimates)} rates, {values}"

    def to_frame(self) -> pd.DataFrame:
        """The grouping columns, then ``value``, ``low``, ``high``, ``n`` and ``n_documents``."""
        return pd.concat([self.groups, estimates_frame(self.estimates)], axis=1)


def rate(outcome: pd.Series, document: pd.Series | None, *, seed: int = 0) -> Estimate:
    """Share of windows whose outcome is true, without NaN. Clustered by document, unless ``document`` is ``None``."""
    found = outcomes(outcome)
    measured = ~np.isnan(found)
    true = found[measured] == 1
    if len(true) == 0:
        return NOT_MEASURED
    clusters = np.arange(len(true)) if document is None else document[measured].to_numpy()
    return clustered_rate(true, clusters=clusters, seed=seed)


def rates(
    scores: pd.DataFrame,
    *,
    by: str | Sequence[str],
    outcome: str = "memorized",
    document: str | None = "document",
    seed: int = 0,
) -> Rates:
    """Rate of an outcome in each group of windows.

    Args:
        scores: a row for each window and model.
        by: columns to group by, such as ``("model", "domain")`` or ``("model", "count")``. None: one rate of all
            windows.
        outcome: column of true and false, or 1 and 0; NaN if not measured.
        document: column of the clusters of intervals. ``None`` treats every row as independent.
        seed: seed of the bootstrap over documents.

    Returns:
        The groups, sorted by their values.

    Raises:
        ScoresError: a column is missing, there are no rows, or an outcome is not true or false.
    """
    by = several(by)
    check_columns(scores, [*by, outcome, *([document] if document else [])], what="a rate")
    scores = scores.assign(**{outcome: outcomes(scores[outcome])})
    keys, estimates = [], []
    for key, group in grouped(scores, by):
        keys.append(key)
        estimates.append(rate(group[outcome], group[document] if document else None, seed=seed))
    return Rates(groups=pd.DataFrame(keys, columns=list(by)), estimates=tuple(estimates))


def score_bin(score: Float[np.ndarray, " window"]) -> pd.Categorical[str]:
    """The bin of ``SCORE_BINS`` of each score M; missing where the score is NaN.

    Raises:
        ScoresError: a score outside 0 to 1.
    """
    if np.nanmin(score, initial=0) < 0 or np.nanmax(score, initial=0) > 1:
        raise ScoresError(f"scores from {np.nanmin(score)} to {np.nanmax(score)}; M lies between 0 and 1")
    codes: np.ndarray = np.digitize(score, _EDGES) + 1
    codes[score == 0] = 0
    codes[score == 1] = len(SCORE_BINS) - 1
    codes[np.isnan(score)] = -1
    return pd.Categorical.from_codes(codes, categories=pd.Index(SCORE_BINS), ordered=True)


def score_histogram(scores: pd.DataFrame, *, by: str | Sequence[str] = (), seed: int = 0) -> Rates:
    """Share of windows in each bin of the score M, within each group. Empty bins are listed with share 0.

    Windows whose score is NaN are in no bin and not in ``n``. A group of only such windows has NaN.
    """
    by = several(by)
    check_columns(scores, [*by, "score", "document"], what="the score histogram")
    score = numbers(scores["score"])
    binned, measured = score_bin(score), ~np.isnan(score)
    parts = [
        rates(scores.assign(inside=np.where(measured, binned == name, np.nan)), by=by, outcome="inside", seed=seed)
        for name in SCORE_BINS
    ]
    groups = pd.concat([part.groups.assign(bin=name) for part, name in zip(parts, SCORE_BINS, strict=True)])
    groups["bin"] = pd.Categorical(groups["bin"], categories=list(SCORE_BINS), ordered=True)
    order = groups.reset_index(drop=True).sort_values([*by, "bin"])
    estimates = [e for part in parts for e in part.estimates]
    return Rates(groups=order.reset_index(drop=True), estimates=tuple(estimates[i] for i in order.index))
