"""The fast estimate of head importance: the gradient in place of the ablation.

Every head has a gate g. At g = 0 the head is unchanged; at g = 1 it is replaced
(``interp.internal.ablation.replacement``). Ablating one head moves its gate from 0 to 1. To first order, the
log-probability then falls by minus its derivative at g = 0 (attribution patching: Nanda 2023; Syed, Rager and Conmy
2023, arXiv 2310.10348). One forward and one backward pass estimate all heads.

With more steps, the derivative is averaged along the line on which all gates open together (integrated gradients:
Sundararajan, Taly and Yan 2017, arXiv 1703.01365; on heads, ours). The estimates then sum to the cost of ablating all
heads together. Each is a head's share of that cost, not its effect alone. In OLMo2 and OLMo3 a norm follows the
attention. With ``zero``, the norm undoes the scaling of all heads of a layer until they are almost zero, and a few
steps miss the last drop. Integrate ``mean`` instead.

``interp.internal.comparison.agreement`` measures the accuracy of the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.blocks import Blocks
from interp.engine.budget import rows_at_once
from interp.engine.readout import at_least_float32, true_log_probs
from interp.engine.take_apart import take_apart
from interp.internal.ablation.choices import AblationError, Method
from interp.internal.ablation.replacement import Ablation, Replacement
from interp.models.hooks import check_computed
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.estimates import Estimate
from interp.stats.importance import head_estimates, head_frame


@dataclass(frozen=True, repr=False, eq=False)
class HeadEstimate(Result):
    """Estimated fall in log-probability of each window for each head."""

    windows: Windows
    method: Method
    steps: int
    fall: Float[np.ndarray, "layer head window"]
    """Estimate of clean minus ablated mean log-probability, nats per token."""
    provenance: Provenance

    def importance(self) -> Float[np.ndarray, "layer head"]:
        """Mean estimated fall over the windows, nats per token."""
        return self.fall.mean(axis=-1)

    def importance_intervals(self, *, seed: int = 0) -> list[list[Estimate]]:
        """The same with bootstrap intervals by document. They do not include the error of the estimate itself."""
        return head_estimates(self.fall, self.windows.document, seed=seed, trials=0)

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per head: ``layer``, ``head``, ``metric`` (``log_prob``) and the estimated fall with its interval."""
        return head_frame(self.importance_intervals(seed=seed)).assign(metric="log_prob")


@measurement
def estimate_heads(
    model: TransformerBridge,
    windows: Windows,
    ablation: Ablation | Method = "zero",
    *,
    steps: int = 1,
    batch_size: int = 16,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> HeadEstimate:
    """Estimate the fall in log-probability when each head alone is ablated.

    Args:
        model: a booted model.
        windows: the tested windows.
        ablation: as in ``ablate_heads``.
        steps: 1 for the gradient of the clean model, more for integrated gradients by the midpoint rule.
        batch_size: windows per pass. All activations of a batch are held for the backward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Raises:
        WindowError, AblationError, ActivationError: as ``ablate_heads``, or fewer than one step.
    """
    check_windows(model, windows)
    ablation = Ablation.of(ablation)
    if steps < 1:
        raise AblationError(f"steps={steps}: at least one gradient is needed")
    blocks = take_apart(model, windows.tokens[:1])
    replacement = ablation.prepared(model, windows, blocks.head_outputs, batch_size=batch_size)
    fall = np.zeros((len(blocks.layers), blocks.n_heads, len(windows)))
    # The clean model for the plain gradient; otherwise the midpoints of equal steps from 0 to 1.
    openings = [0.0] if steps == 1 else [(i + 0.5) / steps for i in range(steps)]
    n_layers = len(blocks.layers)
    batch_size = rows_at_once(
        model,
        windows.tokens.shape[1],
        batch_size,
        memory_budget,
        residuals=16 * n_layers,
        patterns=2 * n_layers,
        unembedded=3 * windows.continuation_len,
    )
    what = f"gradients of heads, {ablation.method}"
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), what, progress):
        donors = None if replacement.donors is None else blocks.head_outputs(replacement.donors[where][:, :-1])
        for opening in openings:
            size = (len(tokens), len(blocks.layers), blocks.n_heads)
            gates = torch.full(size, opening, dtype=blocks.dtype, device=blocks.device, requires_grad=True)
            with torch.enable_grad():
                log_prob = gated_log_prob(
                    blocks, replacement, tokens, gates, prefix_len=windows.prefix_len, donors=donors
                )
                (slope,) = torch.autograd.grad(log_prob.sum(), gates)
            name = "the gradient of the log-probability by the heads"
            check_computed(slope, model, tokens, name=name, windows=windows.window[where])
            fall[:, :, where] -= np.moveaxis(slope.double().cpu().numpy(), 0, -1) / steps
    return HeadEstimate(
        windows=windows,
        method=ablation.method,
        steps=steps,
        fall=fall,
        provenance=Provenance.of(
            "estimate_heads", model, windows, **ablation.settings, batch_size=batch_size, steps=steps
        ),
    )


def gated_log_prob(
    blocks: Blocks,
    replacement: Replacement,
    tokens: Int[Tensor, "batch pos"],
    gates: Float[Tensor, "batch layer head"],
    *,
    prefix_len: int,
    donors: list[Tensor] | None = None,
) -> Float[Tensor, " batch"]:
    """Mean log-probability of the continuation with every head moved towards its replacement by its gate."""
    positions = blocks.positions(0, tokens.shape[1] - 1)
    residual = blocks.embed(tokens[:, :-1])
    for layer in range(len(blocks.layers)):
        z = blocks.z(layer, residual, positions)
        stand_in = replacement.alone(layer, z, None if donors is None else donors[layer])
        moved = z + gates[:, None, layer, :, None] * (stand_in - z)
        residual = blocks.after_attention(layer, residual, blocks.project(layer, moved))
    logits = at_least_float32(blocks.unembed(residual[:, prefix_len - 1 :]))
    return true_log_probs(logits, tokens[:, prefix_len:].to(blocks.device)).mean(dim=-1)
