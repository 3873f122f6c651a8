"""Every measurement refuses a model that computes NaN or infinite values, and says in which layer and window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.internal.ablation.cumulative import cumulative_ablation
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation
from interp.internal.ablation.screening import screen_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.comparison.attention_targets import attention_targets
from interp.internal.lens.logit_attribution import logit_attribution
from interp.internal.lens.logit_lens import logit_lens
from interp.internal.lens.tuned_lens import train_tuned_lens
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import substitute, substitute_sets
from interp.models.hooks import ActivationError, check_computed
from interp.models.loading import load_model

MEASUREMENTS: dict[str, Callable[[TransformerBridge, Windows], object]] = {
    "ablate_heads": ablate_heads,
    "ablate_sets": lambda model, windows: ablate_sets(model, windows, [[], [(1, 0)]]),
    "attention_targets": attention_targets,
    "cumulative_ablation": lambda model, windows: cumulative_ablation(model, windows, [(1, 0), (0, 1)]),
    "estimate_heads": estimate_heads,
    "logit_attribution": logit_attribution,
    "logit_lens": logit_lens,
    "perturb": lambda model, windows: perturb(model, windows, alphas=(0.1,)),
    "screen_heads": screen_heads,
    "substitute": lambda model, windows: substitute(model, windows, positions=[3], n_draws=1),
    "substitute_sets": lambda model, windows: substitute_sets(model, windows, {"two": [1, 2]}, n_draws=1),
    "train_tuned_lens": lambda model, windows: train_tuned_lens(model, windows, tested=other_windows(), n_steps=1),
}
EVERY = pytest.mark.parametrize("name", MEASUREMENTS)
SPOILED = 7
"""A token that no window has but one."""


def some_windows() -> Windows:
    ids = torch.randint(8, 2048, (4, 21), generator=torch.Generator().manual_seed(1))
    return Windows.from_tokens(ids, prefix_len=16)


def other_windows() -> Windows:
    return Windows.from_tokens(some_windows().tokens.flip(1), prefix_len=16)


@pytest.fixture(scope="module")
def model(checkpoints: dict[str, Path]) -> TransformerBridge:
    """A model of its own, which the tests spoil and restore."""
    return load_model(checkpoints["OLMo1"], device="cpu")


@pytest.fixture
def one_bad_token(model: TransformerBridge) -> Iterator[Windows]:
    windows = some_windows()
    windows.tokens[2, 5] = SPOILED
    weight = model.embed.original_component.weight.data
    whole = weight[SPOILED].clone()
    weight[SPOILED] = float("nan")
    yield windows
    weight[SPOILED] = whole


@pytest.fixture
def bad_layer(model: TransformerBridge) -> Iterator[str]:
    """The third layer's MLP adds infinities; named as its output."""
    weight = model.original_model.get_decoder().layers[2].mlp.down_proj.weight.data
    whole = weight.clone()
    weight.fill_(float("inf"))
    yield "blocks.2.hook_resid_post"
    weight.copy_(whole)


@EVERY
def test_the_window_is_named(model: TransformerBridge, one_bad_token: Windows, name: str) -> None:
    with pytest.raises(ActivationError, match=r"at blocks\.0\.\S+ on window 2;"):
        MEASUREMENTS[name](model, one_bad_token)


@EVERY
def test_the_layer_is_named(model: TransformerBridge, bad_layer: str, name: str) -> None:
    # Attention is the first to see what the layer below it gave.
    seen_at = {"attention_targets": "blocks.3.attn.hook_pattern"}
    with pytest.raises(ActivationError, match=f"at {seen_at.get(name, bad_layer)} on window"):
        MEASUREMENTS[name](model, some_windows())


def test_an_ablation_that_alone_fails_is_named(model: TransformerBridge, one_bad_token: Windows) -> None:
    """The model computes numbers on the tested windows; the head's stand-in, from the spoiled window, is none."""
    with pytest.raises(ActivationError, match="at the end of the model with a head of layer 0 ablated, on window 0;"):
        ablate_heads(model, other_windows(), Ablation("mean", reference=one_bad_token))
    with pytest.raises(ActivationError, match="with a head of layer 2 ablated, on window 0;"):
        ablate_heads(model, other_windows(), Ablation("mean", reference=one_bad_token), heads=[(2, 1)])


def test_an_outcome_of_a_sound_model_is_named_by_itself(model: TransformerBridge) -> None:
    windows = some_windows()
    outcome = torch.zeros(4, 2)
    check_computed(outcome, model, windows.tokens, name="the sum", windows=windows.window)
    outcome[3, 1] = np.inf
    with pytest.raises(ActivationError, match="at the sum on window 3;"):
        check_computed(outcome, model, windows.tokens, name="the sum", windows=windows.window)
