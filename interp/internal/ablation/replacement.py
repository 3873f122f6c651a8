"""The replacement of an ablated head's output z. All ablation methods are defined here.

``zero`` replaces z by zero; ``mean`` by the head's mean over reference windows, per position or over all positions;
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
from interp.internal.ablation.choices import AblationError, MeanOver, Method
from interp.models.identity import check_windows
from interp.seeds import check_seed, generator

HeadOutputs = Callable[[Int[Tensor, "batch pos"]], list[Tensor]]
"""From token ids, z of every layer, each (batch, pos, head, d_head)."""


@dataclass(frozen=True, repr=False, eq=False)
class Replacement(Brief):
    """The replacements of ablated heads of one model on the tested windows; see ``Ablation.prepared``."""

    method: Method
    mean: Float[Tensor, "layer pos head d_head"] | None = None
    """For ``mean``."""
    donors: Int[Tensor, "window pos"] | None = None
    """For ``resample``: tokens of the donor of each tested window, in their order."""

    def alone(
        self,
        layer: int,
        z: Float[Tensor, "batch pos head d_head"],
        donor_z: Float[Tensor, "batch pos head d_head"] | None = None,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """Replacement of z for each head, if it alone is ablated."""
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
        """Outputs z of a layer, from a position on, with the heads of a set replaced.

        A peer mean is over the heads of the layer outside the set (ours).

        Raises:
            AblationError: ``peer_mean`` has no head of the layer outside the set.
        """
        if not ablated.any():
            return z
        if self.method == "peer_mean":
            if ablated.all():
                raise AblationError(
                    f"peer_mean of all {len(ablated)} heads of layer {layer}: no head is left for the mean; "
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


@dataclass(frozen=True, repr=False)
class Ablation(Brief):
    """How heads are ablated. Used by the sweep, its reference, sets of heads, the estimate and screening.

    For example ``Ablation("mean", reference=windows)``. A method without further settings can be given by name.

    Raises:
        AblationError: the method is unknown, lacks the windows it needs, or has windows it does not use.
    """

    method: Method = "zero"
    """The replacement of a head; see the module docstring."""
    reference: Windows | None = None
    """Windows for ``mean`` (required) and ``resample``. By default, the tested windows of ``resample`` replace one
    another, except those that share 32 tokens in a row (or a whole shorter window) with the tested one."""
    mean_over: MeanOver = "position"
    """For ``mean``: per position, or over all positions of the reference windows."""
    seed: int = 0
    """For ``resample``: determines each window's donor, together with its id."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise AblationError(f"unknown ablation method {self.method!r}; choose from {', '.join(get_args(Method))}")
        if self.mean_over not in get_args(MeanOver):
            raise AblationError(f"unknown mean_over {self.mean_over!r}; choose from {', '.join(get_args(MeanOver))}")
        if self.reference is not None and self.method in {"zero", "peer_mean"}:
            raise AblationError(f"{self.method} uses no reference windows; omit them")
        if self.reference is None and self.method == "mean":
            raise AblationError("mean needs reference windows other than the tested ones; give reference=")
        check_seed(self.seed)

    @classmethod
    def of(cls, ablation: Ablation | Method) -> Ablation:
        """The setting, from itself or from the name of a method."""
        return ablation if isinstance(ablation, Ablation) else cls(ablation)

    @property
    def settings(self) -> dict[str, object]:
        """The settings for provenance."""
        return {
            "method": self.method,
            "reference": None if self.reference is None else self.reference.described,
            "mean_over": self.mean_over if self.method == "mean" else None,
            "seed": self.seed,
        }

    def prepared(
        self, model: TransformerBridge, windows: Windows, head_outputs: HeadOutputs, *, batch_size: int = 64
    ) -> Replacement:
        """Check that the method can be applied to a model and windows, and prepare it.

        Args:
            model: the model whose heads are ablated.
            windows: the tested windows.
            head_outputs: computes z from token ids.
            batch_size: reference windows per pass.

        Raises:
            WindowError: the model cannot take the windows.
            AblationError: the method lacks the heads or windows it needs, or reference windows overlap the tested ones.
        """
        check_windows(model, windows)
        if self.method == "peer_mean" and model.cfg.n_heads < 2:
            raise AblationError(
                f"peer_mean needs other heads in the layer; {model.cfg.model_name} has one head per layer"
            )
        if self.reference is not None:
            _check_reference(model, windows, self.reference)
        if self.method == "mean":
            assert self.reference is not None
            return Replacement(self.method, mean=_mean(self.reference, head_outputs, self.mean_over, batch_size))
        if self.method == "resample":
            return Replacement(self.method, donors=_donors(windows, self.reference, self.seed))
        return Replacement(self.method)


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
            f"(first: window {shared[0]}); a head would be replaced by its output on the tested text itself. Leave "
            "them out (interp.data.disjoint.overlapping names them)"
        )


def _mean(
    reference: Windows, head_outputs: HeadOutputs, mean_over: MeanOver, batch_size: int
) -> Float[Tensor, "layer pos head d_head"]:
    total: Tensor | float = 0.0
    for _, tokens in reference.batches(batch_size):
        # Summed in float64, so that the batch size does not matter.
        total = total + torch.stack([z.double().sum(dim=0) for z in head_outputs(tokens)])
    mean = torch.as_tensor(total) / len(reference)
    if mean_over == "all":
        n_pos = mean.shape[1]
        over_all = reduce(mean, "layer pos head d_head -> layer head d_head", "mean")
        mean = repeat(over_all, "layer head d_head -> layer pos head d_head", pos=n_pos)
    return mean


def _donors(windows: Windows, reference: Windows | None, seed: int) -> Int[Tensor, "window pos"]:
    """Tokens of each window's donor, drawn by (seed, window id) from the windows that share no text with it."""
    pool = windows if reference is None else reference
    # Reference windows share no text with the tested ones; this was checked before.
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
        AblationError: the model does not have the layer or head, a head is named twice, or an entry is not a pair.
    """
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    mask = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for pair in heads:
        if np.shape(pair) != (2,):
            raise AblationError(
                f"{pair!r} is not a head: give (layer, head) pairs, [(0, 1)] for head 1 of layer 0 alone"
            )
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
