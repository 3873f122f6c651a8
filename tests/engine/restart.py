"""Running from a layer: from a stored residual stream, only what lies above is computed.

The engine is ``interp.engine.blocks``; these functions are for measurements that need no more than a restart.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.engine.take_apart import random_probe, take_apart
from interp.models.measuring import measurement


@measurement
def residual_before(
    model: TransformerBridge, layer: int, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_model"]:
    """Residual stream before a layer, as at ``hook_resid_pre``; ``layer = n_layers`` gives that after the last."""
    blocks = take_apart(model, tokens[:1])
    positions = blocks.positions(0, tokens.shape[1])
    residual = blocks.embed(tokens)
    for i in range(layer):
        residual = blocks.block(i, residual, positions)
    return residual


@measurement
def run_from(
    model: TransformerBridge,
    layer: int,
    residual: Float[Tensor, "batch pos d_model"],
    *,
    keep: slice = slice(None),
) -> Float[Tensor, "batch kept d_vocab"]:
    """Logits at the positions ``keep``, from a residual stream before ``layer`` (0 ... n_layers).

    Raises:
        ValueError: no such layer.
        RestartError: see ``take_apart``.
    """
    _check_layer(model, layer, model.cfg.n_layers)
    blocks = take_apart(model, random_probe(model, residual.shape[1]))
    return blocks.unembed(blocks.run_from(layer, residual, blocks.positions(0, residual.shape[1]), keep=keep))


@measurement
def run_after_attention(
    model: TransformerBridge,
    layer: int,
    residual: Float[Tensor, "batch pos d_model"],
    attention: Float[Tensor, "batch pos d_model"],
    *,
    keep: slice = slice(None),
) -> Float[Tensor, "batch kept d_vocab"]:
    """Logits at the positions ``keep``, from what the attention of ``layer`` adds to the residual stream before it.

    Two tensors, since a parallel block's MLP sees the stream without the attention.

    Args:
        model: a booted model.
        layer: 0 ... n_layers - 1.
        residual: before the layer.
        attention: what its attention adds, after the norm that follows in some models.
        keep: positions that are asked for.

    Raises:
        ValueError: no such layer.
        RestartError: see ``take_apart``.
    """
    _check_layer(model, layer, model.cfg.n_layers - 1)
    blocks = take_apart(model, random_probe(model, residual.shape[1]))
    after = blocks.finish(layer, residual, attention)
    return blocks.unembed(blocks.run_from(layer + 1, after, blocks.positions(0, residual.shape[1]), keep=keep))


def _check_layer(model: TransformerBridge, layer: int, last: int) -> None:
    if not 0 <= layer <= last:
        raise ValueError(
            f"{model.cfg.model_name} has layers 0 to {model.cfg.n_layers - 1}; cannot run from layer {layer}"
        )
