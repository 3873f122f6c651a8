"""What a pass says of the continuation: log-probability of the true tokens, and whether each is the greedy choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from interp.brief import Brief
from interp.engine.blocks import Blocks


@dataclass(frozen=True, repr=False, eq=False)
class Outcome(Brief):
    """Of each row of a teacher-forced pass."""

    log_prob: Float[Tensor, " row"]
    """Mean log-probability of a true token, nats."""
    memorized: Bool[Tensor, " row"]
    """Whether every true token is the argmax."""
    predicted: Int[Tensor, "row continuation"] | None
    """The argmax, where it was asked for."""


def is_argmax(logits: Float[Tensor, "*batch d_vocab"], token: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
    """Whether ``argmax`` gives the token, the lowest id where several share the maximum; in a tenth of its time.

    The logits are overwritten.
    """
    own = logits.gather(-1, token[..., None]).squeeze(-1)
    others = logits.scatter_(-1, token[..., None], float("-inf"))
    best = others.amax(dim=-1)
    right, tied = own > best, own == best
    if tied.any():
        right[tied] = token[tied] < others[tied].argmax(dim=-1)
    return right


@torch.no_grad()
def outcome(
    blocks: Blocks,
    residual: Float[Tensor, "row continuation d_model"],
    truth: Int[Tensor, "row continuation"],
    *,
    n_bytes: int,
    with_predicted: bool,
) -> Outcome:
    """What the residual stream after the last layer says of the true tokens.

    Args:
        blocks: the model.
        residual: at the positions that predict the continuation.
        truth: the continuation.
        n_bytes: what the measurement may hold; the logits get a part of it.
        with_predicted: whether the argmax is wanted.
    """
    # Small slices stay in the cache; but of a large vocabulary's weights too little is used each time they are read if
    # a slice has fewer than some 256 positions. Logits and their exponentials are held at a time.
    row_bytes = 2 * residual.shape[1] * blocks.d_vocab * residual.element_size()
    n_rows = max(1, n_bytes // 8 // row_bytes, min(256 // residual.shape[1], n_bytes // 2 // row_bytes))
    log_prob, memorized, predicted = [], [], []
    for some, true in zip(residual.split(n_rows), truth.split(n_rows), strict=True):
        logits = blocks.unembed(some)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), true.flatten(), reduction="none")
        log_prob.append(-loss.view_as(true).double().mean(dim=-1))
        if with_predicted:
            predicted.append(logits.argmax(dim=-1))
            right = predicted[-1] == true
        else:
            right = is_argmax(logits, true)
        memorized.append(right.all(dim=-1))
    return Outcome(torch.cat(log_prob), torch.cat(memorized), torch.cat(predicted) if with_predicted else None)
