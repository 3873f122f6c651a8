"""Seeds: one check for every place that draws, and streams that do not depend on what else is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.internal.ablation.cumulative import ranking_half
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import substitute
from interp.planted.corpus import planted_windows
from interp.planted.planting import training_order
from interp.seeds import MAX_SEED, SeedError, check_seed, generator
from interp.stats.estimates import bootstrap_mean, resampled_means

BAD = (-1, 2**32, 10**30, 0.5, float("nan"), "0", None, True, np.float64(1))
OUTCOME = pd.Series([0.0, 1.0, 1.0, 0.0])
DRAWING: dict[str, Callable[[Any, TransformerBridge, Windows], object]] = {
    "generator": lambda seed, m, w: generator(seed),
    "generator of a key": lambda seed, m, w: generator(seed, 3, 4),
    "bootstrap_mean": lambda seed, m, w: bootstrap_mean(OUTCOME.to_numpy(), seed=seed),
    "resampled_means": lambda seed, m, w: resampled_means(OUTCOME.to_numpy()[:, None], seed=seed),
    "planted_windows": lambda seed, m, w: planted_windows(sets=["planted-1"], per_set=1, seed=seed),
    "training_order": lambda seed, m, w: training_order(np.array([1, 2]), seed=seed),
    "ranking_half": lambda seed, m, w: ranking_half(w, seed=seed),
}
MEASURING: dict[str, Callable[[Any, TransformerBridge, Windows], object]] = {
    "perturb": lambda seed, m, w: perturb(m, w, seed=seed),
    "substitute": lambda seed, m, w: substitute(m, w, seed=seed),
    "resample": lambda seed, m, w: ablate_heads(m, w, Ablation("resample", seed=seed), heads=[(0, 0)]),
}


@pytest.mark.parametrize("seed", BAD, ids=repr)
def test_no_other_seed_is_taken(seed: Any) -> None:
    # Below the annotations, which only the tests check.
    with pytest.raises(SeedError, match="whole number from 0 to 4294967295"):
        check_seed.__wrapped__(seed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [-1, 2**32])
@pytest.mark.parametrize("name", {**DRAWING, **MEASURING})
def test_every_place_that_draws_checks_its_seed(
    name: str, seed: int, models: dict[str, TransformerBridge], windows: Windows
) -> None:
    with pytest.raises(SeedError, match=f"not {seed}"):
        {**DRAWING, **MEASURING}[name](seed, models["Pythia"], windows)


@pytest.mark.parametrize("name", DRAWING)
def test_the_first_and_the_last_seed_are_taken(name: str, windows: Windows) -> None:
    for seed in (0, MAX_SEED):
        DRAWING[name](seed, None, windows)  # type: ignore[arg-type]


def test_streams_are_of_seed_and_key_alone() -> None:
    drawn = {key: generator(5, *key).integers(2**62) for key in [(), (1,), (2,), (1, 2)]}
    assert len(set(drawn.values())) == len(drawn)
    assert generator(5, 1).integers(2**62) == drawn[1,]
    assert generator(5).integers(2**62) == np.random.default_rng(5).integers(2**62) != generator(6).integers(2**62)
