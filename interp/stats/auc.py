"""Area under the ROC curve: the probability that a memorized window ranks above an unmemorized one. Ties count half.

Only windows of one cross-validation fold are compared. Two folds have two fitted models, whose predictions are not on
one scale; pooling them pushes the AUC of an uninformative model below 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from interp.stats.estimates import Estimate, from_resamples, resample_weights, resting_on


class RankedFolds:
    """Predictions, sorted once. The AUC under each set of weights is then a few sums."""

    def __init__(
        self,
        prediction: Float[np.ndarray, " sample"],
        positive: Bool[np.ndarray, " sample"],
        fold: Int[np.ndarray, " sample"],
    ) -> None:
        # One level per fold and distinct prediction, in rising order within the fold.
        keys = np.stack([fold.astype(np.float64), prediction], axis=1)
        levels, self._level = np.unique(keys, axis=0, return_inverse=True)
        self._positive = positive
        _, self._fold_starts = np.unique(levels[:, 0], return_index=True)
        self._n_levels = len(levels)

    def auc(self, weights: Float[np.ndarray, " sample"]) -> float:
        """AUC with the given weight for each sample. NaN if no fold has both kinds."""
        level = self._level.reshape(-1)
        above = np.bincount(level, weights * self._positive, self._n_levels)
        below = np.bincount(level, weights * ~self._positive, self._n_levels)
        starts = self._fold_starts
        sums = np.concatenate([[0.0], np.cumsum(below)])
        in_fold = np.repeat(sums[starts], np.diff([*starts, self._n_levels]))
        beaten = above * (sums[:-1] - in_fold + below / 2)
        pairs = (np.add.reduceat(above, starts) * np.add.reduceat(below, starts)).sum()
        return float(beaten.sum() / pairs) if pairs > 0 else float("nan")


def auc_estimates(
    predictions: Mapping[str, Float[np.ndarray, " sample"]],
    positive: Bool[np.ndarray, " sample"],
    *,
    fold: Int[np.ndarray, " sample"],
    document: Shaped[np.ndarray, " sample"],
    reference: str,
    seed: int,
    n_resamples: int | None = None,
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """AUC of each set of predictions, and the AUC of ``reference`` minus it, with bootstrap intervals by document.

    All sets use the same resampled documents. The models are not refitted, so the interval covers the choice of test
    documents only.
    """
    ranked = {name: RankedFolds(p, positive, fold) for name, p in predictions.items()}
    every = np.ones(len(positive))
    value = {name: folds.auc(every) for name, folds in ranked.items()}
    weights = resample_weights(document, seed=seed, n_resamples=n_resamples)
    table = np.array([[folds.auc(weight) for folds in ranked.values()] for weight in weights])
    drawn = dict(zip(ranked, table.T, strict=True))
    sample = resting_on(document)
    return (
        {name: from_resamples(value[name], drawn[name], **sample, trials=1) for name in ranked},
        {
            name: from_resamples(value[reference] - value[name], drawn[reference] - drawn[name], **sample)
            for name in ranked
            if name != reference
        },
    )
