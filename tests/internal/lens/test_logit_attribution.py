"""Shares of the logit: they sum to it, and each is what removing that part alone would take away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_windows
from torch import nn
from transformer_lens.model_bridge import TransformerBridge

from interp.internal.lens.logit_attribution import AttributionError, _through, logit_attribution
from interp.models.hooks import activations, logits
from interp.models.loading import load_model


def test_shares_sum_to_the_models_logit(model: TransformerBridge) -> None:
    windows = random_windows(5, seed=1)
    result = logit_attribution(model, windows, batch_size=2)
    whole = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1]
    true = whole.gather(-1, windows.continuation[..., None]).squeeze(-1).detach().numpy()
    np.testing.assert_allclose(result.logit, true, atol=1e-4)
    np.testing.assert_allclose(result.total(), true, atol=1e-4)


def test_shares_sum_in_float64(checkpoints: dict[str, Path], family: str) -> None:
    """The norms of the real models compute in float32 even here, hence no closer for those with an RMS norm."""
    model = load_model(checkpoints[family], device="cpu", dtype=torch.float64)
    result = logit_attribution(model, random_windows(3, seed=1))
    tolerance = 1e-10 if family in {"Pythia", "StarCoder"} else 1e-5
    np.testing.assert_allclose(result.total(), result.logit, atol=tolerance)


def test_shares_by_the_plain_formula(models: dict[str, TransformerBridge]) -> None:
    """In a pre-norm model: the part through the final norm at the run's scale, then the unembedding, by the bridge."""
    model, windows = models["OpenLLaMA"], random_windows(3, seed=2)
    names = ["blocks.1.attn.hook_z", "blocks.2.hook_mlp_out", "hook_embed", "blocks.3.hook_resid_post"]
    seen = activations(model, windows.tokens, names)
    norm = model.ln_final.original_component
    scale = seen["blocks.3.hook_resid_post"].pow(2).mean(-1, keepdim=True).add(norm.variance_epsilon).rsqrt()
    weight = model.blocks[1].attn.o.original_component.weight
    head = seen["blocks.1.attn.hook_z"][:, :, 2] @ weight[:, 32:48].T
    unembed = model.unembed.original_component.weight
    result = logit_attribution(model, windows)
    for ours, part in (
        (result.head[1, 2], head),
        (result.mlp[2], seen["blocks.2.hook_mlp_out"]),
        (result.embedding, seen["hook_embed"]),
    ):
        through = (part * scale * norm.weight)[:, windows.prefix_len - 1 : -1]
        by_hand = (through * unembed[windows.continuation]).sum(-1).detach().numpy()
        np.testing.assert_allclose(ours, by_hand, atol=1e-5)


def test_where_there_is_nothing_the_share_is_zero(models: dict[str, TransformerBridge]) -> None:
    result = logit_attribution(models["OLMo2"], random_windows(2, seed=1))
    assert not result.position.any()
    assert not result.attention_bias.any()
    learned = logit_attribution(models["StarCoder"], random_windows(2, seed=1))
    assert learned.position.any()
    assert learned.attention_bias.any()


def test_table(models: dict[str, TransformerBridge]) -> None:
    result = logit_attribution(models["Pythia"], random_windows(6, seed=1))
    frame = result.to_frame()
    parts = frame[frame["part"] != "logit"]
    assert len(parts) == 3 + 4 * (4 + 2)
    assert parts["value"].sum() == pytest.approx(frame.loc[frame["part"] == "logit", "value"].item(), abs=1e-4)


def test_an_unknown_norm_is_refused() -> None:
    class Cubed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x**3

    x = torch.randn(2, 3, 8)
    with pytest.raises(AttributionError, match="Cubed is neither"):
        _through(Cubed(), x, x)


def test_layer_norm_pulled_back() -> None:
    norm = nn.LayerNorm(8)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x, direction = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    pulled, constant = _through(norm, x, direction)
    torch.testing.assert_close((pulled * x).sum(-1) + constant, (direction * norm(x)).sum(-1), atol=1e-5, rtol=1e-5)


def test_half_precision_is_refused(checkpoints: dict[str, Path]) -> None:
    model = load_model(checkpoints["OLMo2"], device="cpu", dtype=torch.bfloat16)
    with pytest.raises(AttributionError, match="float32"):
        logit_attribution(model, random_windows(2, seed=1))
