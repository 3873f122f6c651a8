"""Cumulative ablation: what is left of memorization when more and more heads are ablated together (ours).

The most important heads are ablated first. Random orders of heads, with their spread, serve as a control. Rank heads on
other windows than the tested ones: otherwise the curve falls too fast.

    >>> ranking = ablate_heads(model, some_windows).top(64)
    >>> curve = cumulative_ablation(model, other_windows, ranking)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from transformer_lens.model_bridge import TransformerBridge

from interp.data.disjoint import by_text
from interp.data.windows import Windows
from interp.internal.ablation.choices import AblationError, Method
from interp.internal.ablation.replacement import Ablation, check_heads
from interp.internal.ablation.sets import Heads, ablate_sets
from interp.models.measuring import measurement
from interp.results import Provenance, Result
from interp.seeds import generator
from interp.several import several
from interp.sizes import Size
from interp.stats.columns import estimates_frame
from interp.stats.curves import column_estimates
from interp.stats.estimates import Estimate


def ranking_half(windows: Windows, *, seed: int) -> Bool[np.ndarray, " window"]:
    """Mask of the windows of every second document, in random order. Rank heads on these, and test on the others.

    Documents that share 32 tokens in a row count as one (``interp.data.disjoint``), so no text is in both halves.
    """
    documents = by_text(windows)
    return np.isin(documents, generator(seed).permutation(np.unique(documents))[::2])


@dataclass(frozen=True, repr=False, eq=False)
class CumulativeAblation(Result):
    """Results of each window by number of ablated heads: in order of importance, and in random orders."""

    windows: Windows
    ranking: Heads
    """All heads that can be ablated, most important first."""
    n_ablated: Int[np.ndarray, " count"]
    """Number of ablated heads at each point of the curve, ascending from 0."""
    log_prob: Float[np.ndarray, "count window"]
    """Mean log-probability of a continuation token, nats, with the most important heads ablated first."""
    memorized: Bool[np.ndarray, "count window"]
    """M = 1, in the same order."""
    random_log_prob: Float[np.ndarray, "order count window"]
    random_memorized: Bool[np.ndarray, "order count window"]
    provenance: Provenance

    def rates(self, *, seed: int = 0) -> list[Estimate]:
        """Share of windows with M = 1 at each number of heads, with 95 % intervals by document."""
        memorized = self.memorized.T.astype(np.float64)
        return column_estimates(memorized, self.windows.document, seed=seed, trials=1)[0]

    def log_probs(self, *, seed: int = 0) -> list[Estimate]:
        """Mean log-probability at each number of heads, nats per token, with 95 % intervals by document."""
        return column_estimates(self.log_prob.T, self.windows.document, seed=seed, trials=0)[0]

    def random_rates(self) -> Float[np.ndarray, "order count"]:
        """Rate in each random order. Their spread comes from the choice of heads, not of windows."""
        return self.random_memorized.mean(axis=-1)

    def random_log_probs(self) -> Float[np.ndarray, "order count"]:
        """Mean log-probability in each random order."""
        return self.random_log_prob.mean(axis=-1)

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per metric and number of heads: what is left (an estimate), and what random orders leave.

        Columns ``metric`` (``rate`` or ``log_prob``), ``n_ablated``, those of an estimate (``interp.stats.columns``),
        and ``random_mean``, ``random_min`` and ``random_max`` over the random orders.
        """
        left = {
            "rate": (self.rates(seed=seed), self.random_rates()),
            "log_prob": (self.log_probs(seed=seed), self.random_log_probs()),
        }
        frames = [
            estimates_frame(estimates).assign(
                metric=metric,
                n_ablated=self.n_ablated,
                random_mean=orders.mean(axis=0),
                random_min=orders.min(axis=0),
                random_max=orders.max(axis=0),
            )
            for metric, (estimates, orders) in left.items()
        ]
        return pd.concat(frames, ignore_index=True)


@measurement
def cumulative_ablation(
    model: TransformerBridge,
    windows: Windows,
    ranking: Sequence[tuple[int, int]],
    ablation: Ablation | Method = "zero",
    *,
    n_ablated: int | Sequence[int] | None = None,
    n_random: int = 5,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> CumulativeAblation:
    """Ablate the first heads of a ranking together, for growing numbers of heads.

    Args:
        model: a booted model.
        windows: the tested windows, different from those of the ranking.
        ranking: (layer, head) pairs, most important first. Random orders use the same heads.
        n_ablated: numbers of heads to ablate. Default: 0, 1, 2, 3, 4, 6, 8, 12 ... up to all.
        n_random: number of random orders, at least 1.
        ablation, batch_size, memory_budget: as in ``ablate_heads``.
        seed: seed of the random orders.
        progress: show a progress bar.

    Raises:
        AblationError: a number of heads exceeds the ranking, or as ``ablate_sets``.
    """
    check_heads(model, list(ranking))
    heads: Heads = tuple((int(layer), int(head)) for layer, head in ranking)
    counts = _steps(len(heads)) if n_ablated is None else sorted({*several(n_ablated), 0})
    if counts[0] < 0 or counts[-1] > len(heads):
        raise AblationError(f"numbers of heads {counts}: the ranking has {len(heads)}")
    if n_random < 1:
        raise AblationError(f"n_random={n_random}: a curve needs random orders as a control; draw at least 1")
    rng = generator(seed)
    orders = [heads, *([heads[i] for i in rng.permutation(len(heads))] for _ in range(n_random))]
    result = ablate_sets(
        model,
        windows,
        [order[:count] for order in orders for count in counts],
        ablation,
        batch_size=batch_size,
        memory_budget=memory_budget,
        progress=progress,
    )
    shape = (1 + n_random, len(counts), len(windows))
    log_prob, memorized = result.log_prob.reshape(shape), result.memorized.reshape(shape)
    return CumulativeAblation(
        windows=windows,
        ranking=heads,
        n_ablated=np.array(counts),
        log_prob=log_prob[0],
        memorized=memorized[0],
        random_log_prob=log_prob[1:],
        random_memorized=memorized[1:],
        provenance=Provenance.of(
            "cumulative_ablation",
            model,
            windows,
            **{k: v for k, v in result.provenance.settings.items() if k not in {"prefix_len", "metrics", "sets"}},
            ranking=heads,
            n_ablated=counts,
            n_random=n_random,
            order_seed=seed,
        ),
    )


def _steps(n_heads: int) -> list[int]:
    """0, 1, 2, 3, 4, 6, 8, 12, 16, 24 ... and all."""
    steps = {0, n_heads}
    power = 1
    while power <= n_heads:
        steps |= {power, power * 3 // 2}
        power *= 2
    return sorted(step for step in steps if step <= n_heads)
