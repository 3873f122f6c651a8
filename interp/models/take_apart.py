"""Taking a model apart: from a bridge to its layers, checked against the whole."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

from interp.errors import InterpError
from interp.models.attention import SINGLE_QUERY
from interp.models.decoder import Decoder, Layer
from interp.models.hooks import attached_hooks, logits
from interp.models.verify import relative_error


class RestartError(InterpError, RuntimeError):
    """A model whose layers, taken apart, do not give what the whole model gives."""


def _bare(module: nn.Module, config: Any, projection: nn.Module | None = None) -> nn.Module:
    """The module without the bridge's wrappers, sharing its weights; ``projection`` inside it is left out."""
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
    return bare


HALF_ROUNDING = 8
"""Relative error of a half-precision model's logits that is rounding, in units of its type. On 8 layers fused and
stepwise attention were 0.7 apart, and so were either and float32."""


def random_probe(model: TransformerBridge, n_pos: int) -> Int[Tensor, "1 pos"]:
    """One window of fixed random ids."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(model.cfg.d_vocab, (1, n_pos), generator=generator, device="cpu")


@torch.no_grad()
def decoder(model: TransformerBridge, probe: Int[Tensor, "batch pos"] | None = None) -> Decoder:
    """The model taken apart as it is now, checked against the whole model.

    Made anew for each measurement, since a model may have changed since the last one: layers swapped, weights folded.

    Args:
        model: a booted model.
        probe: one or two of the windows that are to be measured, at their whole length: a window of attention may act
            beyond the first positions only. Up to 64 random tokens unless given.

    Raises:
        RestartError: something is hooked to the model, or the parts do not give the whole model's logits.
    """
    hooks = attached_hooks(model)
    if hooks:
        raise RestartError(
            f"{model.cfg.model_name} is hooked at {', '.join(hooks)}, and hooks do not act on a model that is taken "
            "apart: remove them (model.reset_hooks()), or ablate heads by interp.internal.ablation_reference"
        )
    tokens = (random_probe(model, min(model.cfg.n_ctx, 64)) if probe is None else probe).to(model.cfg.device)
    whole = logits(model, tokens)
    # In float64 the bridge's attention matters to the last digits: for some architectures it is the model's own
    # code, whose softmax is in float32, for others its own. Whichever the whole model agrees with is taken.
    variants = (True, False) if model.cfg.dtype == torch.float64 else (True,)
    candidates = [_take_apart(model, fused=fused) for fused in variants]
    error, parts = min(((_disagreement(parts, tokens, whole), parts) for parts in candidates), key=lambda pair: pair[0])
    tolerance = 1e-5 if parts.dtype in {torch.float32, torch.float64} else HALF_ROUNDING * torch.finfo(parts.dtype).eps
    if not error <= tolerance:
        raise RestartError(
            f"{model.cfg.model_name} taken apart differs from the whole model by {error:.2g} of its logits "
            f"(at most {tolerance:.2g}); its blocks are built in a way that interp.models.take_apart does not know"
        )
    return parts


def _take_apart(model: TransformerBridge, *, fused: bool) -> Decoder:
    config = copy.copy(model.original_model.config)
    config._attn_implementation = SINGLE_QUERY if fused else "eager"
    kinds: Sequence[str] = getattr(config, "layer_types", None) or ["full_attention"] * model.cfg.n_layers

    def part(owner: nn.Module, name: str) -> nn.Module:
        return _bare(getattr(owner, name), config) if hasattr(owner, name) else nn.Identity()

    def layer(block: Any, kind: str) -> Layer:
        attention, project = block.attn.original_component, part(block.attn, "o")
        if not isinstance(project, nn.Linear):
            raise RestartError(f"{model.cfg.model_name} has no linear output projection after its heads: {project}")
        return Layer(
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
        raise RestartError(f"{model.cfg.model_name} has no linear unembedding: {unembed}")
    return Decoder(
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
        sliding_window=getattr(config, "sliding_window", None),
        fused=fused,
    )


def _disagreement(parts: Decoder, tokens: Int[Tensor, "batch pos"], whole: Float[Tensor, "batch pos d_vocab"]) -> float:
    ours = parts.unembed(parts.run_from(0, parts.embed(tokens), parts.positions(0, tokens.shape[1])))
    return relative_error(ours, whole)
