"""Refusal of activations that are not finite: one NaN in a mean makes a curve vanish, or worse, shift."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class ActivationError(RuntimeError):
    """A model that computes NaN or infinite activations on some window."""


def check_finite(
    activation: Float[Tensor, "batch ..."], *, name: str, windows: Int[np.ndarray, " batch"], model_name: str
) -> None:
    """Refuse a NaN or infinite activation, naming the site and the window.

    Raises:
        ActivationError: some entry is NaN or infinite.
    """
    finite = torch.isfinite(activation)
    if not finite.all():
        row = int((~finite).flatten(1).any(1).nonzero()[0, 0])
        raise ActivationError(
            f"{model_name} computes NaN or infinite values at {name} on window {int(windows[row])}; "
            "load it in float32, and check its weights"
        )
