"""Predicting memorization: how much of M = 1 repetition explains, and what is left (ours).

The model is a logistic regression of M = 1 on the repetition count, the compressed size of the text, the
log-probability of the prefix and the domain. It is cross-validated by document: no document is in both training and
test. Documents that share a window (equal ``digest``, if the table has it) count as one, so no text is in both either.
The AUC stands beside the AUC of each factor alone, of all factors but one, and of the same model fitted to shuffled
outcomes, which must be one half. Calibration is measured: Brier score, and observed against predicted rates.

Two cautions. First, the prefix was shown as often as the window, so its log-probability contains the repetition. "All
but count" therefore does not show what is left without repetition; the compressed size does. Second, an uninformative
factor can score below 0.5 if windows were sampled equally from its levels (as the planted sets are from domains): a
level over-represented in the test fold is under-represented in training.
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

from interp.data.disjoint import linked
from interp.results import Result
from interp.seeds import check_seed, generator
from interp.statistical.measured import ScoresError, check_columns, numbers, outcomes
from interp.statistical.rates import Rates, rates
from interp.stats.auc import auc_estimates
from interp.stats.columns import estimates_frame
from interp.stats.estimates import Estimate, bootstrap_mean

FACTORS = {
    "count": "log2_count",
    "compressed size": "compressed_bits",
    "prefix log-probability": "prefix_log_prob",
    "domain": "domain",
}
"""Column of each factor."""

UNMATCHED = {name: FACTORS[name] for name in ("compressed size", "prefix log-probability")}
"""Factors that remain for windows matched in count and domain (``interp.statistical.groups``)."""

ALL = "all factors"
SHUFFLED = "shuffled outcomes"


@dataclass(frozen=True, repr=False, eq=False)
class Prediction(Result):
    """How well M = 1 is predicted."""

    auc: dict[str, Estimate]
    """AUC (0 to 1) of all factors, of "X alone" and "all but X" for each factor X, and of shuffled outcomes."""
    gain: dict[str, Estimate]
    """AUC of all factors minus the AUC of each other set, on the same resampled documents."""
    brier: Estimate
    """Mean squared difference between probability and outcome; 0 is perfect."""
    brier_of_rate: Estimate
    """The same for a model that predicts the rate of the other folds."""
    probability: Float[np.ndarray, " window"]
    """Probability of M = 1 by all factors, from a fit without the window's document. NaN for a window whose outcome was
    not measured; it is in no fold."""
    reliability: Rates
    """Observed rate in ten bins of windows by probability, with the mean ``predicted`` of each."""

    def to_frame(self) -> pd.DataFrame:
        """One row per set of factors: AUC (``value``, ``low``, ``high``) and the ``gain`` of all factors over it."""
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
        scores: a row for each window of one model, with ``memorized`` (NaN if not measured: the window is left out),
            ``document`` and the factors' columns. The optional ``digest`` is equal for windows of the same text.
        factors: column of each factor. Each name in a categorical column is a level.
        n_folds: folds of the cross-validation, at least 2. Each document is in one fold.
        n_resamples: number of bootstrap resamples. By default it follows from the number of documents.
        seed: seed of folds, shuffle and bootstrap.

    Raises:
        ScoresError: an outcome is neither true nor false; a factor is missing, constant or not finite; there is only
            one factor or one fold; or the memorized or unmemorized windows are in fewer documents than there are folds.
    """
    check_columns(scores, [*factors.values(), "memorized", "document"], what="predicting memorization")
    if len(factors) < 2:
        raise ScoresError(f"{list(factors)} is one factor; give at least two to compare")
    if n_folds < 2:
        raise ScoresError(f"n_folds={n_folds}: cross-validation needs at least two folds")
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
    """Factors as features: numbers unchanged, a categorical column as one indicator per level."""
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
    """Probability of each window by a fit on the other folds, or their rate if they have only one outcome."""
    probability = np.full(len(outcome), np.nan)
    # The problems are small: more threads for the linear algebra would cost time.
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
    """Observed rates in ten bins of equally many windows; fewer bins if probabilities tie."""
    tied = len(np.unique(probability)) == 1
    bins = np.zeros(len(probability)) if tied else pd.qcut(probability, 10, labels=False, duplicates="drop")
    observed = rates(scores.assign(bin=bins), by=("bin",), seed=seed)
    predicted = pd.Series(probability).groupby(bins).mean()
    return Rates(
        groups=observed.groups.assign(predicted=predicted.loc[observed.groups["bin"]].to_numpy()),
        estimates=observed.estimates,
    )
