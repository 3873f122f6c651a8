"""What a sweep may hold in memory, and what follows for the rows of a pass and the slices of its logits."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.models.decoder import Decoder

MEMORY_BUDGET = 2**26
"""Bytes of activations that a sweep may hold at a time, unless a caller allows others; twice that where scores are
asked for, whose keys and values take the rest. More is slower on a CPU, whose caches it leaves; a GPU can take more."""


def budget(memory_budget: int | None, *, with_score: bool) -> int:
    """Bytes that may be held: what the caller allows, else the default."""
    if memory_budget is not None:
        return memory_budget
    return MEMORY_BUDGET * 2 if with_score else MEMORY_BUDGET


def rows_within(parts: Decoder, n_pos: int, n_bytes: int, *, activations: bool = True, n_stores: int = 0) -> int:
    """Rows that fit: with what a layer holds at a time, and with so many copies of all keys and values."""
    # The residual stream, the queries, keys and values, and an MLP of up to four times the width twice.
    per_position = 16 * parts.d_model if activations else 0
    per_position += n_stores * 2 * len(parts.layers) * parts.n_key_value_heads * parts.d_head
    return max(1, n_bytes // (n_pos * per_position * torch.finfo(parts.dtype).bits // 8))


@torch.no_grad()
def outcome(
    parts: Decoder,
    residual: Float[Tensor, "row continuation d_model"],
    truth: Int[Tensor, "row continuation"],
    *,
    n_bytes: int,
) -> tuple[Float[Tensor, " row"], Int[Tensor, "row continuation"]]:
    """Mean log-probability of the true tokens and the argmax, from the residual stream after the last layer.

    ``n_bytes`` is what the measurement may hold; the logits get a part of it.
    """
    # Small slices stay in the cache; but of a large vocabulary's weights too little is used each time they are read if
    # a slice has fewer than some 256 positions. Logits and their exponentials are held at a time.
    row_bytes = 2 * residual.shape[1] * parts.d_vocab * residual.element_size()
    n_rows = max(1, n_bytes // 8 // row_bytes, min(256 // residual.shape[1], n_bytes // 2 // row_bytes))
    log_probs, predicted = [], []
    for some, true in zip(residual.split(n_rows), truth.split(n_rows), strict=True):
        logits = parts.unembed(some)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        right = logits.gather(-1, true[..., None]).squeeze(-1)
        log_probs.append((right - logits.logsumexp(dim=-1)).double().mean(dim=-1))
        predicted.append(logits.argmax(dim=-1))
    return torch.cat(log_probs), torch.cat(predicted)
