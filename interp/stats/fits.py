"""Straight-line and logistic fits of rates against one variable, for many bootstrap resamples at once.

    linear:    rate = intercept + slope * x, least squares
    logistic:  log(rate / (1 - rate)) = intercept + slope * x, maximum likelihood

Rates are few (sizes of a family, repetition counts) and resamples many, so all resamples are fitted in one array.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_RIDGE = 1e-4
"""Penalty, in successes, that keeps the slope finite where rates jump from 0 to 1. Negligible beside 100 windows."""


def linear_fit(
    x: Float[np.ndarray, " point"], rates: Float[np.ndarray, "resample point"]
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Intercept and slope by least squares, with equal weights. NaN where a rate is NaN."""
    centred = x - x.mean()
    slope = rates @ centred / (centred @ centred)
    return rates.mean(axis=1) - slope * x.mean(), slope


def logistic_fit(
    x: Float[np.ndarray, " point"],
    rates: Float[np.ndarray, "resample point"],
    n: Float[np.ndarray, "resample point"],
    *,
    n_steps: int = 60,
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Intercept and slope of the log odds by maximum likelihood.

    Args:
        x: the variable at each point.
        rates: observed rates, 0 to 1. NaN only where ``n`` is 0.
        n: number of windows behind each rate, which is its weight.
        n_steps: steps of Newton's method. Each step is halved until the likelihood does not fall.

    Returns:
        Both are NaN if all rates are 0, all are 1, or only one point has windows: the curve is then undetermined.
    """
    centre, scale = x.mean(), x.std()
    z = (x - centre) / scale
    y = np.where(n > 0, rates, 0.5)
    coefficients = np.zeros((len(y), 2))
    total = (n * y).sum(axis=1)
    fittable = (total > 0) & (total < n.sum(axis=1)) & ((n > 0).sum(axis=1) > 1)
    current = _penalised(coefficients, z, y, n)
    for _ in range(n_steps):
        p = _sigmoid(coefficients[:, :1] + coefficients[:, 1:] * z)
        weight, residual = n * p * (1 - p), n * (y - p)
        gradient = np.stack([residual.sum(axis=1), residual @ z - _RIDGE * coefficients[:, 1]], axis=1)
        a, b = weight.sum(axis=1) + 1e-12, weight @ z
        c = weight @ (z * z) + _RIDGE
        determinant = a * c - b * b
        step = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], axis=1)
        step /= determinant[:, None]
        for _ in range(20):
            proposed = _penalised(coefficients + step, z, y, n)
            worse = proposed < current - 1e-12
            if not worse.any():
                break
            step[worse] /= 2
        coefficients, current = coefficients + step, proposed
    slope = coefficients[:, 1] / scale
    intercept = coefficients[:, 0] - slope * centre
    return np.where(fittable, intercept, np.nan), np.where(fittable, slope, np.nan)


def logistic_rate(
    x: Float[np.ndarray, " point"], intercept: Float[np.ndarray, " resample"], slope: Float[np.ndarray, " resample"]
) -> Float[np.ndarray, "resample point"]:
    """Rates that a logistic fit predicts at ``x``."""
    return _sigmoid(intercept[:, None] + slope[:, None] * x)


def r_squared(observed: Float[np.ndarray, " point"], fitted: Float[np.ndarray, " point"]) -> float:
    """1 - residual / total sum of squares. NaN for fewer than three points (a line fits two) or equal rates."""
    total = ((observed - observed.mean()) ** 2).sum()
    if len(observed) < 3 or total == 0:
        return float("nan")
    return float(1 - ((observed - fitted) ** 2).sum() / total)


def _sigmoid(t: Float[np.ndarray, "resample point"]) -> Float[np.ndarray, "resample point"]:
    return 0.5 * (1 + np.tanh(t / 2))


def _penalised(
    coefficients: Float[np.ndarray, "resample 2"],
    z: Float[np.ndarray, " point"],
    y: Float[np.ndarray, "resample point"],
    n: Float[np.ndarray, "resample point"],
) -> Float[np.ndarray, " resample"]:
    """Log-likelihood minus the ridge penalty."""
    t = coefficients[:, :1] + coefficients[:, 1:] * z
    likelihood = n * (y * t - np.logaddexp(0, t))
    return likelihood.sum(axis=1) - _RIDGE / 2 * coefficients[:, 1] ** 2
