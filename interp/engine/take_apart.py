"""Takes a model apart: from a bridge to its blocks, checked against the whole model."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent
from transformers.pytorch_utils import Conv1D

from interp.engine.attention import SINGLE_QUERY, attention_window, layer_kinds
from interp.engine.blocks import Block, Blocks
from interp.engine.key_values import KeyValues
from interp.errors import InterpError
from interp.models.hooks import attached_hooks, logits
from interp.models.verify import relative_error


class RestartError(InterpError, RuntimeError):
    """The model's blocks do not give the result of the whole model."""


def _bare(module: nn.Module, config: Any, projection: nn.Module | None = None) -> nn.Module:
    """The module without the bridge's wrappers and without ``projection``. Weights are shared."""
    while isinstance(module, GeneralizedComponent):
        module = module.original_component
    if module is projection:
        return nn.Identity()
    bare = copy.copy(module)
    bare._forward_hooks, bare._forward_pre_hooks = OrderedDict(), OrderedDict()
    bare._modules = {
        name: None if child is None else _bare(child, config, projection) for name, child in module._modules.items()
    }
    if hasattr(module, "config"):
        bare.config = config
    mask = module._buffers.get("bias")
    if mask is not None and mask.dtype == torch.bool:
        # GPT-Neo's own mask assumes that the last key is the query's own. That is wrong if keys are stored ahead. The
        # mask of ``Blocks.positions`` is by position and suffices.
        bare._buffers = {**module._buffers, "bias": torch.ones(1, dtype=torch.bool, device=mask.device).expand_as(mask)}
    return bare


def _linear(module: nn.Module) -> nn.Module:
    """A linear map with the same weights. GPT-2's projections store the transposed weight."""
    if not isinstance(module, Conv1D):
        return module
    d_in, d_out = module.weight.shape
    linear = nn.Linear(d_in, d_out, device="meta")
    linear.weight, linear.bias = nn.Parameter(module.weight.T, requires_grad=False), module.bias
    return linear


HALF_ROUNDING = 8
"""Relative error of a half-precision model's logits that counts as rounding, in units of its type. With 8 layers, fused
and stepwise attention differed by 0.7, and so did each of them and float32."""


def random_probe(model: TransformerBridge, n_pos: int) -> Int[Tensor, "1 pos"]:
    """One window of fixed random ids."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(model.cfg.d_vocab, (1, n_pos), generator=generator, device="cpu")


@torch.no_grad()
def take_apart(
    model: TransformerBridge, probe: Int[Tensor, "batch pos"] | None = None, *, fused: bool = True
) -> Blocks:
    """Take the model apart in its present state, and check the result against the whole model.

    Call this for each measurement: a model may have changed since the last one (layers swapped, weights folded).

    Args:
        model: a booted model.
        probe: one or two of the windows to be measured, at full length: an attention window may act only beyond the
            first positions. Default: up to 64 random tokens.
        fused: whether to use torch's fused attention kernel if it agrees. False: the model's own code, step by step,
            which also gives the attention pattern.

    Raises:
        RestartError: the model has hooks, or the blocks do not give the whole model's logits.
    """
    hooks = attached_hooks(model)
    if hooks:
        raise RestartError(
            f"{model.cfg.model_name} is hooked at {', '.join(hooks)}, and hooks do not act on a model that is taken "
            "apart: remove them (model.reset_hooks()), or use the slow reference, ablate_heads_plainly of "
            "interp.internal.ablation.reference"
        )
    tokens = (random_probe(model, min(model.cfg.n_ctx, 64)) if probe is None else probe).to(model.cfg.device)
    whole = logits(model, tokens)
    # In float64 the choice of attention matters in the last digits. For some architectures the bridge uses the model's
    # own code, with a float32 softmax, for others its own. The variant that agrees with the whole model is used.
    own = model.cfg.dtype == torch.float64 or model.original_model.config.model_type == "gpt_neo"
    variants = ((True, False) if own else (True,)) if fused else (False,)
    try:
        candidates = [_take_apart(model, fused=fused) for fused in variants]
        errors = [_disagreement(blocks, tokens, whole) for blocks in candidates]
    except RestartError:
        raise
    except Exception as failed:
        raise RestartError(
            f"{model.cfg.model_name} ({type(model.original_model).__name__}) cannot be taken apart, which measurements "
            f"of single heads need: {type(failed).__name__}: {' '.join(str(failed).split())[:200]}"
        ) from failed
    error, blocks = min(zip(errors, candidates, strict=True), key=lambda pair: pair[0])
    tolerance = (
        1e-5 if blocks.dtype in {torch.float32, torch.float64} else HALF_ROUNDING * torch.finfo(blocks.dtype).eps
    )
    if not error <= tolerance:
        raise RestartError(
            f"{model.cfg.model_name} taken apart differs from the whole model by {error:.2g} of its logits "
            f"(at most {tolerance:.2g}); its blocks are built in a way that interp.engine.take_apart does not know"
        )
    return blocks


def _take_apart(model: TransformerBridge, *, fused: bool) -> Blocks:
    config = copy.copy(model.original_model.config)
    config._attn_implementation = SINGLE_QUERY if fused else "eager"
    kinds = layer_kinds(config)

    def part(owner: nn.Module, name: str) -> nn.Module:
        return _bare(getattr(owner, name), config) if hasattr(owner, name) else nn.Identity()

    def layer(block: Any, kind: str) -> Block:
        attention, project = block.attn.original_component, _linear(part(block.attn, "o"))
        if not isinstance(project, nn.Linear):
            raise RestartError(
                f"{model.cfg.model_name} has no plain linear projection after its heads: {type(project).__name__}"
            )
        return Block(
            norm1=part(block, "ln1"),
            attention=_bare(attention, config, projection=block.attn.o.original_component),
            project=project,
            post_norm1=part(block, "ln1_post"),
            norm2=part(block, "ln2"),
            mlp=part(block, "mlp"),
            post_norm2=part(block, "ln2_post"),
            parallel=bool(getattr(block.original_component, "use_parallel_residual", False)),
            kind=kind,
            store_argument=(
                "layer_past" if "layer_past" in inspect.signature(attention.forward).parameters else "past_key_values"
            ),
        )

    unembed = part(model, "unembed")
    if not isinstance(unembed, nn.Linear):
        raise RestartError(f"{model.cfg.model_name} has no plain linear unembedding: {type(unembed).__name__}")
    return Blocks(
        layers=tuple(layer(block, kind) for block, kind in zip(model.blocks, kinds, strict=True)),
        embed_module=part(model, "embed"),
        position_module=part(model, "pos_embed") if hasattr(model, "pos_embed") else None,
        rotary_module=part(model, "rotary_emb") if hasattr(model, "rotary_emb") else None,
        final_norm=part(model, "ln_final"),
        unembed_module=unembed,
        n_heads=model.cfg.n_heads,
        n_key_value_heads=model.cfg.n_key_value_heads or model.cfg.n_heads,
        d_head=model.cfg.d_head,
        d_model=model.cfg.d_model,
        d_vocab=model.cfg.d_vocab,
        sliding_window=attention_window(config),
        fused=fused,
    )


def _disagreement(blocks: Blocks, tokens: Int[Tensor, "batch pos"], whole: Float[Tensor, "batch pos d_vocab"]) -> float:
    """Larger relative error of two passes: a whole one, and one position after stored keys with room behind it."""
    n_pos = tokens.shape[1]
    n = max(1, n_pos - 2)
    together = blocks.unembed(blocks.run_from(0, blocks.embed(tokens), blocks.positions(0, n_pos)))
    store = KeyValues(len(tokens), n_pos)
    store.aim(slice(0, len(tokens)), 0, n)
    blocks.run_from(0, blocks.embed(tokens[:, :n]), blocks.positions(0, n), store=store)
    store.aim(slice(0, len(tokens)), n, n_pos)
    after = blocks.positions(n, n + 1, n_keys=n_pos)
    step = blocks.unembed(blocks.run_from(0, blocks.embed(tokens[:, n : n + 1], n), after, store=store))
    return max(relative_error(together, whole), relative_error(step, whole[:, n : n + 1]))
