"""What an ablated head's output z is replaced by: the one place where ablation methods are defined.

``zero`` by nothing; ``mean`` by the head's mean over reference windows, at each position or over all of them;
``resample`` by the same head's z on another window; ``peer_mean`` by the mean of the other heads of its layer at the
same position (arXiv 2603.21658, the internal level; the others are common practice).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from einops import reduce, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.disjoint import overlapping, run_length, sharing
from interp.data.windows import Windows
from interp.errors import InterpError
from interp.internal.ablation.choices import MeanOver, Method
from interp.models.identity import check_windows
from interp.seeds import generator

HeadOutputs = Callable[[Int[Tensor, "batch pos"]], list[Tensor]]
"""Gives z of every layer, each (batch, pos, head, d_head), on some windows."""


class AblationError(InterpError, ValueError):
    """An ablation that cannot be done, or whose result would not mean what it says."""


@dataclass(frozen=True, repr=False, eq=False)
class Replacement(Brief):
    """What stands in for ablated heads of one model on some tested windows; see ``prepare_replacement``."""

    method: Method
    mean: Float[Tensor, "layer pos head d_head"] | None = None
    """For ``mean``."""
    donors: Int[Tensor, "window pos"] | None = None
    """For ``resample``: tokens of the window that stands in for each tested window, in their order."""

    def alone(
        self,
        layer: int,
        z: Float[Tensor, "batch pos head d_head"],
        donor_z: Float[Tensor, "batch pos head d_head"] | None = None,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """For each head, what replaces its z where it alone of its layer is ablated."""
        if self.method == "peer_mean":
            total = reduce(z, "batch pos head d_head -> batch pos 1 d_head", "sum")
            return (total - z) / (z.shape[2] - 1)
        return self._stand_in(layer, z, donor_z)

    def jointly(
        self,
        layer: int,
        z: Float[Tensor, "batch pos head d_head"],
        ablated: Bool[Tensor, " head"],
        donor_z: Float[Tensor, "batch pos head d_head"] | None = None,
        *,
        first_position: int = 0,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """z of a layer, from a position on, with the heads of a set replaced. A peer mean is over the others (ours).

        Raises:
            AblationError: ``peer_mean`` with no head of the layer outside the set.
        """
        if not ablated.any():
            return z
        if self.method == "peer_mean":
            if ablated.all():
                raise AblationError(
                    f"peer_mean of all {len(ablated)} heads of layer {layer}: no head is left to take the mean of; "
                    "leave one out or use another method"
                )
            value = reduce(z[:, :, ~ablated], "batch pos kept d_head -> batch pos 1 d_head", "mean")
        else:
            value = self._stand_in(layer, z, donor_z, first_position)
        return torch.where(ablated[:, None], value, z)

    def _stand_in(self, layer: int, z: Tensor, donor_z: Tensor | None, first_position: int = 0) -> Tensor:
        if self.method == "zero":
            return torch.zeros_like(z)
        if self.method == "mean":
            assert self.mean is not None
            return self.mean[layer, first_position : first_position + z.shape[1]].to(z)[None].expand_as(z)
        assert donor_z is not None
        return donor_z


def prepare_replacement(
    model: TransformerBridge,
    windows: Windows,
    *,
    method: Method,
    head_outputs: HeadOutputs,
    reference: Windows | None = None,
    mean_over: MeanOver = "position",
    batch_size: int = 64,
    seed: int = 0,
) -> Replacement:
    """Check that a method can be applied and make what it needs.

    Args:
        model: the model whose heads are ablated.
        windows: the tested windows.
        method: what stands in for a head.
        head_outputs: gives z on windows.
        reference: windows for ``mean`` (required) and ``resample``. Unless given, the tested windows stand in for one
            another, but none that shares 32 tokens in a row with the tested one, or all of a shorter window.
        mean_over: ``mean`` at each position, or over all positions of the reference windows.
        batch_size: reference windows in a pass.
        seed: with a window's id, fixes its donor.

    Raises:
        AblationError: an unknown method, a method without the heads or windows it needs, or reference windows that
            overlap the tested ones.
    """
    if method not in get_args(Method):
        raise AblationError(f"unknown ablation method {method!r}; choose from {', '.join(get_args(Method))}")
    if method == "peer_mean" and model.cfg.n_heads < 2:
        raise AblationError(f"peer_mean needs other heads in the layer; {model.cfg.model_name} has one head a layer")
    if reference is not None and method in {"zero", "peer_mean"}:
        raise AblationError(f"{method} takes no reference windows")
    if reference is not None:
        _check_reference(model, windows, reference)
    if method == "mean":
        if reference is None:
            raise AblationError("mean needs reference windows, other than the tested ones: give reference=")
        return Replacement(method, mean=_mean(reference, head_outputs, mean_over, batch_size))
    if method == "resample":
        return Replacement(method, donors=_donors(windows, reference, seed))
    return Replacement(method)


def _check_reference(model: TransformerBridge, windows: Windows, reference: Windows) -> None:
    check_windows(model, reference)
    if reference.tokens.shape[1] != windows.tokens.shape[1]:
        raise AblationError(
            f"reference windows have {reference.tokens.shape[1]} tokens, the tested ones {windows.tokens.shape[1]}"
        )
    shared = overlapping(reference, windows)
    if shared:
        raise AblationError(
            f"{len(shared)} reference windows share {run_length(reference, windows)} tokens in a row with tested ones "
            f"(first: window {shared[0]}); a head would be replaced by what it does on the tested text itself. Leave "
            "them out (interp.data.disjoint.overlapping names them)"
        )


def _mean(
    reference: Windows, head_outputs: HeadOutputs, mean_over: MeanOver, batch_size: int
) -> Float[Tensor, "layer pos head d_head"]:
    total: Tensor | float = 0.0
    for _, tokens in reference.batches(batch_size):
        # Summed in float64, so that the batch size leaves no trace.
        total = total + torch.stack([z.double().sum(dim=0) for z in head_outputs(tokens)])
    mean = torch.as_tensor(total) / len(reference)
    if mean_over == "all":
        n_pos = mean.shape[1]
        over_all = reduce(mean, "layer pos head d_head -> layer head d_head", "mean")
        mean = repeat(over_all, "layer head d_head -> layer pos head d_head", pos=n_pos)
    return mean


def _donors(windows: Windows, reference: Windows | None, seed: int) -> Int[Tensor, "window pos"]:
    """Tokens of each window's donor, drawn from (seed, window id) alone among those that share no text with it."""
    pool = windows if reference is None else reference
    # Windows of a reference share nothing with the tested ones: that is checked before.
    barred = sharing(windows) if reference is None else [np.empty(0, dtype=np.int64)] * len(windows)
    drawn = np.empty(len(windows), dtype=np.int64)
    for i, (window, own) in enumerate(zip(windows.window, barred, strict=True)):
        if len(own) == len(pool):
            raise AblationError(
                "resample needs a window other than the tested one: "
                f"all {len(pool)} share {run_length(pool, windows)} tokens in a row with window {window}. "
                "Give more windows, or reference="
            )
        draw = int(generator(seed, int(window)).integers(len(pool) - len(own)))
        for taken in own:
            draw += draw >= taken
        drawn[i] = draw
    return pool.tokens[torch.from_numpy(drawn)]


def check_heads(model: TransformerBridge, heads: Sequence[tuple[int, int]]) -> Bool[Tensor, "layer head"]:
    """A set of (layer, head) pairs as a mask.

    Raises:
        AblationError: a layer or head that the model does not have, one named twice, or what is no pair.
    """
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    mask = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for pair in heads:
        if np.shape(pair) != (2,):
            raise AblationError(f"{pair!r} is no head: give (layer, head) pairs, [(0, 1)] for head 1 of layer 0 alone")
        layer, head = pair
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise AblationError(
                f"{model.cfg.model_name} has no head {head} in layer {layer}: its layers are 0 to {n_layers - 1}, "
                f"its heads 0 to {n_heads - 1}"
            )
        if mask[layer, head]:
            raise AblationError(f"head {head} of layer {layer} is named twice")
        mask[layer, head] = True
    return mask
