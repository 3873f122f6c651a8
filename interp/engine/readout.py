"""Reads logits: log-probability of the true token, greedy choice, and refusal of logits that are not finite.

Logits are read in float32, or in float64 if the model runs in it. Ties go to the lowest token id, as in ``argmax`` and
so in Hugging Face's greedy decoding. Positions are unembedded in parts, so that a large vocabulary does not limit the
batch size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.engine.blocks import Blocks
from interp.errors import InterpError

NEAR_TIE = 1e-4
"""Margin of a near tie, in logits. Below it, the order of the top two can change with the batch shape."""

LOGITS_AT_ONCE = 2**22
"""Largest number of logits held at a time (16 MiB in float32)."""

POSITIONS_AT_ONCE = 256
"""Smallest number of positions unembedded together: with fewer, reading the unembedding matrix dominates the time."""


class DecodingError(InterpError, RuntimeError):
    """No token can be chosen from the logits."""


def at_least_float32(logits: Float[Tensor, "*batch d_vocab"]) -> Float[Tensor, "*batch d_vocab"]:
    """Logits in float32, or float64 if they are in it."""
    return logits if logits.dtype == torch.float64 else logits.float()


def true_log_probs(logits: Float[Tensor, "*batch d_vocab"], truth: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Log-probability of each true token, nats, at most 0."""
    loss = nn.functional.cross_entropy(logits.flatten(0, -2), truth.flatten(), reduction="none")
    return -loss.view_as(truth)


def is_argmax(logits: Float[Tensor, "*batch d_vocab"], token: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
    """True where ``token`` is what ``argmax`` would return (on ties, the lowest id). About ten times as fast.

    The logits are overwritten.
    """
    own = logits.gather(-1, token[..., None]).squeeze(-1)
    others = logits.scatter_(-1, token[..., None], float("-inf"))
    best = others.amax(dim=-1)
    right, tied = own > best, own == best
    if tied.any():
        right[tied] = token[tied] < others[tied].argmax(dim=-1)
    return right


@dataclass(frozen=True, repr=False, eq=False)
class Choice(Brief):
    """The greedy choice at each unembedded position."""

    token: Int[Tensor, "batch chosen"]
    """The token with the largest logit (on ties, the lowest id, like ``argmax``)."""
    near_tie: Bool[Tensor, "batch chosen"]
    """Whether the second logit is within ``NEAR_TIE`` of the first."""
    finite: Bool[Tensor, "batch chosen"]
    """False where a logit is NaN or the largest is infinite. The choice is then meaningless."""
    log_prob: Float[Tensor, "batch chosen"] | None
    """Log-probability of the true token, nats, if requested."""


def choose(logits: Float[Tensor, "batch chosen d_vocab"], truth: Int[Tensor, "batch chosen"] | None = None) -> Choice:
    """Greedy choice over all of the model's logits, including padding of the vocabulary, like Hugging Face.

    The logits are overwritten.
    """
    # max() propagates NaN, so one comparison finds it. A second maximum is cheaper than top-2 on a large vocabulary.
    best, token = logits.max(dim=-1)
    log_prob = None
    if truth is not None:
        log_prob = true_log_probs(logits, truth)
    second = logits.scatter_(-1, token[..., None], float("-inf")).amax(dim=-1)
    return Choice(token, best - second < NEAR_TIE, torch.isfinite(best), log_prob)


@dataclass(frozen=True, repr=False, eq=False)
class Reading(Brief):
    """Results of a teacher-forced pass for each row's continuation."""

    log_prob: Float[Tensor, "row continuation"]
    """Log-probability of each true token, nats, float64."""
    memorized: Bool[Tensor, " row"]
    """Whether every true token is the argmax."""
    predicted: Int[Tensor, "row continuation"] | None
    """The argmax, if requested."""


@torch.no_grad()
def read_continuation(
    blocks: Blocks,
    residual: Float[Tensor, "row continuation d_model"],
    truth: Int[Tensor, "row continuation"],
    *,
    n_bytes: int,
    with_predicted: bool,
) -> Reading:
    """Read the true tokens' log-probabilities from the residual stream after the last layer.

    Args:
        blocks: the model.
        residual: residual stream at the positions that predict the continuation.
        truth: the continuation.
        n_bytes: memory budget of the measurement. The logits use a part of it.
        with_predicted: whether to return the argmax.
    """
    # Small slices stay in the cache. But with fewer than about 256 positions per slice, reading the weights of a large
    # vocabulary dominates the time. Logits and their exponentials are held at a time.
    row_bytes = 2 * residual.shape[1] * blocks.d_vocab * residual.element_size()
    n_rows = max(1, n_bytes // 8 // row_bytes, min(256 // residual.shape[1], n_bytes // 2 // row_bytes))
    log_prob, memorized, predicted = [], [], []
    for some, true in zip(residual.split(n_rows), truth.split(n_rows), strict=True):
        logits = at_least_float32(blocks.unembed(some))
        log_prob.append(true_log_probs(logits, true).double())
        if with_predicted:
            predicted.append(logits.argmax(dim=-1))
            right = predicted[-1] == true
        else:
            right = is_argmax(logits, true)
        memorized.append(right.all(dim=-1))
    return Reading(torch.cat(log_prob), torch.cat(memorized), torch.cat(predicted) if with_predicted else None)


def refuse_not_finite(
    model: TransformerBridge, windows: Windows, rows: Int[np.ndarray, " batch"], finite: Bool[Tensor, "batch chosen"]
) -> None:
    """Raise if a choice was made on NaN or infinite logits, naming the first such window."""
    bad = ~finite.all(dim=1)
    if bad.any():
        row = rows[int(bad.nonzero()[0])]
        raise DecodingError(
            f"{model.cfg.model_name} gives NaN or infinite logits on window {windows.window[row]} (document "
            f"{windows.document[row]!r}) and on {int(bad.sum()) - 1} others of its batch. The model runs in "
            f"{model.cfg.dtype}: load it in float32, or check its weights."
        )
