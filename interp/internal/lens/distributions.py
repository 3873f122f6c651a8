"""Distributions over the vocabulary: what a lens says of each position, and how far it is from the final layer.

A slice of positions is unembedded at once. Its logits are read a few rows at a time, which stay in a CPU's cache. So
the batch does not decide the memory, and each row is read as few times as possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.brief import Brief

IN_CACHE = 2**20
"""Logits that are read at a time on a CPU."""

POSITIONS = 256
"""Positions of a slice on a CPU. With fewer, reading the unembedding matrix dominates the time. More are no faster."""

POSITIONS_ON_GPU = 8192
"""Positions of a slice on a GPU."""


def slices(n_positions: int, device: torch.device) -> Iterator[slice]:
    """Slices of positions that are unembedded together."""
    size = POSITIONS if device.type == "cpu" else POSITIONS_ON_GPU
    for start in range(0, n_positions, size):
        yield slice(start, min(start + size, n_positions))


@dataclass(frozen=True, repr=False, eq=False)
class Distribution(Brief):
    """A distribution that others are compared with."""

    probability: Float[Tensor, "position d_vocab"]
    negative_entropy: Float[Tensor, " position"]
    """Nats, at most 0."""

    @classmethod
    def of(cls, logits: Float[Tensor, "position d_vocab"]) -> Distribution:
        """Of some logits, which are overwritten."""
        negative = []
        for (rows,) in _in_cache(logits):
            log_p = rows.log_softmax(-1)
            negative.append(log_p.mul_(torch.exp(log_p, out=rows)).sum(-1))
        return cls(logits, torch.cat(negative))

    def divergence(self, logits: Float[Tensor, "position d_vocab"]) -> Float[Tensor, " position"]:
        """KL(this || that of the logits), nats, at least 0 up to rounding."""
        parts = [
            negative - rows.log_softmax(-1).mul_(p).sum(-1)
            for rows, p, negative in _in_cache(logits, self.probability, self.negative_entropy)
        ]
        return torch.cat(parts)


READ = ("log_prob", "rank", "entropy", "kl")
"""What ``decode`` says of each position."""


def decode(
    logits: Float[Tensor, "position d_vocab"], final: Distribution, truth: Int[Tensor, " position"]
) -> Float[Tensor, "4 position"]:
    """``READ`` of some logits, which are overwritten, beside the final distribution and the true tokens.

    Log-probability of the true token; tokens with a higher logit and half of the others with the same; entropy; and
    KL(final || this). Nats.
    """
    found = []
    for rows, p, negative, true in _in_cache(logits, final.probability, final.negative_entropy, truth):
        log_p = rows.log_softmax(-1)
        log_prob = log_p.gather(-1, true[:, None])
        # Higher ones less lower ones, in one pass. The differences are exact enough: they are 0 for equals alone.
        sign = rows.sub_(rows.gather(-1, true[:, None])).sign_().sum(-1)
        rank = (sign + (rows.shape[-1] - 1)) / 2
        entropy = -torch.exp(log_p, out=rows).mul_(log_p).sum(-1)
        kl = negative - log_p.mul_(p).sum(-1)
        found.append(torch.stack([log_prob[:, 0], rank, entropy, kl]))
    return torch.cat(found, dim=1)


def _in_cache(logits: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """A few rows of each at a time."""
    n_rows = max(1, IN_CACHE // logits.shape[-1]) if logits.device.type == "cpu" else len(logits)
    return zip(*(tensor.split(n_rows) for tensor in (logits, *others)), strict=True)
