"""Predicting memorization: how much of M = 1 repetition explains, and what is left (ours).

A logistic regression of M = 1 on the repetition count, the compressed size of the text, the log-probability of the
prefix and the domain, cross-validated by document, so that no document is both learned from and tested on. Documents
that share a window (equal ``digest``, where the table has it) are one, so that no text is either. Its AUC
stands beside that of each factor alone and of all factors but one, and beside that of the same model fitted to
shuffled outcomes, which must be one half. How well its probabilities are calibrated is shown, not assumed: Brier score
and observed against predicted rates.

Two things to know when reading it. The prefix was shown as often as the window, so its log-probability carries the
repetition in it: "all but count" does not say what is left without repetition, the compressed size does. And a factor
that says nothing can fall below one half where the windows were drawn in equal numbers of it (domains of the planted
sets): what one fold has too many of, the others have too few of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from interp.brief import Brief
from interp.data.disjoint import linked
from interp.seeds import check_seed, generator
from interp.statistical.measured import ScoresError, check_columns, numbers, outcomes
from interp.statistical.rates import Rates, estimates_frame, rates
from interp.stats.auc import auc_estimates
from interp.stats.estimates import Estimate, bootstrap_mean

FACTORS = {
    "count": "log2_count",
    "compressed size": "compressed_bits",
    "prefix log-probability": "prefix_log_prob",
    "domain": "domain",
}
"""Column of each factor."""

UNMATCHED = {name: FACTORS[name] for name in ("compressed size", "prefix log-probability")}
"""What is left to predict from among windows matched in count and domain, of ``interp.statistical.groups``."""

ALL = "all factors"
SHUFFLED = "shuffled outcomes"


@dataclass(frozen=True, repr=False, eq=False)
class Prediction(Brief):
    """How well M = 1 is predicted."""

    auc: dict[str, Estimate]
    """AUC, 0 to 1, of all factors, of "X alone" and "all but X" for each factor X, and of shuffled outcomes."""
    gain: dict[str, Estimate]
    """AUC of all factors less that of each other set, the same documents drawn for both."""
    brier: Estimate
    """Mean squared distance of the probability from the outcome; 0 is perfect."""
    brier_of_rate: Estimate
    """The same for a model that knows the rate of the other folds alone."""
    probability: Float[np.ndarray, " window"]
    """Probability of M = 1 by all factors, from the fold that did not see the window's document; NaN for a window whose
    outcome was not measured, which stands in no fold."""
    reliability: Rates
    """Observed rate in tenths of the windows by probability, with the mean ``predicted`` of each."""

    def to_frame(self) -> pd.DataFrame:
        """One row a set of factors: its AUC (``value``, ``low``, ``high``), and what all factors ``gain`` over it."""
        table = estimates_frame(list(self.auc.values())).assign(factors=list(self.auc))
        gains = estimates_frame(list(self.gain.values()))[["value", "low", "high"]].add_prefix("gain_")
        return table.merge(gains.assign(factors=list(self.gain)), on="factors", how="left")


def predict(
    scores: pd.DataFrame,
    *,
    factors: Mapping[str, str] = FACTORS,
    n_folds: int = 5,
    n_resamples: int | None = None,
    seed: int = 0,
) -> Prediction:
    """Predict M = 1 of one model's windows from their factors.

    Args:
        scores: a row for each window of one model, with ``memorized`` (NaN where not measured: left out of everything),
            ``document`` and the factors' columns; ``digest``, the same for windows of the same text, where it is known.
        factors: column of each factor; a column of names has a level for each.
        n_folds: folds of the cross-validation, at least 2; a document is in one.
        n_resamples: bootstrap resamples, as many as the documents ask for unless given.
        seed: of folds, shuffle and bootstrap.

    Raises:
        ScoresError: an outcome that is neither true nor false, a factor that is missing, constant or not finite, one
            factor only, one fold, or memorized or unmemorized windows in fewer documents than there are folds.
    """
    check_columns(scores, [*factors.values(), "memorized", "document"], what="predicting memorization")
    if len(factors) < 2:
        raise ScoresError(f"{list(factors)} is one factor; with nothing beside it there is nothing to compare")
    if n_folds < 2:
        raise ScoresError(f"n_folds={n_folds}: a window is tested on a model of other folds, so there must be two")
    outcome = outcomes(scores["memorized"])
    measured = ~np.isnan(outcome)
    scores = scores[measured].reset_index(drop=True)
    for name, column in factors.items():
        values = scores[column]
        numeric = pd.api.types.is_numeric_dtype(values)
        if values.isna().any() or (numeric and not np.isfinite(numbers(values, finite=False)).all()):
            raise ScoresError(f"{name} ({column!r}) is not known for every window; leave those windows out")
        if values.nunique() == 1:
            raise ScoresError(f"{name} ({column!r}) is the same for all windows; it cannot predict anything")
    memorized = outcome[measured] == 1
    document = scores["document"].to_numpy().astype(str)
    if "digest" in scores:
        text = pd.factorize(scores["digest"])[0]
        known = np.flatnonzero(text >= 0)
        document = linked(document, (known, text[known]))
    for kind, mask in (("memorized", memorized), ("unmemorized", ~memorized)):
        if len(np.unique(document[mask])) < n_folds:
            raise ScoresError(
                f"{mask.sum()} {kind} windows in {len(np.unique(document[mask]))} documents that share no window "
                f"cannot be spread over {n_folds} folds"
            )
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=check_seed(seed))
    fold = np.full(len(scores), -1)
    for number, (_, test) in enumerate(splitter.split(scores, memorized, document)):
        fold[test] = number
    columns = list(factors.values())
    sets = {ALL: columns}
    sets |= {f"{name} alone": [column] for name, column in factors.items()}
    sets |= {f"all but {name}": [c for c in columns if c != column] for name, column in factors.items()}
    predictions = {name: _out_of_fold(_design(scores, chosen), memorized, fold) for name, chosen in sets.items()}
    shuffled = generator(seed).permutation(memorized)
    null = {SHUFFLED: _out_of_fold(_design(scores, columns), shuffled, fold)}
    estimates = partial(auc_estimates, fold=fold, document=document, seed=seed, n_resamples=n_resamples)
    auc, gain = estimates(predictions, memorized, reference=ALL)
    null_auc, _ = estimates(null, shuffled, reference=SHUFFLED)
    probability = predictions[ALL]
    rate = np.array([memorized[fold != f].mean() for f in range(n_folds)])[fold]
    brier, brier_of_rate = (
        bootstrap_mean((p - memorized) ** 2, clusters=document, seed=seed, n_resamples=n_resamples)
        for p in (probability, rate)
    )
    of_every_window = np.full(len(measured), np.nan)
    of_every_window[measured] = probability
    return Prediction(
        auc={**auc, **null_auc},
        gain=gain,
        brier=brier,
        brier_of_rate=brier_of_rate,
        probability=of_every_window,
        reliability=_reliability(scores, probability, seed=seed),
    )


def _design(scores: pd.DataFrame, columns: Sequence[str]) -> Float[np.ndarray, "window feature"]:
    """Factors as features: numbers as they are, a column of names as one level for each."""
    parts = [
        scores[[column]]
        if pd.api.types.is_numeric_dtype(scores[column])
        else pd.get_dummies(scores[column].astype(str))
        for column in columns
    ]
    return np.hstack([part.to_numpy(dtype=np.float64) for part in parts])


def _out_of_fold(
    features: Float[np.ndarray, "window feature"],
    outcome: Bool[np.ndarray, " window"],
    fold: Int[np.ndarray, " window"],
) -> Float[np.ndarray, " window"]:
    """Probability of each window by the model fitted on the other folds; where these are all of one kind, its rate."""
    probability = np.full(len(outcome), np.nan)
    # The problems are small: threads of the linear algebra would cost more than they give.
    with threadpool_limits(1):
        for number in np.unique(fold):
            inside = fold == number
            if outcome[~inside].all() or not outcome[~inside].any():
                probability[inside] = float(outcome[~inside][0])
                continue
            model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky"))
            model.fit(features[~inside], outcome[~inside])
            probability[inside] = model.predict_proba(features[inside])[:, 1]
    return probability


def _reliability(scores: pd.DataFrame, probability: Float[np.ndarray, " window"], *, seed: int) -> Rates:
    """Observed rates in ten bins of equally many windows; fewer where probabilities are tied."""
    tied = len(np.unique(probability)) == 1
    bins = np.zeros(len(probability)) if tied else pd.qcut(probability, 10, labels=False, duplicates="drop")
    observed = rates(scores.assign(bin=bins), by=("bin",), seed=seed)
    predicted = pd.Series(probability).groupby(bins).mean()
    return Rates(
        groups=observed.groups.assign(predicted=predicted.loc[observed.groups["bin"]].to_numpy()),
        estimates=observed.estimates,
    )
