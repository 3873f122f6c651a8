"""What a sweep may hold in memory, and what follows for the rows of a pass."""

from __future__ import annotations

import torch

from interp.engine.blocks import Blocks

MEMORY_BUDGET = 2**26
"""Bytes of activations that a sweep may hold at a time, unless a caller allows others; twice that where scores are
asked for, whose keys and values take the rest. More is slower on a CPU, whose caches it leaves; a GPU can take more."""


def budget(memory_budget: int | None, *, with_score: bool) -> int:
    """Bytes that may be held: what the caller allows, else the default."""
    if memory_budget is not None:
        return memory_budget
    return MEMORY_BUDGET * 2 if with_score else MEMORY_BUDGET


def rows_within(blocks: Blocks, n_pos: int, n_bytes: int, *, activations: bool = True, n_stores: int = 0) -> int:
    """Rows that fit: with what a layer holds at a time, and with so many copies of all keys and values."""
    # The residual stream, the queries, keys and values, and an MLP of up to four times the width twice.
    per_position = 16 * blocks.d_model if activations else 0
    per_position += n_stores * 2 * len(blocks.layers) * blocks.n_key_value_heads * blocks.d_head
    return max(1, n_bytes // (n_pos * per_position * torch.finfo(blocks.dtype).bits // 8))
