"""A restart is the whole run, from every layer, in every architecture and the odd configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import write_checkpoint
from restart import residual_before, run_after_attention, run_from
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPTNeoXConfig, LlamaConfig, Olmo3Config, PretrainedConfig

from interp.data.windows import Windows
from interp.engine.take_apart import RestartError, take_apart
from interp.models.hooks import activations, hook_name, logits
from interp.models.loading import load_model
from interp.planted.corpus import planted_windows
from interp.planted.shapes import SMALL_FAMILIES, small_config, small_model_name

SHAPE = dict(
    vocab_size=2048,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=0,
)
ODD: dict[str, PretrainedConfig] = {
    "sequential GPT-NeoX": GPTNeoXConfig(**SHAPE, use_parallel_residual=False, tie_word_embeddings=False),
    "tied Llama, one key/value head": LlamaConfig(**SHAPE, tie_word_embeddings=True, num_key_value_heads=1),
    "Olmo3, one full layer first": Olmo3Config(
        **SHAPE,
        num_key_value_heads=2,
        sliding_window=5,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
    ),
}


def restarts(model: TransformerBridge, windows: Windows) -> float:
    """Largest difference in log-probability between the whole model and a restart before any layer."""
    tokens = windows.tokens[:4]
    whole = logits(model, tokens).log_softmax(-1)
    before = [hook_name("hook_resid_pre", layer) for layer in range(model.cfg.n_layers)]
    stored = activations(model, tokens, before)
    errors = []
    for layer, name in enumerate(before):
        again = run_from(model, layer, stored[name]).log_softmax(-1)
        assert torch.equal(again.argmax(-1), whole.argmax(-1))
        errors.append(float((again - whole).abs().max().detach()))
    return max(errors)


def test_restart_is_the_whole_run_in_float32(model: TransformerBridge, windows: Windows) -> None:
    assert restarts(model, windows) < 1e-4


def test_restart_is_the_whole_run_in_float64(checkpoints: dict[str, Path], family: str, windows: Windows) -> None:
    assert restarts(load_model(checkpoints[family], device="cpu", dtype=torch.float64), windows) < 1e-10


@pytest.mark.parametrize("name", ODD)
def test_odd_configurations(name: str, tmp_path: Path, windows: Windows) -> None:
    path = write_checkpoint(ODD[name], tmp_path)
    assert restarts(load_model(path, device="cpu", dtype=torch.float64), windows) < 1e-10


def test_stored_residuals_are_the_models(model: TransformerBridge, windows: Windows) -> None:
    tokens = windows.tokens[:3]
    for layer in range(model.cfg.n_layers):
        name = hook_name("hook_resid_pre", layer)
        torch.testing.assert_close(
            residual_before(model, layer, tokens), activations(model, tokens, [name])[name], atol=1e-5, rtol=1e-5
        )


def test_kept_positions_and_the_empty_restart(model: TransformerBridge, windows: Windows) -> None:
    tokens = windows.tokens[:3]
    whole = logits(model, tokens)[:, 31:63]
    for layer in (0, model.cfg.n_layers - 1, model.cfg.n_layers):
        kept = run_from(model, layer, residual_before(model, layer, tokens), keep=slice(31, 63))
        torch.testing.assert_close(kept, whole, atol=1e-4, rtol=1e-4)


def test_head_outputs_are_hook_z(model: TransformerBridge, windows: Windows) -> None:
    tokens = windows.tokens[:3]
    names = [hook_name("hook_z", layer) for layer in range(model.cfg.n_layers)]
    theirs = activations(model, tokens, names)
    for ours, name in zip(take_apart(model).head_outputs(tokens), names, strict=True):
        torch.testing.assert_close(ours, theirs[name], atol=1e-5, rtol=1e-5)


def test_after_attention(model: TransformerBridge, windows: Windows) -> None:
    tokens = windows.tokens[:3]
    whole = logits(model, tokens)
    for layer in range(model.cfg.n_layers):
        residual = residual_before(model, layer, tokens)
        block = model.blocks[layer]
        z = activations(model, tokens, [hook_name("hook_z", layer)])[hook_name("hook_z", layer)]
        attention = block.attn.o.original_component(z.flatten(2))
        attention = block.ln1_post.original_component(attention) if hasattr(block, "ln1_post") else attention
        torch.testing.assert_close(run_after_attention(model, layer, residual, attention), whole, atol=1e-4, rtol=1e-4)


def test_no_such_layer(model: TransformerBridge, windows: Windows) -> None:
    residual = residual_before(model, 0, windows.tokens[:1])
    with pytest.raises(ValueError, match="layers 0 to 3; cannot run from layer 9"):
        run_from(model, 9, residual)


def test_a_model_that_does_not_come_apart_is_refused(tmp_path: Path) -> None:
    model = load_model(write_checkpoint(small_config("OpenLLaMA", "0.2m"), tmp_path), device="cpu")

    def shift(activation: torch.Tensor, hook: object = None) -> torch.Tensor:
        return activation + 1.0

    hooked = model.hooks(fwd_hooks=[("blocks.1.mlp.hook_out", shift)])
    with hooked, pytest.raises(RestartError, match=r"is hooked at blocks\.1\.hook_mlp_out"):
        take_apart(model)
    # A wrapper that does more than what it wraps: its blocks do not show it.
    model.blocks[2].mlp.hook_out.forward = shift
    with pytest.raises(RestartError, match="differs"):
        take_apart(model)


@pytest.mark.parametrize("family", list(SMALL_FAMILIES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_differs_by_its_rounding_alone(family: str, dtype: torch.dtype) -> None:
    model = load_model(small_model_name(family, "0.2m"), dtype=dtype, device="cpu")
    exact = load_model(small_model_name(family, "0.2m"), device="cpu")
    tokens = planted_windows(sets=["planted-256"], per_set=1).tokens
    begun = residual_before(exact, 2, tokens)
    wanted = run_from(exact, 2, begun)
    found = run_from(model, 2, begun.to(dtype)).float()
    # The restart adds no error of its own: it is as far from float32 as the whole half-precision model is.
    whole = (logits(model, tokens).float() - wanted).norm()
    assert 0 < (found - wanted).norm() <= 1.5 * whole
