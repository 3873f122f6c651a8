"""How one model's importance is spread over depth and over heads, with intervals by document.

The profiles that ``similarity`` compares, each as shares of the model's whole importance, and its concentration (Gini).
The same documents are drawn for all heads. A sorted curve of noisy importance falls more steeply than the true one, and
a resample's more steeply still: its band lies above the curve at the first heads, and so does that of Gini (ours).
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
    """A profile over its sum of absolute values: shares of the importance; 1 / ``N_POINTS`` where it is even."""
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
    """Shares of importance over relative depth or over the heads from the most important, with 95 % intervals.

    Args:
        falls: what each window loses by each head's ablation, all measured.
        documents: of each window; whole documents are drawn.
        representation: ``depth`` or ``sorted``.
        seed: of the bootstrap.
        n_resamples: number of resamples, as many as the documents ask for unless given.

    Returns:
        One row a point: ``at`` (0 to 1), ``value``, ``low``, ``high``, ``n`` (windows), ``n_documents``.
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
    """Gini coefficient of the heads' importance with its interval by document; see ``gini``."""
    drawn = np.array([gini(each) for each in _resampled(falls, documents, seed=seed, n_resamples=n_resamples)])
    return from_resamples(gini(falls.mean(axis=-1)), drawn, **resting_on(documents))
