"""Taking a model apart: from a bridge to its layers, checked against the whole."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

from interp.errors import InterpError
from interp.models.attention import SINGLE_QUERY
from interp.models.decoder import Decoder, Layer
from interp.models.hooks import logits


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

_DECODERS: WeakKeyDictionary[TransformerBridge, Decoder] = WeakKeyDictionary()


def decoder(model: TransformerBridge) -> Decoder:
    """The model taken apart, checked against the whole model on a probe; made once for each model.

    Raises:
        RestartError: the parts do not give the whole model's logits.
    """
    if model not in _DECODERS:
        # In float64 the bridge's attention matters to the last digits: for some architectures it is the model's own
        # code, whose softmax is in float32, for others its own. Whichever the whole model agrees with is taken.
        variants = (True, False) if model.cfg.dtype == torch.float64 else (True,)
        error, parts = min(
            ((_disagreement(parts, model), parts) for parts in (_take_apart(model, fused=fused) for fused in variants)),
            key=lambda pair: pair[0],
        )
        tolerance = (
            1e-5 if parts.dtype in {torch.float32, torch.float64} else HALF_ROUNDING * torch.finfo(parts.dtype).eps
        )
        if not error <= tolerance:
            raise RestartError(
                f"{model.cfg.model_name} taken apart differs from the whole model by {error:.2g} of its logits "
                f"(at most {tolerance:.2g}); its blocks are built in a way that interp.models.take_apart does not know"
            )
        _DECODERS[model] = parts
    return _DECODERS[model]


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


@torch.no_grad()
def _disagreement(parts: Decoder, model: TransformerBridge) -> float:
    n_pos = min(model.cfg.n_ctx, 64)
    probe = torch.randint(model.cfg.d_vocab, (1, n_pos), generator=torch.Generator().manual_seed(0)).to(parts.device)
    ours = parts.unembed(parts.run_from(0, parts.embed(probe), parts.positions(0, n_pos)))
    whole = logits(model, probe)
    error = (ours.double() - whole.double()).norm() / whole.double().norm()
    return float(error.nan_to_num(torch.inf))
