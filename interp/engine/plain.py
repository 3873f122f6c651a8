"""The Hugging Face model inside a bridge, without the bridge's hook points, sharing its weights.

A bridge computes attention step by step so that every activation can be hooked. Where nothing is hooked that is
work for nothing: decoding through the plain model is 1.3 to 2 times as fast, and it is what ``generate`` runs.
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
    """Whether anything is attached to the model; see ``attached_hooks``."""
    return bool(attached_hooks(model))


def plain_model(model: TransformerBridge) -> PreTrainedModel | None:
    """The model that the bridge wraps, rebuilt around the same tensors; no memory is copied.

    Returns:
        The plain model in eval mode, or None where it would not be the model that the bridge runs: something is
        hooked, or the bridge's weights have been folded, centred or renamed. Weights edited through the bridge after
        loading may be copies that the plain model does not see, so a caller compares both on a probe.
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
    """A model of the configuration, with the fastest attention that it takes; None where it takes none of them."""
    for attention in (SINGLE_QUERY, "eager"):
        try:
            with torch.device("meta"):
                # A copy: the attention is written into the configuration, and the bridge's model reads its own.
                return AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation=attention)
        except (ValueError, KeyError):  # an architecture whose attention cannot be chosen
            continue
    return None
