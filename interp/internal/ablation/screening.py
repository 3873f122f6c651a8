"""Exact importance of the heads that could be in the top set, selected by the fast estimate.

One backward pass estimates all heads. The most important heads by estimate are ablated, and some of the others. The
margin is the largest amount by which the estimate was too low among them. Every head whose estimate plus margin reaches
the top set is ablated too, until none is left. The margin is observed, not proved: a head that is underestimated by
more than all measured ones can be missed. (Ours.)

Screening saves time only if the estimate is good. On memorized windows of the small models, it underestimates
first-layer heads so much that all heads are ablated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.internal.ablation.choices import Method, Metric, metrics_asked
from interp.internal.ablation.gradient import HeadEstimate, estimate_heads
from interp.internal.ablation.heads import HeadAblation, ablate_heads
from interp.internal.ablation.replacement import Ablation
from interp.internal.comparison.agreement import Agreement, agreement
from interp.models.measuring import measurement
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.ranks import ranked, top_size

N_PROBES = 6
"""Number of heads from the lower ranks that are ablated first with the top ones, so that the margin covers both."""


@dataclass(frozen=True, repr=False, eq=False)
class Screening(Result):
    """The exact top heads, and the estimate of all heads."""

    estimate: HeadEstimate
    exact: HeadAblation
    """NaN for heads that were not ablated."""
    top: tuple[tuple[int, int], ...]
    """(layer, head) pairs of the top set by exact importance in log-probability, most important first."""
    margin: float
    """Largest amount by which an ablated head exceeded its estimate, nats per token; 0 if none did."""
    provenance: Provenance

    @property
    def n_ablated(self) -> int:
        """Number of heads ablated exactly."""
        return int((~np.isnan(self.exact.importance())).sum())

    def agreement(self, *, seed: int = 0) -> Agreement:
        """Agreement of the estimate with the exact sweep, over the ablated heads."""
        documents = self.exact.windows.document
        return agreement(self.estimate.fall, self.exact.falls("log_prob"), documents=documents, seed=seed)

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """Rows of the exact sweep and of the estimate (column ``by``), with ``in_top_set``.

        ``by`` is ``ablation`` or ``gradient``.
        """
        exact, guess = self.exact.to_frame(seed=seed), self.estimate.to_frame(seed=seed)
        frame = pd.concat([exact.assign(by="ablation"), guess.assign(by="gradient")], ignore_index=True)
        top = set(self.top)
        return frame.assign(in_top_set=[pair in top for pair in zip(frame["layer"], frame["head"], strict=True)])


@measurement
def screen_heads(
    model: TransformerBridge,
    windows: Windows,
    ablation: Ablation | Method = "zero",
    *,
    share: float = 0.2,
    metrics: Metric | Sequence[Metric] = ("log_prob", "rate"),
    batch_size: int = 64,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Screening:
    """Find the ``share`` of heads most important for log-probability, without ablating every head.

    Args:
        model: a booted model.
        windows: the tested windows.
        share: share of all heads, rounded, at least one.
        ablation, metrics, batch_size, memory_budget, progress: as in ``ablate_heads``.
        seed: breaks ties between heads.

    Raises:
        WindowError, AblationError, ActivationError: as ``ablate_heads``.
        ComparisonError: a share outside 0 to 1.
    """
    n_top = top_size(model.cfg.n_layers * model.cfg.n_heads, share)
    ablation, metrics = Ablation.of(ablation), metrics_asked(metrics)
    how: dict[str, Any] = {"memory_budget": memory_budget, "progress": progress}
    estimate = estimate_heads(model, windows, ablation, batch_size=min(batch_size, 16), **how)
    guess = estimate.importance()
    order = ranked(guess, seed=seed)
    # The top heads by estimate, and some spread evenly over the rest.
    rest = order[n_top:]
    probes = rest[np.linspace(0, len(rest) - 1, min(N_PROBES, len(rest))).round().astype(int)] if len(rest) else rest
    wanted = np.isin(np.arange(guess.size), np.concatenate([order[:n_top], probes])).reshape(guess.shape)
    exact: HeadAblation | None = None
    while wanted.any():
        more = ablate_heads(
            model,
            windows,
            ablation,
            metrics=metrics,
            heads=[(int(layer), int(head)) for layer, head in np.argwhere(wanted)],
            batch_size=batch_size,
            **how,
        )
        exact = more if exact is None else _merged(exact, more, wanted)
        importance = exact.importance()
        margin = max(0.0, float(np.nanmax(importance - guess)))
        threshold = np.sort(importance[~np.isnan(importance)])[-n_top]
        wanted = np.isnan(importance) & (guess + margin >= threshold)
    assert exact is not None
    return Screening(
        estimate=estimate,
        exact=exact,
        top=tuple(exact.top(n_top, seed=seed)),
        margin=margin,
        provenance=Provenance.of(
            "screen_heads",
            model,
            windows,
            **ablation.settings,
            metrics=list(metrics),
            batch_size=batch_size,
            share=share,
            order_seed=seed,
        ),
    )


def _merged(one: HeadAblation, other: HeadAblation, from_other: Bool[np.ndarray, "layer head"]) -> HeadAblation:
    def merge(a: Float[np.ndarray, "layer head window"], b: Float[np.ndarray, "layer head window"]) -> np.ndarray:
        return np.where(from_other[..., None], b, a)

    return replace(
        one,
        log_prob=merge(one.log_prob, other.log_prob),
        memorized=np.where(from_other[..., None], other.memorized, one.memorized),
        score=merge(one.score, other.score),
    )
