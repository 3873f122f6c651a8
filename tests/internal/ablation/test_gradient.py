"""The gradient estimate: it is the derivative of the ablation, and its blocks sum to the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_windows
from test_head_ablation import METHODS
from transformer_lens.model_bridge import TransformerBridge

from interp.engine.take_apart import take_apart
from interp.internal.ablation.choices import Method
from interp.internal.ablation.gradient import estimate_heads, gated_log_prob
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation, AblationError
from interp.internal.ablation.screening import screen_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.comparison.agreement import agreement
from interp.models.loading import load_model
from interp.stats.ranks import ComparisonError


def ablation_by(method: Method) -> Ablation:
    return Ablation(method, reference=random_windows(4, seed=2) if method == "mean" else None)


@pytest.mark.parametrize("method", METHODS)
def test_gates_end_at_the_clean_model_and_at_the_ablation(model: TransformerBridge, method: Method) -> None:
    windows = random_windows(5, seed=1)
    ablation = ablation_by(method)
    exact = ablate_heads(model, windows, ablation, heads=[(1, 3)])
    blocks = take_apart(model)
    replacement = ablation.prepared(model, windows, blocks.head_outputs)
    donors = None if replacement.donors is None else blocks.head_outputs(replacement.donors[:, :-1])
    gates = torch.zeros(5, 4, 4)
    for gate, expected in ((0.0, exact.log_prob_clean), (1.0, exact.log_prob[1, 3])):
        gates[:, 1, 3] = gate
        ours = gated_log_prob(blocks, replacement, windows.tokens, gates, prefix_len=windows.prefix_len, donors=donors)
        np.testing.assert_allclose(ours.detach().numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_estimate_is_the_derivative(checkpoints: dict[str, Path], method: Method) -> None:
    model = load_model(checkpoints["StarCoder"], device="cpu", dtype=torch.float64)
    windows = random_windows(3, seed=1)
    ablation = ablation_by(method)
    estimate = estimate_heads(model, windows, ablation)
    blocks = take_apart(model)
    replacement = ablation.prepared(model, windows, blocks.head_outputs)
    donors = None if replacement.donors is None else blocks.head_outputs(replacement.donors[:, :-1])
    for layer, head in ((0, 1), (3, 2)):
        sides = []
        for step in (-1e-5, 1e-5):
            gates = torch.zeros(3, 4, 4, dtype=torch.float64)
            gates[:, layer, head] = step
            sides.append(
                gated_log_prob(blocks, replacement, windows.tokens, gates, prefix_len=windows.prefix_len, donors=donors)
            )
        slope = ((sides[1] - sides[0]) / 2e-5).detach().numpy()
        np.testing.assert_allclose(estimate.fall[layer, head], -slope, atol=1e-7)


def test_integrated_gradients_sum_to_ablating_everything(model: TransformerBridge) -> None:
    windows = random_windows(4, seed=3)
    everything = [(layer, head) for layer in range(4) for head in range(4)]
    # Not zero: a norm after the attention would undo the scale up to the very end (the module says so).
    ablation = ablation_by("mean")
    sets = ablate_sets(model, windows, [(), everything], ablation)
    fall = sets.log_prob[0] - sets.log_prob[1]
    few, many = (estimate_heads(model, windows, ablation, steps=steps).fall.sum(axis=(0, 1)) for steps in (4, 32))
    assert np.abs(many - fall).max() < 0.02 * np.abs(fall).max() + 0.01
    assert np.abs(many - fall).max() <= np.abs(few - fall).max()


def test_estimate_is_the_same_for_any_batch_size(models: dict[str, TransformerBridge]) -> None:
    windows = random_windows(5, seed=3)
    one, two = (
        estimate_heads(models["OLMo3"], windows, Ablation("resample", seed=4), batch_size=b).fall for b in (2, 5)
    )
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_estimate_leaves_no_gradients_behind(models: dict[str, TransformerBridge]) -> None:
    estimate_heads(models["Pythia"], random_windows(2, seed=1))
    assert all(p.grad is None for p in models["Pythia"].parameters())


def test_agreement_by_hand() -> None:
    # Four heads, two documents of one window each. Means: 3, 2, 1, 0 against 3, 1, 2, 0.
    one = np.array([[[3.0, 3.0], [2.0, 2.0]], [[1.0, 1.0], [0.0, 0.0]]])
    other = one.copy()
    other[0, 1], other[1, 0] = 1.0, 2.0
    result = agreement(one, other, documents=np.array(["a", "b"], dtype=object), share=0.5)
    # Rank differences 0, 1, 1, 0: 1 - 6 * 2 / (4 * 15) = 0.8. Top sets {0, 1} and {0, 2} share one of three.
    assert result.spearman.value == pytest.approx(0.8)
    assert result.jaccard.value == pytest.approx(1 / 3)
    # Two pairs from four: the same with 1/6 (Jaccard 1), one shared with 4/6 (1/3), none with 1/6.
    assert result.expected_jaccard == pytest.approx(1 / 6 + 4 / 6 / 3)
    assert result.n_heads == 4


def test_screening_finds_the_exact_top_set(models: dict[str, TransformerBridge]) -> None:
    model, windows = models["OLMo2"], random_windows(6, seed=5)
    exact = ablate_heads(model, windows)
    screened = screen_heads(model, windows)
    assert screened.top == tuple(exact.top(3))
    ablated = ~np.isnan(screened.exact.importance())
    np.testing.assert_allclose(screened.exact.importance()[ablated], exact.importance()[ablated], atol=1e-6)
    # Whoever was left out could not be in the top set, by the stated margin.
    left = screened.estimate.importance()[~ablated]
    assert (left + screened.margin < exact.importance()[screened.top[-1]]).all()
    frame = screened.to_frame()
    frame = frame[frame["metric"] == "log_prob"]
    assert frame[frame["in_top_set"]].groupby("by").size().to_dict() == {"ablation": 3, "gradient": 3}


def test_refusals(models: dict[str, TransformerBridge]) -> None:
    windows = random_windows(2, seed=1)
    with pytest.raises(AblationError, match="steps=0"):
        estimate_heads(models["Pythia"], windows, steps=0)
    with pytest.raises(ComparisonError, match="share=1.5"):
        screen_heads(models["Pythia"], windows, share=1.5)
    one = np.full((1, 2, 3), np.nan)
    with pytest.raises(ValueError, match="0 heads were measured in both"):
        agreement(one, np.zeros((1, 2, 3)), documents=np.array(["a"] * 3, dtype=object))
