"""The fast exact sweep: every head ablated in turn, without repeated computations.

The residual stream before each layer is computed once for a batch of windows, and so is each layer's attention. An
ablated head changes the attention's output by (replacement - z) times its slice of the output projection. So the heads
of a layer are stacked on the batch axis, and only the computations above the attention are run for them. Only the
positions that predict the continuation go through the last MLP and the unembedding. The values equal those of one
hooked pass per head (``interp.internal.ablation.reference``), up to the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.engine.blocks import Blocks, Positions
from interp.engine.budget import budget, rows_within
from interp.engine.greedy import Recorder
from interp.engine.readout import read_continuation
from interp.internal.ablation.replacement import Replacement
from interp.internal.ablation.waiting import CLEAN, Waiting, WaitingRows
from interp.models.hooks import check_computed, check_finite
from interp.progress import Progress
from interp.sizes import Size


@dataclass(frozen=True, repr=False, eq=False)
class SweepValues(Brief):
    """Results of each window, clean and with each head ablated."""

    log_prob_clean: Float[np.ndarray, " window"]
    memorized_clean: Bool[np.ndarray, " window"]
    score_clean: Float[np.ndarray, " window"]
    log_prob: Float[np.ndarray, "layer head window"]
    memorized: Bool[np.ndarray, "layer head window"]
    score: Float[np.ndarray, "layer head window"]
    token_log_prob_clean: Float[np.ndarray, "window continuation"] | None = None
    token_log_prob: Float[np.ndarray, "layer head window continuation"] | None = None

    @classmethod
    def empty(cls, n_layers: int, n_heads: int, n_windows: int, *, by_token: int | None = None) -> SweepValues:
        """Values without measurements, with room for ``by_token`` tokens per window if these are kept."""
        heads = (n_layers, n_heads, n_windows)
        return cls(
            np.full(n_windows, np.nan),
            np.zeros(n_windows, dtype=bool),
            np.full(n_windows, np.nan),
            np.full(heads, np.nan),
            np.zeros(heads, dtype=bool),
            np.full(heads, np.nan),
            None if by_token is None else np.full((n_windows, by_token), np.nan, dtype=np.float32),
            None if by_token is None else np.full((*heads, by_token), np.nan, dtype=np.float32),
        )

    def enter(self, log_prob: Float[np.ndarray, "*row token"], *at: Any) -> None:
        """Enter token log-probabilities at (layer, heads, windows), or those of the clean model at (windows,)."""
        clean = len(at) == 1
        mean, tokens = (
            (self.log_prob_clean, self.token_log_prob_clean) if clean else (self.log_prob, self.token_log_prob)
        )
        mean[at] = log_prob.mean(axis=-1)
        if tokens is not None:
            tokens[at] = log_prob


def _chunks(heads: Bool[Tensor, " head"], size: int) -> Iterator[Int[Tensor, " chunk"]]:
    chosen = heads.nonzero().flatten()
    for start in range(0, len(chosen), size):
        yield chosen[start : start + size]


@torch.no_grad()
def sweep_heads(
    model: TransformerBridge,
    windows: Windows,
    blocks: Blocks,
    replacement: Replacement,
    *,
    heads: Bool[Tensor, "layer head"],
    with_score: bool,
    by_token: bool = False,
    batch_size: int,
    memory_budget: Size | None = None,
    progress: Progress = lambda _: None,
) -> SweepValues:
    """Ablate each of the chosen heads alone. The others are NaN.

    Args:
        model: the model, for messages.
        windows: the tested windows.
        blocks: the model taken apart.
        replacement: the replacement of a head.
        heads: mask of the heads to ablate.
        with_score: whether to decode greedily as well.
        by_token: whether to keep the log-probability of every token.
        batch_size: windows per batch, fewer if the budget requires it.
        memory_budget: bytes of activations; see ``interp.engine.budget``.
        progress: called with the number of heads done since the last call.

    Raises:
        ActivationError: activations are NaN or infinite (names layer and window).
    """
    n_pos = windows.tokens.shape[1] - 1  # The last token's prediction is not needed.
    n_bytes = budget(memory_budget, with_score=with_score)
    # Waiting rows are held twice, once sorted for decoding. Larger groups are faster.
    n_rows = rows_within(blocks, n_pos, n_bytes // 4 if with_score else n_bytes, n_stores=int(with_score))
    capacity = rows_within(blocks, n_pos, n_bytes * 3 // 4, activations=False, n_stores=2)
    positions = blocks.positions(0, n_pos)
    keep = slice(windows.prefix_len - 1, n_pos)
    values = SweepValues.empty(
        len(blocks.layers), blocks.n_heads, len(windows), by_token=windows.continuation_len if by_token else None
    )

    def report(rows: Waiting, score: Float[np.ndarray, " row"]) -> None:
        layer, head, window = (index.cpu().numpy() for index in (rows.layer, rows.head, rows.window))
        is_clean = layer == CLEAN
        values.score_clean[window[is_clean]] = score[is_clean]
        values.score[layer[~is_clean], head[~is_clean], window[~is_clean]] = score[~is_clean]

    waiting = WaitingRows(blocks, windows.prefix_len, replacement.method, report, capacity=capacity)

    for where, tokens in windows.batches(min(batch_size, n_rows)):
        n, ids = len(tokens), windows.window[where]
        truth = tokens[:, windows.prefix_len :].to(blocks.device)
        both = tokens if replacement.donors is None else torch.cat([tokens, replacement.donors[where]])
        residual = blocks.embed(both[:, :-1])
        clean = Recorder() if with_score else None
        for layer in range(len(blocks.layers)):
            z = blocks.z(layer, residual, positions, clean)
            projected = blocks.project(layer, z)
            after = blocks.after_attention(layer, residual, projected)
            name = f"blocks.{layer}.hook_resid_post"
            check_finite(after[:n], name=name, windows=ids, model_name=model.cfg.model_name)
            stand_in = replacement.alone(layer, z[:n], None if replacement.donors is None else z[n:])
            for chosen in _chunks(heads[layer], max(1, n_rows // n)):
                store = Recorder() if with_score else None
                last = _run_ablated(
                    blocks,
                    layer,
                    chosen,
                    residual=residual[:n],
                    projected=projected[:n],
                    change=stand_in - z[:n],
                    positions=positions,
                    store=store,
                    keep=keep,
                )
                # If the model itself fails above this layer, the error names that layer.
                by_window = rearrange(last, "(head batch) ... -> batch head ...", batch=n)
                name = f"the end of the model with a head of layer {layer} ablated,"
                check_computed(by_window, model, tokens, name=name, windows=ids)
                true = repeat(truth, "batch continuation -> (head batch) continuation", head=len(chosen))
                found = read_continuation(blocks, last, true, n_bytes=n_bytes, with_predicted=with_score)
                index = chosen.numpy()
                log_prob = rearrange(found.log_prob, "(head batch) token -> head batch token", batch=n).cpu().numpy()
                values.enter(log_prob, layer, index, where)
                values.memorized[layer, index, where] = found.memorized.reshape(-1, n).cpu().numpy()
                if clean is not None and store is not None and found.predicted is not None:
                    waiting.add(
                        layer=layer,
                        heads=chosen,
                        first_window=where.start,
                        predicted=found.predicted,
                        truth=true,
                        stand_in=stand_in[:, :, chosen],
                        clean=clean.rows(n),
                        ablated=store.kept,
                    )
                progress(len(chosen) * n)
            residual = after
        found = read_continuation(blocks, residual[:n, keep], truth, n_bytes=n_bytes, with_predicted=with_score)
        values.enter(found.log_prob.cpu().numpy(), where)
        values.memorized_clean[where] = found.memorized.cpu().numpy()
        if clean is not None and found.predicted is not None:
            waiting.add(
                layer=CLEAN,
                heads=torch.zeros(1, dtype=torch.int64),
                first_window=where.start,
                predicted=found.predicted,
                truth=truth,
                stand_in=stand_in[:, :, :1],
                clean=clean.rows(n),
                ablated={},
            )
    waiting.flush()
    return values


def _run_ablated(
    blocks: Blocks,
    layer: int,
    heads: Int[Tensor, " head"],
    *,
    residual: Float[Tensor, "batch pos d_model"],
    projected: Float[Tensor, "batch pos d_model"],
    change: Float[Tensor, "batch pos all_heads d_head"],
    positions: Positions,
    store: Recorder | None,
    keep: slice,
) -> Float[Tensor, "row continuation d_model"]:
    """Residual stream after the last layer with each of the heads ablated alone. Rows are by head, then window.

    Args:
        blocks: the model.
        layer: layer of the heads.
        heads: the ablated heads.
        residual: residual stream before the layer.
        projected: projected sum of the layer's heads.
        change: replacement minus z.
        positions: positions of the pass.
        store: keeps the keys and values of the layers above.
        keep: positions to return.
    """
    part = blocks.layers[layer]
    # After the last attention, positions are independent, so the others are dropped before its MLP.
    view = keep if layer == len(blocks.layers) - 1 else slice(None)
    by_head = torch.einsum("bphd,hdm->hbpm", change[:, view, heads], blocks.output_weight(layer)[heads])
    middle = residual[:, view] + part.post_norm1(projected[:, view] + by_head)
    # A parallel MLP does not see the attention of its own layer, so one result serves all heads.
    mlp = blocks.mlp(layer, residual[:, view] if part.parallel else middle)
    after = rearrange(middle + mlp, "head batch pos d_model -> (head batch) pos d_model")
    if layer == len(blocks.layers) - 1:
        return after
    return blocks.run_from(layer + 1, after, positions, store=store, keep=keep)
