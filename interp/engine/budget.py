"""Memory budget of a measurement, and the number of rows per pass that fits it."""

from __future__ import annotations

import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import check_number
from interp.engine.blocks import Blocks
from interp.sizes import Size, in_bytes

MEMORY_BUDGET = 2**26
"""Default bytes of activations that a sweep may hold at a time. Doubled if scores are measured, for their keys and
values. More is slower on a CPU, because it exceeds the caches. A GPU can take more."""


def budget(memory_budget: Size | None, *, with_score: bool) -> int:
    """Bytes that may be held: the caller's budget or the default."""
    if memory_budget is not None:
        return in_bytes(memory_budget)
    return MEMORY_BUDGET * 2 if with_score else MEMORY_BUDGET


def rows_within(blocks: Blocks, n_pos: int, n_bytes: int, *, activations: bool = True, n_stores: int = 0) -> int:
    """Rows that fit, given the activations of one layer and ``n_stores`` copies of all keys and values."""
    # The residual stream, the queries, keys and values, and an MLP of up to four times the width twice.
    per_position = 16 * blocks.d_model if activations else 0
    per_position += n_stores * 2 * len(blocks.layers) * blocks.n_key_value_heads * blocks.d_head
    return max(1, n_bytes // (n_pos * per_position * torch.finfo(blocks.dtype).bits // 8))


def rows_at_once(
    model: TransformerBridge,
    n_pos: int,
    batch_size: int,
    memory_budget: Size | None,
    *,
    residuals: int = 0,
    stores: int = 1,
    patterns: int = 1,
    unembedded: int = 0,
) -> int:
    """Rows per pass: the batch size, or fewer if the budget requires it, but at least one.

    Args:
        model: the model.
        n_pos: tokens per row.
        batch_size: upper bound of the rows.
        memory_budget: approximate bytes of activations to hold at a time. Default: unlimited.
        residuals: vectors of ``d_model`` kept at every position, beside the activations of one layer.
        stores: copies of all keys and values.
        patterns: number of layers whose attention patterns are held together.
        unembedded: positions per row whose logits are held, times copies.

    Raises:
        WindowError: the batch size is below 1.
        SizeError: the budget is not a size.
    """
    check_number("batch_size", batch_size)
    if memory_budget is None:
        return batch_size
    cfg = model.cfg
    # The residual stream, the queries, keys and values, and an MLP of up to four times the width twice.
    values = n_pos * (16 + residuals) * cfg.d_model
    values += stores * n_pos * 2 * cfg.n_layers * (cfg.n_key_value_heads or cfg.n_heads) * cfg.d_head
    values += patterns * cfg.n_heads * n_pos**2 + unembedded * cfg.d_vocab
    return min(batch_size, max(1, in_bytes(memory_budget) // (values * cfg.dtype.itemsize)))
