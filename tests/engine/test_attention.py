"""The attention of a single query is Hugging Face's own, whatever the heads share and whatever is masked."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from interp.engine.attention import single_query_attention


class Attention(nn.Module):
    """What the function asks of a layer."""

    is_causal = True

    def __init__(self, n_groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = n_groups


def tensors(n_heads: int, n_key_heads: int, n_queries: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = (3, n_heads, n_queries, 5), (3, n_key_heads, 9, 5), (3, n_key_heads, 9, 5)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)


@pytest.mark.parametrize("n_key_heads", [6, 2, 1])
@pytest.mark.parametrize("masked", ["no", "all rows alike", "row by row"])
@pytest.mark.parametrize("boolean", [False, True])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_equals_the_fused_kernel(n_key_heads: int, masked: str, scaling: float | None, boolean: bool) -> None:
    query, key, value = tensors(6, n_key_heads, 1, torch.float64)
    hidden = torch.zeros(1 if masked == "all rows alike" else 3, 1, 1, 9, dtype=torch.bool)
    hidden[..., 6:] = True
    if masked == "row by row":
        hidden[1, ..., 2:] = True
    mask = None if masked == "no" else torch.zeros(hidden.shape).double().masked_fill(hidden, torch.finfo().min)
    if mask is not None and boolean:
        mask = ~hidden
    module = Attention(6 // n_key_heads)
    ours, _ = single_query_attention(module, query, key, value, mask, scaling=scaling)
    theirs, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=scaling)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    if mask is not None:
        # What is masked is of no account.
        changed, _ = single_query_attention(
            module, query, key, value.index_fill(2, torch.tensor([7, 8]), 1e6), mask, scaling=scaling
        )
        torch.testing.assert_close(changed, ours, rtol=0, atol=0)


@pytest.mark.parametrize(("n_queries", "dtype"), [(4, torch.float64), (1, torch.bfloat16)])
def test_anything_else_is_left_to_hugging_face(n_queries: int, dtype: torch.dtype) -> None:
    query, key, value = tensors(6, 6, n_queries, dtype)
    key, value = key[:, :, :n_queries], value[:, :, :n_queries]
    ours, _ = single_query_attention(Attention(1), query, key, value, None)
    theirs, _ = sdpa_attention_forward(Attention(1), query, key, value, None)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_setting_that_is_not_known_is_left_to_hugging_face() -> None:
    query, key, value = tensors(6, 6, 1, torch.float64)
    with pytest.raises(ValueError, match="softcap"):
        single_query_attention(Attention(1), query, key, value, None, softcap=30.0)
    known, _ = single_query_attention(Attention(1), query, key, value, None, dropout=0.0, sliding_window=4)
    theirs, _ = sdpa_attention_forward(Attention(1), query, key, value, None)
    torch.testing.assert_close(known, theirs, rtol=0, atol=1e-13)
