"""What a measurement may hold in memory, and what follows for the rows of a pass."""

from __future__ import annotations

import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import check_number
from interp.engine.blocks import Blocks
from interp.sizes import Size, in_bytes

MEMORY_BUDGET = 2**26
"""Bytes of activations that a sweep may hold at a time, unless a caller allows others; twice that where scores are
asked for, whose keys and values take the rest. More is slower on a CPU, whose caches it leaves; a GPU can take more."""


def budget(memory_budget: Size | None, *, with_score: bool) -> int:
    """Bytes that may be held: what the caller allows, else the default."""
    if memory_budget is not None:
        return in_bytes(memory_budget)
    return MEMORY_BUDGET * 2 if with_score else MEMORY_BUDGET


def rows_within(blocks: Blocks, n_pos: int, n_bytes: int, *, activations: bool = True, n_stores: int = 0) -> int:
    """Rows that fit: with what a layer holds at a time, and with so many copies of all keys and values."""
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
    """Rows of a pass: the batch size, or as many fewer as a budget asks for, at least one.

    Args:
        model: the model.
        n_pos: tokens of a row.
        batch_size: rows unless the budget allows fewer.
        memory_budget: bytes of activations to hold at a time, roughly; as many as the batch needs unless given.
        residuals: vectors of ``d_model`` that are kept at every position, beside what one layer holds.
        stores: copies of all keys and values.
        patterns: layers whose attention patterns are held together.
        unembedded: positions of a row whose logits are held, times copies.

    Raises:
        WindowError: a batch size below 1.
        SizeError: a budget that is no size.
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
