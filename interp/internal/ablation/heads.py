"""Head ablation: how much of the memorized text each attention head carries.

Each head in turn is replaced at ``hook_z``, at all positions, by one of several methods
(``interp.internal.ablation.replacement``). Its importance is the fall in rate, mean M, or mean log-probability of the
continuation (arXiv 2603.21658, the internal level). The paper's method is ``peer_mean``. Measure unmemorized windows as
well (ours): this separates heads that matter for all text from heads that matter for memorized text.

    >>> result = ablate_heads(model, windows, metrics=("log_prob", "rate"))
    >>> result.importance("log_prob"), result.top(5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.take_apart import take_apart
from interp.internal.ablation.choices import AblationError, Method, Metric, metrics_asked
from interp.internal.ablation.replacement import Ablation, check_heads
from interp.internal.ablation.sweep import SweepValues, sweep_heads
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import Progress, bar
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.estimates import Estimate
from interp.stats.importance import head_estimates, head_frame
from interp.stats.ranks import ranked


@dataclass(frozen=True, repr=False, eq=False)
class HeadAblation(Result):
    """Results of each window, clean and with each head ablated alone."""

    windows: Windows
    method: Method
    log_prob_clean: Float[np.ndarray, " window"]
    """Mean log-probability of a continuation token given the true tokens before it, nats, at most 0."""
    log_prob: Float[np.ndarray, "layer head window"]
    """The same with the head ablated. NaN for heads that were not ablated."""
    memorized_clean: Bool[np.ndarray, " window"]
    """M = 1: the argmax is correct at every continuation position, and so is greedy decoding."""
    memorized: Bool[np.ndarray, "layer head window"]
    """The same with the head ablated. False for heads that were not ablated."""
    score_clean: Float[np.ndarray, " window"]
    """M by greedy decoding, 0 to 1. NaN if not requested."""
    score: Float[np.ndarray, "layer head window"]
    """The same with the head ablated at every position, generated ones included."""
    provenance: Provenance
    token_log_prob_clean: Float[np.ndarray, "window continuation"] | None = None
    """Log-probability of each continuation token, nats, in float32. Kept with ``by_token``."""
    token_log_prob: Float[np.ndarray, "layer head window continuation"] | None = None
    """The same with the head ablated. NaN for heads that were not ablated."""

    def found(self) -> str:
        """The heads of largest importance, for ``repr``."""
        importance = self.importance()
        strongest = (f"{layer}.{head} {importance[layer, head]:+.3g}" for layer, head in self.top(3))
        return f"{self.method}, most important heads: {', '.join(strongest)} nats per token"

    def falls(self, metric: Metric) -> Float[np.ndarray, "layer head window"]:
        """Fall of each window for each head: clean minus ablated.

        In nats per token for ``log_prob``, -1 to 1 for ``rate`` and ``score``.
        """
        match metric:
            case "log_prob":
                return self.log_prob_clean - self.log_prob
            case "rate":
                fall = self.memorized_clean.astype(np.float64) - self.memorized
                return np.where(np.isnan(self.log_prob), np.nan, fall)
            case "score":
                return self.score_clean - self.score
        raise AblationError(f"unknown metric {metric!r}; choose from {', '.join(get_args(Metric))}")

    def token_falls(self) -> Float[np.ndarray, "layer head window continuation"]:
        """Fall of each continuation token for each head, nats.

        Its mean over the tokens is the fall in ``log_prob``.

        Raises:
            AblationError: the sweep did not keep its tokens.
        """
        if self.token_log_prob is None or self.token_log_prob_clean is None:
            raise AblationError("the sweep kept no tokens; ablate with by_token=True")
        return self.token_log_prob_clean - self.token_log_prob

    def importance(self, metric: Metric = "log_prob") -> Float[np.ndarray, "layer head"]:
        """Mean fall over the windows. Above 0 if the head helps, NaN if not measured."""
        return self.falls(metric).mean(axis=-1)

    def importance_intervals(self, metric: Metric = "log_prob", *, seed: int = 0) -> list[list[Estimate]]:
        """Importance of each head (by layer, then head), with its bootstrap interval by document.

        All heads use the same resampled documents.
        """
        clean = self.score_clean if metric == "score" else self.memorized_clean
        return head_estimates(
            self.falls(metric),
            self.windows.document,
            seed=seed,
            trials={"log_prob": 0, "rate": 1, "score": self.windows.continuation_len}[metric],
            gains=not (clean == 1).all(),
        )

    def top(self, k: int, metric: Metric = "log_prob", *, seed: int = 0) -> list[tuple[int, int]]:
        """The k most important of the measured heads, as (layer, head) pairs, most important first.

        ``seed`` breaks ties at random; see ``interp.stats.ranks``.
        """
        if k < 1:
            raise AblationError(f"k={k}: ask for at least one head")
        importance = self.importance(metric)
        order = ranked(importance, seed=seed)[:k]
        return [(int(i) // importance.shape[1], int(i) % importance.shape[1]) for i in order]

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per measured metric and head: ``metric``, ``layer``, ``head``, and the fall as an estimate.

        See ``interp.stats.columns`` for the columns of the estimate. NaN for a head that was not ablated.
        """
        metrics: tuple[Metric, ...] = get_args(Metric)
        measured = [metric for metric in metrics if not np.isnan(self.falls(metric)).all()] or ["log_prob"]
        frames = [head_frame(self.importance_intervals(m, seed=seed)).assign(metric=m) for m in measured]
        return pd.concat(frames, ignore_index=True)


@measurement
def ablate_heads(
    model: TransformerBridge,
    windows: Windows,
    ablation: Ablation | Method = "zero",
    *,
    metrics: Metric | Sequence[Metric] = ("log_prob", "rate"),
    heads: Sequence[tuple[int, int]] | None = None,
    by_token: bool = False,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool | Progress = False,
) -> HeadAblation:
    """Ablate every head in turn, and measure what the windows lose.

    Works for multi-head, grouped and multi-query attention: z belongs to one query head. The input is the true text,
    except for ``score``, where it is the text generated by the ablated model.

    Args:
        model: a booted model.
        windows: the tested windows. Memorized ones give the paper's importance.
        ablation: the replacement of a head: an ``Ablation``, or the name of a method without further settings.
        metrics: ``log_prob`` and ``rate`` come from one pass. ``score`` also needs greedy decoding.
        heads: (layer, head) pairs. Default: all heads.
        by_token: whether to keep the fall of every continuation token, for the explorer. Takes 4 bytes for each token,
            window and head: 8 MiB for 1,024 heads and 64 windows of 32 tokens.
        batch_size: windows per batch, fewer if the memory budget requires it. Values change only by rounding.
        memory_budget: approximate bytes of activations to hold at a time, in addition to weights and residual streams.
            Default: 64 MiB, and twice that for ``score``.
        progress: show a progress bar. Or a function that is called with the number of windows done since the last call;
            it can stop the sweep by raising.

    Raises:
        WindowError: the model cannot take the windows.
        AblationError: the method cannot be applied, reference windows overlap the tested ones, a metric is unknown, or
            a head does not exist.
        ActivationError: activations are NaN or infinite (names layer and window).
        RestartError: the model has hooks, or its blocks do not give the whole model's logits.
    """
    check_windows(model, windows)
    ablation, metrics = Ablation.of(ablation), metrics_asked(metrics)
    mask = torch.ones(model.cfg.n_layers, model.cfg.n_heads, dtype=torch.bool)
    if heads is not None:
        mask = check_heads(model, list(heads))
    blocks = take_apart(model, windows.tokens[:1])
    replacement = ablation.prepared(model, windows, blocks.head_outputs, batch_size=batch_size)
    with bar(int(mask.sum()) * len(windows), f"heads, {ablation.method}", progress) as done:
        values = sweep_heads(
            model,
            windows,
            blocks,
            replacement,
            heads=mask,
            with_score="score" in metrics,
            by_token=by_token,
            batch_size=batch_size,
            memory_budget=memory_budget,
            progress=done,
        )
    chosen = None if heads is None else [[int(layer), int(head)] for layer, head in heads]
    settings = {"metrics": list(metrics), "batch_size": batch_size, "heads": chosen}
    return head_ablation("ablate_heads", model, windows, values, ablation, **settings)


def head_ablation(
    name: str,
    model: TransformerBridge,
    windows: Windows,
    values: SweepValues,
    ablation: Ablation,
    **settings: object,
) -> HeadAblation:
    """The result of a sweep, with its provenance."""
    return HeadAblation(
        windows=windows,
        method=ablation.method,
        log_prob_clean=values.log_prob_clean,
        log_prob=values.log_prob,
        memorized_clean=values.memorized_clean,
        memorized=values.memorized,
        score_clean=values.score_clean,
        score=values.score,
        provenance=Provenance.of(name, model, windows, **ablation.settings, **settings),
        token_log_prob_clean=values.token_log_prob_clean,
        token_log_prob=values.token_log_prob,
    )
