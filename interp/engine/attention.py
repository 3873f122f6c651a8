"""Attention of a single query, as each step of decoding has it, in two matrix products.

On a CPU torch's fused kernel takes a single query's keys one small block at a time, one row and head after another; two
batched products and a softmax do the same in a third of the time where each head has its own keys and these lie one
row after the other. Everything else goes to Hugging Face's own function.
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
"""Settings that change nothing here: a model in eval mode drops nothing out, and the mask holds the sliding window."""

SINGLE_QUERY = "sdpa_or_single_query"
"""The name of this attention, for ``attn_implementation``."""


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
    """Attend as ``sdpa_attention_forward`` does; its arguments, settings and results."""
    # Half precision would round the scores before the softmax; the fused kernel does not.
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
    """What each layer attends to: ``full_attention``, or the last ``attention_window`` keys, ``sliding_attention``.

    A configuration that has a window but does not name its layers slides in all of them (Mistral, Mixtral, Phi-3).
    """
    if getattr(config, "layer_types", None):
        return list(config.layer_types)
    if config.model_type == "gpt_neo":
        return ["sliding_attention" if kind == "local" else "full_attention" for kind in config.attention_layers]
    slides = attention_window(config) is not None
    return ["sliding_attention" if slides else "full_attention"] * config.num_hidden_layers


def attention_window(config: PretrainedConfig) -> int | None:
    """How many keys a sliding layer sees, the query's own among them; None where there is no window."""
    return config.window_size if config.model_type == "gpt_neo" else getattr(config, "sliding_window", None)


AttentionInterface.register(SINGLE_QUERY, single_query_attention)
AttentionMaskInterface.register(SINGLE_QUERY, sdpa_mask)
