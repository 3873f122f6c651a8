"""Teacher-forced predictions and greedy decoding with a key/value cache: what every score rests on.

Both run the decoder without its head and unembed only the positions that are asked for; for long prefixes and
large vocabularies that is most of the work saved.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

NEAR_TIE = 1e-4
"""Margin of a near tie, in logits: below it the order of the top two can change with the shape of a batch."""


class DecodingError(RuntimeError):
    """Logits from which no token can be chosen."""


@dataclass(frozen=True)
class Choice:
    """The greedy choice at each position that was unembedded."""

    token: Int[Tensor, "batch chosen"]
    """The token of the largest logit; the lowest id where several share it, as ``argmax`` has it."""
    near_tie: Bool[Tensor, "batch chosen"]
    """Whether the second logit is within ``NEAR_TIE`` of the first."""
    finite: Bool[Tensor, "batch chosen"]
    """False where a logit is NaN or the largest is infinite: the choice means nothing there."""


def choose(logits: Float[Tensor, "batch chosen d_vocab"]) -> Choice:
    """Greedy choice over all of the model's logits, padding of its vocabulary included, as Hugging Face does."""
    best, token = logits.max(dim=-1)
    # max() propagates NaN, so one comparison finds it; two passes are cheaper than a top-2 of a large vocabulary.
    second = logits.scatter(-1, token[..., None], float("-inf")).amax(dim=-1)
    return Choice(token, best - second < NEAR_TIE, torch.isfinite(best))


def hidden_states(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], *, cache: object | None = None, use_cache: bool = False
) -> tuple[Float[Tensor, "batch pos d_model"], object | None]:
    """Final hidden states, after the last norm, of tokens that follow what the cache holds; and the longer cache."""
    out = model.original_model.get_decoder()(
        input_ids=tokens.to(model.cfg.device), past_key_values=cache, use_cache=use_cache
    )
    return out.last_hidden_state, out.past_key_values if use_cache else None


def unembed(model: TransformerBridge, hidden: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_vocab"]:
    """The model's logits from final hidden states, in at least float32."""
    logits = model.original_model.get_output_embeddings()(hidden)
    return logits if logits.dtype == torch.float64 else logits.float()


@torch.no_grad()
def forced_logits(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], *, n_last: int
) -> Float[Tensor, "batch n_last d_vocab"]:
    """Logits that predict each of the last ``n_last`` tokens from the true tokens before it, in one pass."""
    hidden, _ = hidden_states(model, tokens[:, :-1])
    return unembed(model, hidden[:, -n_last:])


@torch.no_grad()
def greedy_decode(model: TransformerBridge, tokens: Int[Tensor, "batch pos"], *, n_tokens: int) -> Choice:
    """The ``n_tokens`` greedy tokens after ``tokens``. End-of-text neither stops it nor is suppressed."""
    step, cache = tokens, None
    choices = []
    for _ in range(n_tokens):
        hidden, cache = hidden_states(model, step, cache=cache, use_cache=True)
        choices.append(choose(unembed(model, hidden[:, -1:])))
        step = choices[-1].token
    return Choice(
        torch.cat([c.token for c in choices], dim=1).cpu(),
        torch.cat([c.near_tie for c in choices], dim=1).cpu(),
        torch.cat([c.finite for c in choices], dim=1).cpu(),
    )
