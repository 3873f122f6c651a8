"""Figures of noise: a panel an alpha or a model, every value drawn, and full recovery in view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.figures.noise import draw_carried, draw_carried_together, draw_recovery, draw_scores_by_noise
from interp.internal.noise.perturbation import RECOVERIES, Perturbation
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import ends, substitute, substitute_sets

GROUPS = {"memorized": np.arange(12) < 6, "unmemorized": np.arange(12) >= 6}


@pytest.fixture(scope="module")
def noisy(models: dict[str, TransformerBridge], windows: Windows) -> Perturbation:
    return perturb(models["OpenLLaMA"], windows, alphas=(0.0, 0.2))


@pytest.mark.parametrize("quantity", RECOVERIES)
def test_recovery(noisy: Perturbation, quantity: str) -> None:
    curves = noisy.curves(quantity, groups=GROUPS)
    fig = draw_recovery(curves, quantity)
    assert [a.text for a in fig.layout.annotations[:2]] == ["alpha = 0", "alpha = 0.2"]
    second = next(t for t in fig.data if t.name == "memorized" and t.xaxis == "x2")
    expected = curves[(curves["alpha"] == 0.2) & (curves["group"] == "memorized")]
    np.testing.assert_array_equal(second.y, expected["value"])
    assert {shape.y0 for shape in fig.layout.shapes} == {0.0 if quantity == "lens_kl" else 1.0}


def test_several_models_take_one_alpha(noisy: Perturbation) -> None:
    curves = pd.concat([noisy.curves("cosine").assign(model=name) for name in ("a", "b")])
    with pytest.raises(ValueError, match="choose one alpha"):
        draw_recovery(curves, "cosine")
    fig = draw_recovery(curves[curves["alpha"] == 0.2], "cosine")
    assert [a.text for a in fig.layout.annotations[:2]] == ["a", "b"]
    assert "alpha = 0.2" in fig.layout.meta["caption"]


def test_scores_by_noise(noisy: Perturbation) -> None:
    scores = noisy.scores(groups=GROUPS)
    fig = draw_scores_by_noise(scores, "score")
    line = next(t for t in fig.data if t.name == "unmemorized")
    assert line.x.tolist() == [0.0, 0.2]
    assert fig.layout.yaxis.title.text == "mean score M (share of correct tokens)"


def test_carried(models: dict[str, TransformerBridge], windows: Windows) -> None:
    result = substitute(models["OpenLLaMA"], windows, positions=[1, 30], n_draws=1)
    fig = draw_carried(result.curves(groups=GROUPS))
    line = next(t for t in fig.data if t.name == "memorized")
    np.testing.assert_allclose(line.y, result.fall[:6].mean(axis=0))


def test_carried_together(models: dict[str, TransformerBridge], windows: Windows) -> None:
    result = substitute_sets(models["OpenLLaMA"], windows, ends(32, sizes=(2, 32)), n_draws=1)
    fig = draw_carried_together(result.curves("fall", groups=GROUPS), "fall", groups=["unmemorized"])
    _, last = (t for t in fig.data if t.name == "unmemorized")
    assert [t.name for t in fig.data if t.showlegend] == ["unmemorized", "first tokens", "last tokens"]
    assert last.x.tolist() == [2, 32]
    np.testing.assert_allclose(last.y, result.fall[6:, 2:].mean(axis=0))
    assert "6 windows of 3 documents" in fig.layout.meta["caption"]
    memorized = draw_carried_together(result.curves("memorized", groups=GROUPS), "memorized", groups=["memorized"])
    assert memorized.layout.shapes[0].y0 == 1.0
