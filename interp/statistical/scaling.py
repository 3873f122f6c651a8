"""Scaling: memorization rate against model size within a family, and between families at one size.

    linear:    rate = intercept + slope * log10(parameters)
    logistic:  log odds of the rate = intercept + slope * log10(parameters)

arXiv 2603.21658 finds that the rate is log-linear inside a family, and that families of one size differ up to 100
times. The intervals are ours: the bootstrap resamples documents, and all sizes of a family use the same resamples,
because they were measured on the same windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from interp.results import Result
from interp.statistical.measured import ScoresError, check_columns, numbers, outcomes
from interp.statistical.pairing import refuse_other_texts, window_key
from interp.statistical.rates import Rates, rates, score_bin
from interp.stats.columns import estimates_frame
from interp.stats.estimates import Estimate, from_resamples, resampled_means, resting_on
from interp.stats.fits import linear_fit, logistic_fit, logistic_rate, r_squared

_NEEDED = ("family", "model", "n_params", "window", "document", "memorized")


@dataclass(frozen=True, repr=False, eq=False)
class Scaling(Result):
    """How the rate grows with size in each family."""

    rates: Rates
    """Rate of each ``family``, ``model`` and ``n_params``."""
    families: tuple[str, ...]
    n_sizes: tuple[int, ...]
    """Number of models in each family."""
    linear_slope: tuple[Estimate, ...]
    """Rise in rate for ten times the parameters, of each family."""
    linear_intercept: Float[np.ndarray, " family"]
    linear_r2: Float[np.ndarray, " family"]
    """R2 of the line over the sizes. NaN for two sizes (every line fits them) or equal rates."""
    logistic_slope: tuple[Estimate, ...]
    """Rise in log odds for ten times the parameters. NaN if no window or every window is memorized."""
    logistic_intercept: Float[np.ndarray, " family"]
    logistic_r2: Float[np.ndarray, " family"]
    """R2 of the logistic curve on the rates themselves, so that it is comparable with the line's."""

    def to_frame(self) -> pd.DataFrame:
        """One row per family and ``fit``: its slope (``value``, ``low``, ``high``), ``intercept`` and ``r2``."""
        parts = [
            pd.DataFrame(
                {"family": self.families, "fit": fit, "n_sizes": self.n_sizes, "intercept": intercept, "r2": r2}
            )
            for fit, intercept, r2 in (
                ("linear", self.linear_intercept, self.linear_r2),
                ("logistic", self.logistic_intercept, self.logistic_r2),
            )
        ]
        slopes = estimates_frame([*self.linear_slope, *self.logistic_slope])
        return pd.concat([pd.concat(parts, ignore_index=True), slopes], axis=1)


def scaling(scores: pd.DataFrame, *, n_resamples: int | None = None, seed: int = 0) -> Scaling:
    """Fit the rate against log10(parameters) in each family with at least two sizes.

    Args:
        scores: a row for each window and model, with ``family``, ``model``, ``n_params``, ``window``, ``document``
            and ``memorized`` (NaN where not measured).
        n_resamples: number of bootstrap resamples. By default it follows from the number of documents.
        seed: seed of the bootstrap.

    Raises:
        ScoresError: the sizes of a family were not all measured on the same windows; no family has two sizes; or the
            table has missing or contradictory entries for a model or a window.
    """
    scores = _checked(scores, what="scaling")
    key = window_key(scores, what="scaling")
    fits = [
        _fit(str(family), group, key, n_resamples=n_resamples, seed=seed)
        for family, group in scores.groupby("family", sort=True)
        if group["n_params"].nunique() > 1
    ]
    if not fits:
        raise ScoresError("no family has two sizes; a slope needs two")
    return Scaling(
        rates=rates(scores, by=("family", "n_params", "model"), seed=seed),
        families=tuple(fit.family for fit in fits),
        n_sizes=tuple(fit.n_sizes for fit in fits),
        linear_slope=tuple(fit.linear_slope for fit in fits),
        linear_intercept=np.array([fit.linear_intercept for fit in fits]),
        linear_r2=np.array([fit.linear_r2 for fit in fits]),
        logistic_slope=tuple(fit.logistic_slope for fit in fits),
        logistic_intercept=np.array([fit.logistic_intercept for fit in fits]),
        logistic_r2=np.array([fit.logistic_r2 for fit in fits]),
    )


class _Fit(NamedTuple):
    """The fields of ``Scaling`` for one family."""

    family: str
    n_sizes: int
    linear_slope: Estimate
    linear_intercept: float
    linear_r2: float
    logistic_slope: Estimate
    logistic_intercept: float
    logistic_r2: float


def _fit(family: str, group: pd.DataFrame, key: list[str], *, n_resamples: int | None, seed: int) -> _Fit:
    sizes = group.drop_duplicates("model").sort_values("n_params")
    values, documents = _by_model(group, sizes["model"].to_list(), key)
    if np.isnan(values).any():
        raise ScoresError(
            f"the sizes of {family} were not measured on the same windows; select the windows that all have"
        )
    x = np.log10(sizes["n_params"].to_numpy(dtype=np.float64))
    means, n = resampled_means(values, clusters=documents, seed=seed, n_resamples=n_resamples)
    # Row 0 is the sample itself, the rest are its resamples.
    means = np.vstack([values.mean(axis=0), means])
    n = np.vstack([np.full(len(x), float(len(values))), n])
    intercept, slope = linear_fit(x, means)
    log_odds, log_odds_slope = logistic_fit(x, means, n)
    sample = resting_on(documents)
    if np.ptp(means) == 0:
        # All rates are 0, or all are 1, in every resample. This does not bound the slope.
        slope[1:] = np.nan
    return _Fit(
        family=family,
        n_sizes=len(x),
        linear_slope=from_resamples(float(slope[0]), slope[1:], **sample),
        linear_intercept=float(intercept[0]),
        linear_r2=r_squared(means[0], intercept[0] + slope[0] * x),
        logistic_slope=from_resamples(float(log_odds_slope[0]), log_odds_slope[1:], **sample),
        logistic_intercept=float(log_odds[0]),
        logistic_r2=r_squared(means[0], logistic_rate(x, log_odds[:1], log_odds_slope[:1])[0]),
    )


def family_ratios(
    scores: pd.DataFrame, *, n_params: float, within: float = 1.5, n_resamples: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Ratio of rates between families at one size, with bootstrap intervals.

    Args:
        scores: as ``scaling``.
        n_params: the size. Each family is represented by the model nearest to it.
        within: a family whose nearest model is further away than this factor is left out.
        n_resamples: number of bootstrap resamples. By default it follows from the number of documents. Documents that
            families share are resampled together.
        seed: seed of the bootstrap.

    Returns:
        One row per pair: ``family`` and ``model`` over ``other_family`` and ``other_model``, with ``value``, ``low``,
        ``high``, ``n``, ``n_documents``. Infinite if the other rate is 0. NaN if both are 0 or one was not measured.
        ``n_documents`` is that of the model measured on fewer documents.

    Raises:
        ScoresError: fewer than two families have a model of that size; the size or factor is out of range; a window
            with one id, document and tokenizer has different texts in two families; or as ``scaling``.
    """
    scores = _checked(scores, what="the ratio between families")
    key = window_key(scores, what="the ratio between families")
    if not (0 < n_params < np.inf and within >= 1):
        raise ScoresError(f"n_params={n_params} and within={within}: a size must be above 0, and a factor at least 1")
    models = scores.drop_duplicates("model")[["family", "model", "n_params"]]
    models = models.assign(off=np.abs(np.log10(models["n_params"] / n_params))).sort_values(
        ["family", "off", "n_params"]
    )
    models = models.drop_duplicates("family").loc[lambda m: m["off"] <= np.log10(within)]
    if len(models) < 2:
        raise ScoresError(f"{len(models)} families have a model within a factor {within} of {n_params:g} parameters")
    refuse_other_texts(scores[scores["model"].isin(models["model"])], what="the ratio between families")
    values, documents = _by_model(scores, models["model"].to_list(), key)
    means, _ = resampled_means(values, clusters=documents, seed=seed, n_resamples=n_resamples)
    n_measured = (~np.isnan(values)).sum(axis=0)
    whole = np.divide(np.nansum(values, axis=0), n_measured, out=np.full(len(models), np.nan), where=n_measured > 0)
    pairs, estimates = [], []
    for i, one in enumerate(models.itertuples()):
        for j, other in enumerate(models.itertuples()):
            if i == j:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                value, drawn = float(np.divide(whole[i], whole[j])), means[:, i] / means[:, j]
            either = ~np.isnan(values[:, [i, j]]).all(axis=1)
            # The model measured on fewer documents decides.
            fewer = min(
                (resting_on(documents[~np.isnan(values[:, k])]) for k in (i, j)), key=lambda rests: rests["n_clusters"]
            )
            pairs.append((one.family, one.model, other.family, other.model))
            estimates.append(from_resamples(value, drawn, **{**fewer, "n": int(either.sum())}))
    columns = ["family", "model", "other_family", "other_model"]
    return pd.concat([pd.DataFrame(pairs, columns=columns), estimates_frame(estimates)], axis=1)


def transitions(scores: pd.DataFrame, *, seed: int = 0) -> Rates:
    """How windows move between score bins from one size of a family to the next.

    Args:
        scores: as ``scaling``, with ``score``.
        seed: seed of the bootstrap over documents.

    Returns:
        One group for each ``family``, step (``from_model``, ``to_model``), ``from_bin`` and ``to_bin`` that occurs.
        ``n_windows`` counts the windows that moved so, and the rate is their share of all windows in ``from_bin``.
        Windows whose score is NaN at either size are left out of that step.

    Raises:
        ScoresError: as ``scaling``, or a family has two models of one size.
    """
    scores = _checked(scores, what="size transitions", also=("score",))
    key = window_key(scores, what="size transitions")
    binned = scores.assign(bin=score_bin(numbers(scores["score"])))
    groups, estimates = [], []
    for family, group in binned.groupby("family", sort=True):
        sizes = group.drop_duplicates("model").sort_values("n_params")
        if sizes["n_params"].duplicated().any():
            raise ScoresError(f"{family} has several models of one size; give one of each size")
        models = sizes["model"].to_list()
        for small, large in pairwise(models):
            pair = group[group["model"] == small].merge(
                group[group["model"] == large], on=key, suffixes=("_from", "_to")
            )
            if len(pair) != (group["model"] == small).sum():
                raise ScoresError(f"{small} and {large} were not measured on the same windows; select those both have")
            pair = pair.dropna(subset=["bin_from", "bin_to"])
            for start, starting in pair.groupby("bin_from", observed=True):
                for end in starting["bin_to"].cat.categories[np.unique(starting["bin_to"].cat.codes)]:
                    moved = starting.assign(moved=starting["bin_to"] == end)
                    groups.append((family, small, large, start, end, int(moved["moved"].sum())))
                    estimates.append(rates(moved, by=(), outcome="moved", seed=seed).estimates[0])
    if not groups:
        raise ScoresError("no family has two sizes with windows measured at both; a transition needs two")
    columns = ["family", "from_model", "to_model", "from_bin", "to_bin", "n_windows"]
    return Rates(groups=pd.DataFrame(groups, columns=columns), estimates=tuple(estimates))


def _checked(scores: pd.DataFrame, *, what: str, also: Sequence[str] = ()) -> pd.DataFrame:
    """The table with outcomes and sizes as numbers.

    Refuses missing or contradictory entries for a model or a window.
    """
    check_columns(scores, [*_NEEDED, *also], what=what)
    checked = scores.assign(memorized=outcomes(scores["memorized"]), n_params=numbers(scores["n_params"], low=1.0))
    for column in ("family", "model", "n_params", "window"):
        if checked[column].isna().any():
            raise ScoresError(f"{what} needs {column!r} of every row; it is missing in {checked[column].isna().sum()}")
    facts = checked.drop_duplicates(["model", "family", "n_params"])
    if facts["model"].duplicated().any():
        model = facts.loc[facts["model"].duplicated(), "model"].iloc[0]
        raise ScoresError(f"{model} has several families or sizes in this table; a model has one of each")
    twice = checked.duplicated(["model", "document", "window"])
    if twice.any():
        raise ScoresError(f"{checked.loc[twice, 'model'].iloc[0]} has {int(twice.sum())} windows twice in this table")
    return checked


def _by_model(
    scores: pd.DataFrame, models: list[str], key: list[str]
) -> tuple[Float[np.ndarray, "sample column"], Shaped[np.ndarray, " sample"]]:
    """Outcome of every window by model (NaN if a model was not measured on it), and the windows' documents."""
    wanted = scores[scores["model"].isin(models)]
    table = wanted.pivot(index=key, columns="model", values="memorized")[models]
    return table.to_numpy(), table.index.get_level_values("document").to_numpy().astype(str)
