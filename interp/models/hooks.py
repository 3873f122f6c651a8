"""Checked hooks: how measurements read and edit activations.

TransformerBridge accepts some names that never fire (gated hooks, aliases of a block that has no such point). A hook
that does not fire leaves a clean run that looks like a result. Here, an unknown name is an error before the run, and a
wrong number of calls is an error after it.

Hooks that a user has attached are part of the measured model: they act in every measurement, and provenance lists them
(``attached_hooks``). Measurements that take the model apart (the ablation sweep and sets of heads, the gradient
estimate, logit attribution) cannot run them and refuse a hooked model. Text is generated one position at a time. A hook
that then acts differently than on the whole text is refused as well.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.errors import InterpError
from interp.several import several

HookFn = Callable[[Tensor, HookPoint], Tensor | None]
"""Called with the activation. Its return value replaces the activation; ``None`` leaves it unchanged."""


class HookError(InterpError, RuntimeError):
    """A hook does not exist, or did not fire as often as expected."""


class ActivationError(InterpError, RuntimeError):
    """The model computes NaN or infinite activations on a window."""


def hook_name(site: str, layer: int) -> str:
    """Full name of a site in a layer: ``hook_name("hook_z", 3) == "blocks.3.attn.hook_z"``."""
    in_attention = site in {"hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern", "hook_attn_scores"}
    return f"blocks.{layer}.{'attn.' if in_attention else ''}{site}"


_HARMLESS = (
    "transformer_lens.model_bridge",
    "transformers.utils.output_capturing",
    "transformers.modeling_utils",
    "torch.utils.module_tracker",
)
"""Modules whose torch hooks change no activation. They record some for the model's own use, say in which module an
operation is counted (torch's ``FlopCounterMode``), or (after gradient checkpointing was switched on) let the embeddings
require a gradient."""


def named_modules(model: TransformerBridge) -> dict[str, nn.Module]:
    """All modules of a bridge, and the other modules of its Hugging Face model, by name."""
    own = {name.replace("_original_component.", ""): module for name, module in model.named_modules()}
    seen = set(map(id, own.values()))
    wrapped = model.original_model.named_modules(prefix="original_model")
    return own | {name: module for name, module in wrapped if id(module) not in seen}


_KINDS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_BUILT_IN: WeakKeyDictionary[TransformerBridge, frozenset[int]] = WeakKeyDictionary()


def note_built_in_hooks(model: TransformerBridge) -> None:
    """Remember the hooks that a model was booted with (OPT). They belong to the architecture, not to a user."""
    _BUILT_IN[model] = frozenset(id(fn) for module in named_modules(model).values() for fn in _hooks(module))


def _hooks(module: nn.Module) -> Iterator[Callable[..., Any]]:
    return chain.from_iterable(getattr(module, kind).values() for kind in _KINDS)


def attached_hooks(model: TransformerBridge) -> list[str]:
    """Where hooks are attached to the model: hook points with a hook, and modules with any torch hook.

    Not counted: the libraries' own torch hooks that change nothing, and hooks that the model was booted with.
    """
    everywhere, built_in = nn.modules.module, _BUILT_IN.get(model, frozenset())
    of_all = chain.from_iterable(getattr(everywhere, f"_global{kind}").values() for kind in _KINDS)
    found = ["every module"] if any(not fn.__module__.startswith(_HARMLESS) for fn in of_all) else []
    for name, module in named_modules(model).items():
        if any(id(fn) not in built_in and not fn.__module__.startswith(_HARMLESS) for fn in _hooks(module)):
            found.append(_hook_point_name(model, module) if isinstance(module, HookPoint) else name)
    return found


def _hook_point_name(model: TransformerBridge, point: HookPoint) -> str:
    """The classic TransformerLens name of a point, if it has one: ``hook_z``, not ``o.hook_in``."""
    names = [name for name, other in model.hook_dict.items() if other is point]
    return next((name for name in names if name != point.name), str(point.name))


def _check_names(model: TransformerBridge, names: Sequence[str]) -> None:
    for name in names:
        if name not in model.hook_dict:
            near = difflib.get_close_matches(name, model.hook_dict, n=4, cutoff=0.6)
            raise HookError(
                f"{model.cfg.model_name} has no hook {name!r}. "
                + (f"Nearest: {', '.join(near)}." if near else f"It has {model.cfg.n_layers} layers.")
            )


@contextmanager
def checked_hooks(model: TransformerBridge, hooks: Mapping[str, HookFn], *, n_calls: int = 1) -> Iterator[Counter[str]]:
    """Attach hooks for the body of a ``with`` block and check that each fired.

    Args:
        model: the booted model.
        hooks: function for each full hook name.
        n_calls: how often each hook must fire in the body: the number of forward passes.

    Yields:
        The number of calls of each hook so far.

    Raises:
        HookError: the model does not have the name, the hook is gated, or it fired another number of times. An
            exception from the body takes precedence.
    """
    _check_names(model, list(hooks))
    fired: Counter[str] = Counter()

    def counting(name: str, fn: HookFn) -> HookFn:
        def wrapped(activation: Tensor, hook: HookPoint) -> Tensor | None:
            fired[name] += 1
            return fn(activation, hook)

        return wrapped

    with ExitStack() as stack:
        try:
            stack.enter_context(model.hooks(fwd_hooks=[(name, counting(name, fn)) for name, fn in hooks.items()]))
        except (ValueError, KeyError) as error:
            raise HookError(f"{model.cfg.model_name} cannot attach {sorted(hooks)}: {error}") from error
        yield fired
    wrong = {name: fired[name] for name in hooks if fired[name] != n_calls}
    if wrong:
        raise HookError(
            f"hooks of {model.cfg.model_name} did not fire the expected {n_calls} times: {wrong}. "
            "The model may compute this site in another way (fused attention, a gated hook); the result would be wrong."
        )


def logits(model: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """The model's logits on token ids. No BOS is added, and there is no padding."""
    return model(tokens, return_type="logits", prepend_bos=False)


def activations(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    names: str | Sequence[str],
    *,
    windows: Int[np.ndarray, " batch"] | None = None,
) -> dict[str, Float[Tensor, "batch ..."]]:
    """Activations at the named sites in one forward pass, without gradients.

    Activations that are not finite are refused: one NaN in a mean makes a curve vanish or, worse, shift.

    Args:
        model: the booted model.
        tokens: token ids of the batch.
        names: full hook names, in the order of the computation, so that an error names the first failing site.
        windows: window ids of the rows, for messages. Default: their positions.

    Raises:
        HookError: as ``checked_hooks``.
        ActivationError: activations are NaN or infinite (names site and window). Masked attention scores may be -inf.
    """
    names = several(names)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> HookFn:
        def fn(activation: Tensor, hook: HookPoint) -> None:
            # A later in-place operation of the model must not change the stored copy.
            kept[name] = activation.detach().clone()

        return fn

    with torch.no_grad(), checked_hooks(model, {name: keep(name) for name in names}):
        logits(model, tokens)
    ids = np.arange(len(tokens)) if windows is None else windows
    for name in names:
        masked = name.endswith("hook_attn_scores")
        seen = kept[name].masked_fill(kept[name].isneginf(), 0.0) if masked else kept[name]
        check_finite(seen, name=name, windows=ids, model_name=str(model.cfg.model_name))
    return {name: kept[name] for name in names}


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


def check_computed(
    computed: Float[Tensor, "batch ..."],
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    name: str,
    windows: Int[np.ndarray, " batch"],
) -> None:
    """Refuse values that are not finite, naming the layer where the model itself begins to fail on the tokens.

    Args:
        computed: one row per window.
        model: the model. It is run again if a value is not finite.
        tokens: token ids of the rows.
        name: name of the computed values, for messages if the model itself does not fail.
        windows: window ids of the rows.

    Raises:
        ActivationError: some entry is NaN or infinite.
    """
    if torch.isfinite(computed).all():
        return
    names = [hook_name("hook_resid_pre", 0), *(hook_name("hook_resid_post", i) for i in range(model.cfg.n_layers))]
    activations(model, tokens.to(model.cfg.device), names, windows=windows)
    check_finite(computed, name=name, windows=windows, model_name=str(model.cfg.model_name))
