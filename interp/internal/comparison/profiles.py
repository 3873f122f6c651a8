"""Distribution of one model's importance over depth and over heads, with intervals by document.

These are the profiles that ``similarity`` compares, as shares of the model's whole importance, and their concentration
(Gini). All heads use the same resampled documents. Sorting noisy values exaggerates the slope, and resampling adds
noise. The band of a sorted curve, and of Gini, is therefore biased upward and can lie above the curve at the first
heads (ours).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from interp.internal.comparison.overlap import Importance
from interp.internal.comparison.similarity import N_POINTS, Representation, depth_profile, gini, sorted_curve
from interp.stats.columns import estimate_columns
from interp.stats.estimates import Estimate, from_resamples, resampled_means, resting_on


def shares(importance: Importance, representation: Representation) -> Float[np.ndarray, " point"]:
    """A profile divided by its sum of absolute values: shares of the importance.

    An even profile is 1 / ``N_POINTS``.
    """
    profile = depth_profile(importance) if representation == "depth" else sorted_curve(importance)
    total = float(np.abs(profile).sum())
    return profile / total if total else np.full(len(profile), np.nan)


def _resampled(
    falls: Float[np.ndarray, "layer head window"],
    documents: Shaped[np.ndarray, " window"],
    *,
    seed: int,
    n_resamples: int | None,
) -> Float[np.ndarray, "resample layer head"]:
    n_layers, n_heads, n_windows = falls.shape
    means, _ = resampled_means(falls.reshape(-1, n_windows).T, seed=seed, clusters=documents, n_resamples=n_resamples)
    return means.reshape(-1, n_layers, n_heads)


def importance_profile(
    falls: Float[np.ndarray, "layer head window"],
    documents: Shaped[np.ndarray, " window"],
    *,
    representation: Representation,
    seed: int = 0,
    n_resamples: int | None = None,
) -> pd.DataFrame:
    """Shares of importance over relative depth, or over heads sorted by importance, with 95 % intervals.

    Args:
        falls: fall of each window for each head. All must be measured.
        documents: the document of each window; the bootstrap resamples whole documents.
        representation: ``depth`` or ``sorted``.
        seed: seed of the bootstrap.
        n_resamples: number of resamples. By default it follows from the number of documents.

    Returns:
        One row per point: ``at`` (0 to 1), ``value``, ``low``, ``high``, ``n`` (windows), ``n_documents``.
    """
    value = shares(falls.mean(axis=-1), representation)
    drawn = np.stack(
        [shares(each, representation) for each in _resampled(falls, documents, seed=seed, n_resamples=n_resamples)]
    )
    rests_on = resting_on(documents)
    estimates = [from_resamples(float(v), resampled, **rests_on) for v, resampled in zip(value, drawn.T, strict=True)]
    at = (np.arange(N_POINTS) + 0.5) / N_POINTS
    return pd.DataFrame([{"at": x, **estimate_columns(e)} for x, e in zip(at, estimates, strict=True)])


def concentration(
    falls: Float[np.ndarray, "layer head window"],
    documents: Shaped[np.ndarray, " window"],
    *,
    seed: int = 0,
    n_resamples: int | None = None,
) -> Estimate:
    """Gini coefficient of the heads' importance, with its interval by document; see ``gini``."""
    drawn = np.array([gini(each) for each in _resampled(falls, documents, seed=seed, n_resamples=n_resamples)])
    return from_resamples(gini(falls.mean(axis=-1)), drawn, **resting_on(documents))
