"""Refusal of activations that are not finite: one NaN in a mean makes a curve vanish, or worse, shift.

Where only an outcome is at hand, the model is run once more to say in which layer it begins.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.errors import InterpError
from interp.models.hooks import activations, hook_name


class ActivationError(InterpError, RuntimeError):
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


def check_stream(
    stream: Mapping[str, Float[Tensor, "batch ..."]], *, windows: Int[np.ndarray, " batch"], model_name: str
) -> None:
    """Refuse activations in the order of the computation, so that the first site that is not finite is named.

    Raises:
        ActivationError: as ``check_finite``.
    """
    for name, activation in stream.items():
        check_finite(activation, name=name, windows=windows, model_name=model_name)


def check_outcome(
    outcome: Float[Tensor, "batch ..."],
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    name: str,
    windows: Int[np.ndarray, " batch"],
) -> None:
    """Refuse an outcome that is not finite, naming the layer in which the model itself begins to fail on the tokens.

    Args:
        outcome: one row a window.
        model: what computed it; run once more, on bad outcomes only.
        tokens: what it was run on.
        name: of the outcome, for a model that by itself does not fail.
        windows: ids of the rows.

    Raises:
        ActivationError: some entry is NaN or infinite.
    """
    if torch.isfinite(outcome).all():
        return
    names = [hook_name("hook_resid_pre", 0), *(hook_name("hook_resid_post", i) for i in range(model.cfg.n_layers))]
    stream = activations(model, tokens.to(model.cfg.device), names)
    check_stream(stream, windows=windows, model_name=str(model.cfg.model_name))
    check_finite(outcome, name=name, windows=windows, model_name=str(model.cfg.model_name))
