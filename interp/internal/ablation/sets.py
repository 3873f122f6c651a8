"""Ablation of sets of heads: a few heads, a whole layer, or all above a rank.

Each set is run from its lowest layer on. Heads are replaced at ``hook_z``, at all positions, with the methods of single
heads (``interp.internal.ablation.replacement``). A peer mean is over the heads of the layer outside the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.engine.blocks import Blocks
from interp.engine.budget import budget, rows_within
from interp.engine.greedy import Recorder, edited_step, first_misses, run_on
from interp.engine.readout import read_continuation
from interp.engine.take_apart import take_apart
from interp.internal.ablation.choices import Method, Metric, metrics_asked
from interp.internal.ablation.replacement import Ablation, Replacement, check_heads
from interp.models.hooks import check_computed
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import Progress, bar
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.columns import estimates_frame
from interp.stats.curves import column_estimates

Heads = tuple[tuple[int, int], ...]
"""(layer, head) pairs."""


@dataclass(frozen=True, repr=False, eq=False)
class SetAblation(Result):
    """Results of each window with each set of heads ablated. The empty set is the clean model."""

    windows: Windows
    method: Method
    sets: tuple[Heads, ...]
    token_log_prob: Float[np.ndarray, "set window continuation"]
    """Log-probability of each true continuation token, nats, at most 0."""
    memorized: Bool[np.ndarray, "set window"]
    """M = 1."""
    generated: Int[np.ndarray, "set window continuation"] | None
    """Greedy tokens, decoded with the set ablated at every position; ``None`` if ``score`` was not requested."""
    provenance: Provenance

    @property
    def log_prob(self) -> Float[np.ndarray, "set window"]:
        """Mean log-probability of a continuation token, nats, at most 0."""
        return self.token_log_prob.mean(axis=-1)

    @property
    def score(self) -> Float[np.ndarray, "set window"]:
        """M by greedy decoding, 0 to 1; NaN if not requested."""
        if self.generated is None:
            return np.full(self.memorized.shape, np.nan)
        return (self.generated == self.windows.continuation.numpy()).mean(axis=-1)

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per metric and set: ``metric``, ``set``, ``n_heads``, ``heads``, and what is left, as an estimate.

        See ``interp.stats.columns`` for the columns of the estimate.
        """
        left = {
            "rate": (self.memorized.astype(np.float64), 1),
            "log_prob": (self.log_prob, 0),
            "score": (self.score, self.windows.continuation_len),
        }
        sets = pd.DataFrame(
            {
                "set": np.arange(len(self.sets)),
                "n_heads": [len(heads) for heads in self.sets],
                "heads": [" ".join(f"{layer}.{head}" for layer, head in heads) for heads in self.sets],
            }
        )
        frames = []
        for metric, (values, trials) in left.items():
            estimates, _ = column_estimates(values.T, self.windows.document, seed=seed, trials=trials)
            frames.append(pd.concat([sets.assign(metric=metric), estimates_frame(estimates)], axis=1))
        return pd.concat(frames, ignore_index=True)


def whole_layer(model: TransformerBridge, layer: int) -> Heads:
    """All heads of a layer."""
    return tuple((layer, head) for head in range(model.cfg.n_heads))


@measurement
def ablate_sets(
    model: TransformerBridge,
    windows: Windows,
    sets: Sequence[Sequence[tuple[int, int]]],
    ablation: Ablation | Method = "zero",
    *,
    metrics: Metric | Sequence[Metric] = ("log_prob", "rate"),
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool | Progress = False,
) -> SetAblation:
    """Ablate the heads of each set together.

    Args:
        model: a booted model.
        windows: the tested windows.
        sets: (layer, head) pairs of each set. An empty set gives the clean model.
        ablation, metrics, batch_size, memory_budget, progress: as in ``ablate_heads``.

    Raises:
        WindowError, AblationError, ActivationError: as ``ablate_heads``, or ``peer_mean`` of a whole layer.
    """
    check_windows(model, windows)
    ablation, metrics = Ablation.of(ablation), metrics_asked(metrics)
    masks = [check_heads(model, list(heads)) for heads in sets]
    blocks = take_apart(model, windows.tokens[:1])
    replacement = ablation.prepared(model, windows, blocks.head_outputs, batch_size=batch_size)
    with_score = "score" in metrics
    token_log_prob = np.full((len(sets), len(windows), windows.continuation_len), np.nan)
    memorized = np.zeros((len(sets), len(windows)), dtype=bool)
    generated = np.full(token_log_prob.shape, -1) if with_score else None
    n_bytes = budget(memory_budget, with_score=with_score)
    n_rows = rows_within(blocks, windows.tokens.shape[1], n_bytes, n_stores=2 if with_score else 0)
    with bar(len(sets) * len(windows), f"sets of heads, {ablation.method}", progress) as done:
        for where, tokens in windows.batches(min(batch_size, n_rows)):
            clean = _residuals(blocks, tokens)
            donors = None if replacement.donors is None else blocks.head_outputs(replacement.donors[where][:, :-1])
            for i, mask in enumerate(masks):
                run = _SetRun(blocks, replacement, mask.to(blocks.device), donors)
                residual, kept = run.forced(clean, with_store=with_score)
                last = residual[:, windows.prefix_len - 1 :]
                name = f"the end of the model with set {i} ablated,"
                check_computed(last, model, tokens, name=name, windows=windows.window[where])
                truth = tokens[:, windows.prefix_len :].to(blocks.device)
                found = read_continuation(blocks, last, truth, n_bytes=n_bytes, with_predicted=with_score)
                token_log_prob[i, where] = found.log_prob.cpu().numpy()
                memorized[i, where] = found.memorized.cpu().numpy()
                if found.predicted is not None and generated is not None:
                    generated[i, where] = run.write(kept, found.predicted, truth, windows.prefix_len).cpu().numpy()
                done(len(tokens))
    ablated = tuple(tuple((int(layer), int(head)) for layer, head in heads) for heads in sets)
    return SetAblation(
        windows=windows,
        method=ablation.method,
        sets=ablated,
        token_log_prob=token_log_prob,
        memorized=memorized,
        generated=generated,
        provenance=Provenance.of(
            "ablate_sets",
            model,
            windows,
            **ablation.settings,
            metrics=list(metrics),
            batch_size=batch_size,
            sets=ablated,
        ),
    )


def _residuals(blocks: Blocks, tokens: Int[Tensor, "batch pos"]) -> list[Float[Tensor, "batch shorter d_model"]]:
    """Residual stream before each layer, without the last token, whose prediction is not needed."""
    positions = blocks.positions(0, tokens.shape[1] - 1)
    residuals = [blocks.embed(tokens[:, :-1])]
    for layer in range(len(blocks.layers) - 1):
        residuals.append(blocks.block(layer, residuals[-1], positions))
    return residuals


@dataclass(frozen=True, repr=False, eq=False)
class _SetRun(Brief):
    """One batch with one set of heads ablated."""

    blocks: Blocks
    replacement: Replacement
    mask: Bool[Tensor, "layer head"]
    donors: list[Tensor] | None

    def forced(
        self, clean: list[Float[Tensor, "batch pos d_model"]], *, with_store: bool
    ) -> tuple[Float[Tensor, "batch pos d_model"], list[tuple[Tensor, Tensor]]]:
        """Residual stream after the last layer under teacher forcing, and all keys and values for decoding."""
        store = Recorder() if with_store else None
        # Without decoding, the layers below the lowest ablated one are not needed.
        touched = self.mask.any(dim=1).nonzero().flatten()
        first = int(touched[0]) if len(touched) and store is None else 0
        positions = self.blocks.positions(0, clean[0].shape[1])
        residual = clean[first]
        for layer in range(first, len(self.blocks.layers)):
            z = self.blocks.z(layer, residual, positions, store)
            z = self.replacement.jointly(
                layer, z, self.mask[layer], None if self.donors is None else self.donors[layer]
            )
            residual = self.blocks.after_attention(layer, residual, self.blocks.project(layer, z))
        return residual, [] if store is None else [store.kept[layer] for layer in range(len(self.blocks.layers))]

    def write(
        self,
        kept: list[tuple[Tensor, Tensor]],
        predicted: Int[Tensor, "batch continuation"],
        truth: Int[Tensor, "batch continuation"],
        prefix_len: int,
    ) -> Int[Tensor, "batch continuation"]:
        """Greedy text, continued from each window's first miss."""
        miss = first_misses(predicted == truth)
        order = miss.argsort(stable=True)

        def edit(layer: int, z: Tensor, position: int) -> Tensor:
            donor = None if self.donors is None else self.donors[layer][order[: len(z)], position, None]
            return self.replacement.jointly(layer, z, self.mask[layer], donor, first_position=position)

        rows = [(keys[order], values[order]) for keys, values in kept]
        step = edited_step(self.blocks, rows, prefix_len=prefix_len, edit=edit)
        generated = torch.empty_like(predicted)
        generated[order] = run_on(predicted[order], miss[order], step=step)
        return generated
