"""Family similarity: do models of one family distribute memorization over their heads in the same way?

Models differ in layers and heads, so the comparison uses the profile of importance over relative depth, the sorted
importance curve, and concentration (Gini) (definitions, "family similarity"). Models are compared by the cosine of
profiles or curves, within a family against across families, with a permutation test of the family labels and
hierarchical clustering (arXiv 2603.21658, internal level: cosine about 0.9 within Pythia). Importance is mostly above
zero, and all sorted curves fall. So cosines are high between any two models, 0.99 between maps of random numbers:
interpret the difference, not the level (ours).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from interp.results import Result
from interp.seeds import generator
from interp.stats.estimates import Estimate, bootstrap
from interp.stats.ranks import ComparisonError, Importance

Representation = Literal["depth", "sorted"]
REPRESENTATIONS: tuple[Representation, ...] = ("depth", "sorted")
N_POINTS = 20
"""Points of a profile or curve. Small models have fewer layers, so interpolation loses nothing."""


def depth_profile(importance: Importance, *, n_points: int = N_POINTS) -> Float[np.ndarray, " point"]:
    """Mean importance of a layer's heads over relative depth (layer l of L at (l + 0.5) / L), interpolated linearly."""
    n_layers = len(importance)
    at = (np.arange(n_layers) + 0.5) / n_layers
    return np.interp((np.arange(n_points) + 0.5) / n_points, at, importance.mean(axis=1))


def sorted_curve(importance: Importance, *, n_points: int = N_POINTS) -> Float[np.ndarray, " point"]:
    """Importance, from the most to the least important head, over the share of heads, interpolated linearly."""
    n = importance.size
    at = (np.arange(n) + 0.5) / n
    return np.interp((np.arange(n_points) + 0.5) / n_points, at, np.sort(importance, axis=None)[::-1])


def gini(importance: Importance) -> float:
    """Gini coefficient of the heads' importance: 0 if all are equal, (n - 1) / n if one has all.

    Negative importance (ablation helps) counts as 0 (ours). NaN if no head has positive importance.
    """
    x = np.sort(np.clip(importance, 0, None), axis=None)
    n = len(x)
    if x.sum() == 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def cosine(one: Float[np.ndarray, " point"], other: Float[np.ndarray, " point"]) -> float:
    """Cosine of two profiles, -1 to 1. NaN if one is all zero."""
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else float("nan")


@dataclass(frozen=True, repr=False, eq=False)
class FamilySimilarity(Result):
    """Cosines between models, within families and across them."""

    models: tuple[str, ...]
    family: tuple[str, ...]
    representation: Representation
    profile: Float[np.ndarray, "model point"]
    cosine: Float[np.ndarray, "model model"]
    gini: Float[np.ndarray, " model"]
    within: Estimate
    """Mean cosine of compared pairs within a family; bootstrap over models, or families."""
    across: Estimate
    """Mean cosine of compared pairs across families."""
    difference: Estimate
    """``within`` minus ``across``."""
    p_value: float
    """Share of random assignments of the family labels with at least that difference, the observed one included
    (Phipson and Smyth 2010). Assignments without a compared pair of each kind are left out of both counts."""
    by_family: dict[str, float]
    """Mean cosine within each family that has a compared pair."""
    compared: Bool[np.ndarray, "model model"]
    """Pairs that are compared: those of different strata."""
    linkage: Float[np.ndarray, "merge 4"]
    """Average linkage on 1 - cosine, in scipy's form."""

    @property
    def order(self) -> Int[np.ndarray, " model"]:
        """Models, ordered like the leaves of the dendrogram."""
        return leaves_list(self.linkage).astype(np.int64)

    def to_frame(self) -> pd.DataFrame:
        """One row per pair, ordered by the clustering: ``one other cosine same_family compared``."""
        i, j = (self.order[index] for index in np.triu_indices(len(self.models), 1))
        family, names = np.asarray(self.family), np.asarray(self.models)
        return pd.DataFrame(
            {
                "one": names[i],
                "other": names[j],
                "cosine": self.cosine[i, j],
                "same_family": family[i] == family[j],
                "compared": self.compared[i, j],
            }
        )


def _contrast(
    cosines: Float[np.ndarray, "model model"],
    same: Bool[np.ndarray, "model model"],
    compared: Bool[np.ndarray, "model model"],
    sample: Int[np.ndarray, " drawn"],
    *,
    whole_families: bool,
) -> tuple[float, float]:
    """Mean cosine within and across families, over the compared pairs of the resampled models.

    A model drawn twice is not compared with itself. When families are resampled, one drawn twice counts as two
    families: its within-family pairs weigh 2, and pairs between its two copies are ignored.
    """
    times = np.bincount(sample, minlength=len(cosines)).astype(np.float64)
    weight = np.outer(times, times) * compared
    weights = (times[:, None] * compared if whole_families else weight) * same, weight * ~same
    # Without a pair of one kind its mean is NaN, and the resample is left out.
    within, across = (float((w * cosines).sum() / w.sum()) if w.any() else float("nan") for w in weights)
    return within, across


def _permuted_difference(
    cosines: Float[np.ndarray, "model model"],
    codes: Int[np.ndarray, " model"],
    strata: Int[np.ndarray, " model"],
    compared: Bool[np.ndarray, "model model"],
    *,
    n_permutations: int,
    seed: int,
) -> Float[np.ndarray, " permutation"]:
    """Within minus across for random assignments of labels within strata. Only assignments with pairs of both kinds."""
    rng = generator(seed)
    shuffled = np.tile(codes, (n_permutations, 1))
    for stratum in np.unique(strata):
        shuffled[:, strata == stratum] = rng.permuted(shuffled[:, strata == stratum], axis=1)
    member = (shuffled[:, :, None] == np.unique(codes)).astype(np.float64)

    def within(values: Float[np.ndarray, "model model"]) -> Float[np.ndarray, " permutation"]:
        return np.einsum("pif,pif->p", member, np.einsum("ij,pjf->pif", values, member))

    pairs = compared.astype(np.float64)
    total, n_within = within(cosines * pairs), within(pairs)
    n_across = pairs.sum() - n_within
    says = (n_within > 0) & (n_across > 0)  # the difference needs a pair of each kind
    return total[says] / n_within[says] - ((cosines * pairs).sum() - total[says]) / n_across[says]


def family_similarity(
    importance: Mapping[str, Importance],
    family: Mapping[str, str],
    *,
    strata: Mapping[str, Hashable] | None = None,
    representation: Representation = "depth",
    n_permutations: int = 10_000,
    seed: int = 0,
) -> FamilySimilarity:
    """Compare the importance maps of models within and across families.

    Args:
        importance: importance of each head, by model; shapes may differ.
        family: family of each model.
        strata: a property of each model that could be confused with its family, such as its number of layers. Models of
            one stratum are not compared, labels are permuted only within strata, and the bootstrap resamples whole
            families (ours). Without this, profiles of equal depth, which are similar in any family, would raise
            ``across``.
        representation: ``depth`` (profile over relative depth) or ``sorted`` (sorted curve).
        n_permutations: number of random assignments behind the p-value.
        seed: seed of the permutations and the bootstrap.

    Raises:
        ComparisonError: no family has two models, there are fewer than two families, no pair of either kind has
            different strata, or a map is incomplete or all zero.
    """
    models = tuple(importance)
    labels = tuple(family[model] for model in models)
    _, codes = np.unique(np.asarray(labels), return_inverse=True)
    if codes.max(initial=0) < 1 or np.bincount(codes).max() < 2:
        raise ComparisonError(
            f"a comparison within and across needs two families, one of them with two models: {labels}"
        )
    for model, values in importance.items():
        if not np.isfinite(values).all() or not values.any():
            raise ComparisonError(f"the importance map of {model} is incomplete (NaN), infinite or zero throughout")
    transform = depth_profile if representation == "depth" else sorted_curve
    profile = np.stack([transform(values) for values in importance.values()])
    length = np.linalg.norm(profile, axis=1, keepdims=True)
    if not length.all():
        raise ComparisonError(f"the {representation} profile of {models[int(length.argmin())]} is 0 throughout")
    unit = profile / length
    cosines = np.clip(unit @ unit.T, -1, 1)
    same = codes[:, None] == codes[None, :]
    kinds = [str(strata[model]) for model in models] if strata else list(map(str, range(len(models))))
    stratum = np.unique(np.asarray(kinds), return_inverse=True)[1] if strata else np.zeros(len(models), dtype=np.int64)
    compared = np.asarray(kinds)[:, None] != np.asarray(kinds)[None, :]
    if not (same & compared).any() or not (~same & compared).any():
        raise ComparisonError(f"no two models of different strata within a family, or across families: {kinds}")
    contrast = partial(_contrast, cosines, same, compared, whole_families=strata is not None)
    within, across = contrast(np.arange(len(models)))
    drawn = _permuted_difference(cosines, codes, stratum, compared, n_permutations=n_permutations, seed=seed)
    by_family = {}
    for code, name in enumerate(np.unique(np.asarray(labels))):
        pairs = np.triu(same & compared & (codes == code), 1)
        if pairs.any():
            by_family[str(name)] = float(cosines[pairs].mean())
    # A bootstrap over models would mostly resample strata, which differ more than families.
    clusters = None if strata is None else np.asarray(labels)
    drawn_again = partial(bootstrap, n=len(models), seed=seed, clusters=clusters)
    distance = 1 - cosines
    np.fill_diagonal(distance, 0)
    return FamilySimilarity(
        models=models,
        family=labels,
        representation=representation,
        profile=profile,
        cosine=cosines,
        gini=np.array([gini(values) for values in importance.values()]),
        within=drawn_again(lambda i: contrast(i)[0]),
        across=drawn_again(lambda i: contrast(i)[1]),
        difference=drawn_again(lambda i: float(np.subtract(*contrast(i)))),
        p_value=(int((drawn >= within - across - 1e-12).sum()) + 1) / (len(drawn) + 1),
        by_family=by_family,
        compared=compared,
        linkage=linkage(squareform(distance, checks=False), method="average"),
    )
