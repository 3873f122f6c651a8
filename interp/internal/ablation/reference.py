"""Simple head ablation: the reference for tests and timings of the fast sweep.

It runs one hooked pass of the bridge per head. For ``score`` it runs one whole pass per generated token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.readout import true_log_probs
from interp.internal.ablation.choices import Method, Metric, metrics_asked
from interp.internal.ablation.heads import HeadAblation, head_ablation
from interp.internal.ablation.replacement import Ablation, Replacement
from interp.internal.ablation.sweep import SweepValues
from interp.models.hooks import HookFn, activations, checked_hooks, hook_name, logits
from interp.models.measuring import measurement


@measurement
def ablate_heads_plainly(
    model: TransformerBridge,
    windows: Windows,
    ablation: Ablation | Method = "zero",
    *,
    metrics: Metric | Sequence[Metric] = ("log_prob", "rate"),
    batch_size: int = 64,
) -> HeadAblation:
    """As ``interp.internal.ablation.heads.ablate_heads``, with one hooked pass per head.

    Raises:
        WindowError, AblationError, HookError: as ``ablate_heads`` and ``checked_hooks``.
    """
    ablation, metrics = Ablation.of(ablation), metrics_asked(metrics)
    names = [hook_name("hook_z", layer) for layer in range(model.cfg.n_layers)]

    def head_outputs(tokens: Int[Tensor, "batch pos"]) -> list[Tensor]:
        return list(activations(model, tokens, names).values())

    replacement = ablation.prepared(model, windows, head_outputs, batch_size=batch_size)
    values = SweepValues.empty(model.cfg.n_layers, model.cfg.n_heads, len(windows))
    with_score = "score" in metrics
    n = windows.continuation_len
    for where, tokens in windows.batches(batch_size):
        donor_z = None if replacement.donors is None else head_outputs(replacement.donors[where])
        log_prob, right = _forced(model, tokens, {}, n)
        values.log_prob_clean[where] = log_prob.cpu().numpy()
        values.memorized_clean[where] = right.all(dim=1).cpu().numpy()
        if with_score:
            values.score_clean[where] = _score(model, tokens, {}, n).cpu().numpy()
        for layer, name in enumerate(names):
            for head in range(model.cfg.n_heads):
                hooks = {name: _replace(replacement, layer, head, None if donor_z is None else donor_z[layer])}
                log_prob, right = _forced(model, tokens, hooks, n)
                values.log_prob[layer, head, where] = log_prob.cpu().numpy()
                values.memorized[layer, head, where] = right.all(dim=1).cpu().numpy()
                if with_score:
                    values.score[layer, head, where] = _score(model, tokens, hooks, n).cpu().numpy()
    return head_ablation(
        "ablate_heads_plainly", model, windows, values, ablation, metrics=list(metrics), batch_size=batch_size
    )


def _replace(replacement: Replacement, layer: int, head: int, donor_z: Tensor | None) -> HookFn:
    def fn(z: Tensor, hook: HookPoint) -> Tensor:
        z = z.clone()
        others = [h for h in range(z.shape[2]) if h != head]
        if replacement.method == "zero":
            z[:, :, head] = 0.0
        elif replacement.method == "peer_mean":
            z[:, :, head] = z[:, :, others].mean(dim=2)
        elif replacement.mean is not None:
            z[:, :, head] = replacement.mean[layer, : z.shape[1], head].to(z)
        elif donor_z is not None:
            z[:, :, head] = donor_z[:, : z.shape[1], head]
        return z

    return fn


def _forced(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], hooks: dict[str, HookFn], n: int
) -> tuple[Float[Tensor, " batch"], Tensor]:
    with checked_hooks(model, hooks):
        out = logits(model, tokens)[:, -n - 1 : -1]
    truth = tokens[:, -n:].to(out.device)
    return true_log_probs(out, truth).double().mean(dim=1), out.argmax(dim=-1) == truth


def _score(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], hooks: dict[str, HookFn], n: int
) -> Float[Tensor, " batch"]:
    written = tokens[:, :-n].to(model.cfg.device)
    with checked_hooks(model, hooks, n_calls=n):
        for _ in range(n):
            written = torch.cat([written, logits(model, written)[:, -1:].argmax(dim=-1)], dim=1)
    return (written[:, -n:] == tokens[:, -n:].to(written.device)).double().mean(dim=1)
