"""Matching: an unmemorized control for each memorized window.

Memorized windows occur more often in the corpus, and in other domains, than unmemorized ones. An unmatched comparison
mostly shows that. Here, each memorized window gets one unmemorized window. The two agree exactly in some columns
(domain, length). The control is the nearest neighbour on the propensity score of the other columns (corpus frequency),
without replacement and within a caliper of 0.2 standard deviations of the score's log odds (Rosenbaum and Rubin 1983;
Austin 2011). The balance table shows how much the groups still differ (standardised mean difference).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from interp.results import Result
from interp.seeds import generator
from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, numbers, outcomes

CALIPER = 0.2
"""Largest distance of a pair, in standard deviations of the log odds of the propensity (Austin 2011)."""

BALANCED = 0.1
"""Largest standardised mean difference of a balanced covariate (Austin 2011)."""


class MatchingError(ScoresError):
    """No controls can be found among the windows."""


@dataclass(frozen=True, repr=False, eq=False)
class Matching(Result):
    """Pairs of a memorized window and its control."""

    memorized: Bool[np.ndarray, " window"]
    """Rows of the table that are memorized and have a control."""
    controls: Bool[np.ndarray, " window"]
    """Rows that are controls."""
    pairs: pd.DataFrame
    """One row per pair: ``memorized`` and ``control`` (positions in the table), ``distance`` in standard deviations."""
    balance: pd.DataFrame
    """One row per covariate: means of memorized and unmemorized windows, their standardised difference ``before`` and
    ``after`` matching, and whether it is ``balanced`` after."""
    n_unmatched: int
    """Number of memorized windows without a control. The comparison says nothing about them."""

    def to_frame(self) -> pd.DataFrame:
        """The pairs."""
        return self.pairs


def match(
    scores: pd.DataFrame,
    *,
    on: str | Sequence[str],
    exact: str | Sequence[str] = ("domain",),
    caliper: float = CALIPER,
    control: Bool[np.ndarray, " window"] | None = None,
    seed: int = 0,
) -> Matching:
    """Find an unmemorized window for each memorized one.

    Args:
        scores: a row for each window of one model, with ``memorized`` and the columns named. If ``memorized`` is NaN
            (not measured), the window is neither memorized nor a control. If there is a column ``digest``, a window
            with the text of a memorized one is not a control.
        on: numeric covariates in which a pair is near, such as log counts. None: match on ``exact`` alone.
        exact: columns in which a pair agrees.
        caliper: largest distance of a pair, in standard deviations of the log odds of the propensity.
        control: rows that may be controls (M = 0, for example). Default: all that are not memorized.
        seed: orders windows that tie.

    Returns:
        The pairs. Windows that are hardest to match (highest propensity) choose first. Ties between windows, and
        between controls, are broken at random: the order of the table would favour its first documents.

    Raises:
        MatchingError: there are no memorized or no unmemorized windows, a covariate or a value of ``exact`` is not
            known, or there is no pair.
    """
    on, exact = several(on), several(exact)
    check_columns(scores, [*on, *exact, "memorized"], what="matching")
    outcome = outcomes(scores["memorized"])
    memorized, candidates = outcome == 1, outcome == 0
    if control is not None:
        candidates &= control
    if "digest" in scores:  # a window is not a control for its own text
        candidates &= ~scores["digest"].isin(scores.loc[memorized, "digest"].dropna()).to_numpy()
    if not memorized.any() or not candidates.any():
        raise MatchingError(f"{memorized.sum()} memorized windows and {candidates.sum()} controls: nothing to match")
    used = memorized | candidates
    columns = [numbers(scores[name], finite=False) for name in on]
    covariates = np.stack(columns, axis=1) if columns else np.zeros((len(scores), 0))
    if not np.isfinite(covariates[used]).all() or scores.loc[used, list(exact)].isna().any(axis=None):
        raise MatchingError(
            f"a covariate of {list(on)} is NaN or infinite, or a value of {list(exact)} is missing; leave those "
            "windows out"
        )
    strata = (
        scores.groupby(list(exact), dropna=False).ngroup().to_numpy() if exact else np.zeros(len(scores), dtype=int)
    )
    score = np.zeros(len(scores))
    score[used] = _log_odds(covariates[used], strata[used], memorized[used])
    spread = float(score[used].std())
    score = score / spread if spread > 1e-9 else np.zeros_like(score)
    rows = []
    rng = generator(seed)
    shuffled = rng.permutation(np.flatnonzero(used))
    for stratum in np.unique(strata[used]):
        inside = strata[shuffled] == stratum
        treated, untreated = (shuffled[kind[shuffled] & inside] for kind in (memorized, candidates))
        rows.extend(_nearest(treated, untreated, score, caliper, rng))
    if not rows:
        here = np.intersect1d(strata[memorized], strata[candidates]).size
        raise MatchingError(
            f"none of {memorized.sum()} memorized windows has a control within {caliper} standard deviations on "
            f"{list(on)}" + ("" if here else f": no unmemorized window has the same {list(exact)}")
        )
    pairs = pd.DataFrame(rows, columns=["memorized", "control", "distance"])
    kept, controls = np.zeros(len(scores), dtype=bool), np.zeros(len(scores), dtype=bool)
    kept[pairs["memorized"]], controls[pairs["control"]] = True, True
    return Matching(
        memorized=kept,
        controls=controls,
        pairs=pairs,
        balance=_balance(scores, [*on], [*exact], (memorized, candidates), (kept, controls)),
        n_unmatched=int(memorized.sum() - kept.sum()),
    )


def _log_odds(
    covariates: Float[np.ndarray, "window covariate"],
    strata: Int[np.ndarray, " window"],
    memorized: Bool[np.ndarray, " window"],
) -> Float[np.ndarray, " window"]:
    """Log odds of being memorized given the covariates, by logistic regression with an intercept per stratum."""
    if covariates.shape[1] == 0:
        return np.zeros(len(covariates))
    levels = pd.get_dummies(pd.Series(strata)).to_numpy(dtype=np.float64)
    scaled = StandardScaler().fit_transform(covariates)
    fitted = LogisticRegression(max_iter=1000).fit(np.hstack([scaled, levels]), memorized)
    # Pairs share a stratum, so its intercept cancels.
    return scaled @ fitted.coef_[0, : scaled.shape[1]]


def _nearest(
    treated: Int[np.ndarray, " treated"],
    untreated: Int[np.ndarray, " untreated"],
    score: Float[np.ndarray, " window"],
    caliper: float,
    rng: np.random.Generator,
) -> list[tuple[int, int, float]]:
    """Greedy nearest neighbours without replacement, in near-linear time (path halving skips used controls)."""
    order = untreated[np.argsort(score[untreated], kind="stable")]
    place = score[order]
    n = len(order)
    left, right = np.arange(-1, n), np.arange(n + 1)
    # right[i] leads to the first free control at or after i (n: none), left[i + 1] to the last at or before i (-1).

    def first_free(i: int) -> int:
        while right[i] != i:
            right[i] = right[right[i]]
            i = int(right[i])
        return i

    def last_free(i: int) -> int:
        while left[i + 1] != i:
            left[i + 1] = left[left[i + 1] + 1]
            i = int(left[i + 1])
        return i

    rows = []
    for one in treated[np.argsort(-score[treated], kind="stable")]:
        at = int(np.searchsorted(place, score[one]))
        above, below = first_free(at), last_free(at - 1)
        options = [i for i in rng.permutation([above, below]).tolist() if 0 <= i < n]
        if not options:
            break
        chosen = min(options, key=lambda i: abs(place[i] - score[one]))
        distance = float(abs(place[chosen] - score[one]))
        if distance > caliper:
            continue
        right[chosen], left[chosen + 1] = chosen + 1, chosen - 1
        rows.append((int(one), int(order[chosen]), distance))
    return rows


def _balance(
    scores: pd.DataFrame,
    on: list[str],
    exact: list[str],
    before: tuple[Bool[np.ndarray, " window"], Bool[np.ndarray, " window"]],
    after: tuple[Bool[np.ndarray, " window"], Bool[np.ndarray, " window"]],
) -> pd.DataFrame:
    """Standardised mean differences. Each value of a categorical column is a covariate."""
    columns = {name: scores[name].to_numpy(dtype=np.float64) for name in on}
    for name in exact:
        levels = scores[name].to_numpy().astype(str)
        columns |= {f"{name} = {v}": (levels == v).astype(np.float64) for v in np.unique(levels[before[0]])}
    rows = []
    for name, values in columns.items():
        # The spread is taken before matching: taken after it, discarded windows could hide a difference.
        spread = float(np.sqrt((values[before[0]].var() + values[before[1]].var()) / 2))
        means = [float(values[mask].mean()) for mask in (*before, *after)]
        # Without spread, any difference is infinite.
        smd = [
            float((one - other) / spread if spread > 0 else np.copysign(np.inf, one - other) if one != other else 0.0)
            for one, other in (means[:2], means[2:])
        ]
        rows.append((name, *means, *smd, abs(smd[1]) <= BALANCED))
    groups = ["memorized", "unmemorized", "memorized_matched", "controls"]
    return pd.DataFrame(rows, columns=["covariate", *groups, "before", "after", "balanced"])
