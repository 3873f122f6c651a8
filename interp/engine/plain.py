"""The Hugging Face model inside a bridge, with the same weights but without hook points.

A bridge computes attention step by step so that every activation can be hooked. Without hooks this is wasted: decoding
with the plain model is 1.3 to 2 times as fast. ``generate`` runs the plain model too.
"""

from __future__ import annotations

import copy
from itertools import chain

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from interp.engine.attention import SINGLE_QUERY
from interp.models.hooks import attached_hooks

_WRAPPER = "_original_component."


def is_hooked(model: TransformerBridge) -> bool:
    """Whether any hook is attached to the model; see ``attached_hooks``."""
    return bool(attached_hooks(model))


def plain_model(model: TransformerBridge) -> PreTrainedModel | None:
    """The model that the bridge wraps, rebuilt with the same tensors. No memory is copied.

    Returns:
        The plain model in eval mode. None if it would differ from the bridge: there are hooks, or weights were folded,
        centred or renamed. Weights edited through the bridge after loading may be copies that the plain model does not
        see, so callers must compare both on a probe.
    """
    if is_hooked(model) or getattr(model, "compatibility_mode", False):
        return None
    original = model.original_model
    tensors = {
        name.replace(_WRAPPER, ""): tensor
        for name, tensor in chain(
            original.named_parameters(remove_duplicate=False), original.named_buffers(remove_duplicate=False)
        )
    }
    plain = _without_weights(original.config)
    if plain is None:
        return None
    for module_name, module in plain.named_modules():
        own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        for name, wanted in list(own):
            tensor = tensors.get(f"{module_name}.{name}")
            if tensor is None or tensor.shape != wanted.shape:
                return None
            (module._parameters if name in module._parameters else module._buffers)[name] = tensor
    return plain.eval()


def _without_weights(config: PretrainedConfig) -> PreTrainedModel | None:
    """A model of the configuration with the fastest attention that it supports; None if it supports none."""
    for attention in (SINGLE_QUERY, "eager"):
        try:
            with torch.device("meta"):
                # Copied, because the attention is written into the configuration, which the bridge's model also reads.
                return AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation=attention)
        except (ValueError, KeyError):  # the architecture has a fixed attention
            continue
    return None
