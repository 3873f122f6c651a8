"""The state of the process and the model during every measurement.

A result must not depend on what a notebook did before. During a measurement

- the process is as if new: no gradients, inference mode, autocast or reduced precision of float32 products; the default
  dtype is float32 and the default device the CPU; numpy warns and does not raise;
- every module of the model is in eval mode, so dropout and gradient checkpointing are off.

Afterwards all of this is restored. Global random generators are neither read nor moved, threads are unchanged, and no
parameter gets a gradient. A model whose dtype or device was changed after loading cannot be restored to a known state,
so it is refused. Changes in the model itself (weights, layers, hooks) are part of what is measured. See
``interp.models.hooks.attached_hooks`` for hooks. ``Decoder.of`` and ``interp.engine.take_apart.take_apart`` check that
faster computations still agree with the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.errors import InterpError
from interp.models.hooks import named_modules

P = ParamSpec("P")
R = TypeVar("R")


class StateError(InterpError, RuntimeError):
    """The model is in a state in which it must not be measured."""


@contextmanager
def settled_process(device: torch.device) -> Iterator[None]:
    """The process as if new, for work on a device. Restored afterwards."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(False))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        for kind in {"cpu", device.type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # Only if it differs: a default device costs time at every call of torch.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        backends: Any = torch.backends
        for products in (backends.cuda.matmul, backends.mkldnn.matmul):
            if products.fp32_precision not in {"none", "ieee"}:
                stack.callback(setattr, products, "fp32_precision", products.fp32_precision)
                products.fp32_precision = "ieee"
        yield


@contextmanager
def measuring(model: TransformerBridge) -> Iterator[None]:
    """The process as if new and the model in eval mode. Both are restored afterwards.

    Raises:
        StateError: the model's dtype or device was changed after loading, or it was made in inference mode.
    """
    _refuse_changed(model)
    training = [module for module in named_modules(model).values() if module.training]
    with settled_process(torch.device(model.cfg.device)):
        try:
            # Set the flags directly: train() and eval() of some modules do more, such as merging an adapter.
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


def measurement(
    function: Callable[Concatenate[TransformerBridge, P], R],
) -> Callable[Concatenate[TransformerBridge, P], R]:
    """Decorate a function of a model so that it runs inside ``measuring``."""

    @wraps(function)
    def measured(model: TransformerBridge, *args: P.args, **kwargs: P.kwargs) -> R:
        with measuring(model):
            return function(model, *args, **kwargs)

    return measured  # type: ignore[return-value]  # the model may also be passed by keyword


def _refuse_changed(model: TransformerBridge) -> None:
    if not isinstance(model, TransformerBridge):
        raise StateError(f"{type(model).__name__} given as the model; load one first: interp.load_model(NAME)")
    name, device = model.cfg.model_name, torch.device(model.cfg.device)
    config: Any = model.original_model.config
    # Conversion between float32 and float64 loses nothing. Conversion to half precision also rounds rotary frequencies,
    # which stay in float32 in a model loaded in half precision.
    known = {model.cfg.dtype, config.dtype or model.cfg.dtype}
    exact = known <= {torch.float32, torch.float64}
    for key, parameter in model.original_model.named_parameters():
        if parameter.is_floating_point() and (parameter.dtype != model.cfg.dtype or not (exact or len(known) == 1)):
            raise StateError(
                f"{name} was loaded in {config.dtype}, but {key} is in {parameter.dtype}; load the model in the type "
                f"of the measurement: load_model(..., dtype={parameter.dtype})"
            )
        if parameter.device.type != device.type:
            raise StateError(f"{name} was loaded on {device}, but {key} is on {parameter.device}; load it again")
        if parameter.is_inference():
            raise StateError(f"{name} was made in torch.inference_mode(), so it has no gradients; load it outside")
