"""Attention of a single query in two matrix products, for decoding steps.

On a CPU, torch's fused kernel reads the keys of a single query in small blocks, for one row and head after another. Two
batched products and a softmax take a third of the time if each head has its own keys and the rows of keys are
contiguous. Everything else uses Hugging Face's own function.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

WITHOUT_EFFECT = frozenset({"dropout", "position_ids", "position_embeddings", "use_cache", "sliding_window"})
"""Settings without effect here: there is no dropout in eval mode, and the mask contains the sliding window."""

SINGLE_QUERY = "sdpa_or_single_query"
"""Name of this attention for ``attn_implementation``."""


def single_query_attention(
    module: nn.Module,
    query: Float[Tensor, "batch head query_pos d_head"],
    key: Float[Tensor, "batch key_head key_pos d_head"],
    value: Float[Tensor, "batch key_head key_pos d_head"],
    attention_mask: Shaped[Tensor, "_ 1 query_pos key_pos"] | None,
    *,
    scaling: float | None = None,
    **settings: Any,
) -> tuple[Float[Tensor, "batch query_pos head d_head"], None]:
    """Same arguments, settings and results as ``sdpa_attention_forward``."""
    # Half precision would round the scores before the softmax. The fused kernel does not.
    exact = query.dtype in {torch.float32, torch.float64}
    known = all(value is None for name, value in settings.items() if name not in WITHOUT_EFFECT)
    if query.shape[2] != 1 or query.device.type != "cpu" or not exact or not known:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **settings)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    grouped = rearrange(query, "batch (key_head group) 1 d_head -> batch key_head group d_head", key_head=key.shape[1])
    scores = (grouped * scale) @ key.mT
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    z = scores.softmax(dim=-1) @ value
    return rearrange(z, "batch key_head group d_head -> batch 1 (key_head group) d_head"), None


def layer_kinds(config: PretrainedConfig) -> list[str]:
    """Kind of each layer: ``full_attention``, or ``sliding_attention`` to the last ``attention_window`` keys.

    A configuration with a window but without kinds of layers slides in all layers (Mistral, Mixtral, Phi-3).
    """
    if getattr(config, "layer_types", None):
        return list(config.layer_types)
    if config.model_type == "gpt_neo":
        return ["sliding_attention" if kind == "local" else "full_attention" for kind in config.attention_layers]
    slides = attention_window(config) is not None
    return ["sliding_attention" if slides else "full_attention"] * config.num_hidden_layers


def attention_window(config: PretrainedConfig) -> int | None:
    """Number of keys that a sliding layer sees, the query's own included; None if there is no window."""
    return config.window_size if config.model_type == "gpt_neo" else getattr(config, "sliding_window", None)


AttentionInterface.register(SINGLE_QUERY, single_query_attention)
AttentionMaskInterface.register(SINGLE_QUERY, sdpa_mask)
