"""Direct logit attribution: what each part of the model adds to the logit of the true token.

The residual stream after the last layer is the sum of embedding, positions, heads, attention biases and MLPs. The
unembedding is linear, and so is the final norm if its scale is fixed at that of the run. So each part has a share of
the logit, and the shares sum to it (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Wang et
al. 2022, arXiv 2211.00593). If a norm follows the attention (OLMo2, OLMo3), its scale is fixed too, so that heads can
be separated through it. Only direct paths count: the effect of a head through later layers belongs to those layers.

    >>> result = logit_attribution(model, windows)
    >>> result.to_frame().nlargest(5, "value")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.blocks import Blocks
from interp.engine.budget import rows_at_once
from interp.engine.take_apart import take_apart
from interp.errors import InterpError
from interp.models.hooks import check_computed
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.columns import estimates_frame
from interp.stats.curves import column_estimates


class AttributionError(InterpError, RuntimeError):
    """The shares do not sum to the logit."""


@dataclass(frozen=True, repr=False, eq=False)
class LogitAttribution(Result):
    """Shares of the true token's logit, in logits, by continuation position."""

    windows: Windows
    logit: Float[np.ndarray, "window continuation"]
    """Logit of each true continuation token given the true tokens before it: the sum of all shares."""
    embedding: Float[np.ndarray, "window continuation"]
    position: Float[np.ndarray, "window continuation"]
    """Learned position embedding; 0 in models without it."""
    head: Float[np.ndarray, "layer head window continuation"]
    attention_bias: Float[np.ndarray, "layer window continuation"]
    """Bias of the output projection; 0 if there is none."""
    mlp: Float[np.ndarray, "layer window continuation"]
    bias: Float[np.ndarray, "window continuation"]
    """Biases of the final norm and the unembedding."""
    provenance: Provenance

    def total(self) -> Float[np.ndarray, "window continuation"]:
        """Sum of all shares."""
        layers = self.head.sum(axis=(0, 1)) + self.attention_bias.sum(axis=0) + self.mlp.sum(axis=0)
        return self.embedding + self.position + layers + self.bias

    def _shares(self) -> Iterator[tuple[str, int | None, int | None, Float[np.ndarray, "window continuation"]]]:
        yield "embedding", None, None, self.embedding
        yield "position", None, None, self.position
        for layer in range(len(self.mlp)):
            for head in range(self.head.shape[1]):
                yield "head", layer, head, self.head[layer, head]
            yield "attention_bias", layer, None, self.attention_bias[layer]
            yield "mlp", layer, None, self.mlp[layer]
        yield "bias", None, None, self.bias
        yield "logit", None, None, self.logit

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per part, and one for the logit: mean share per continuation token, with its interval."""
        parts = list(self._shares())
        means = np.stack([share.mean(axis=1) for *_, share in parts], axis=1)
        estimates, _ = column_estimates(means, self.windows.document, seed=seed, trials=0)
        which = pd.DataFrame([part[:3] for part in parts], columns=["part", "layer", "head"])
        return pd.concat([which.astype({"layer": "Int64", "head": "Int64"}), estimates_frame(estimates)], axis=1)


@measurement
def logit_attribution(
    model: TransformerBridge,
    windows: Windows,
    *,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> LogitAttribution:
    """Split the logit of each true continuation token into the shares of all parts of the model.

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        batch_size: windows per pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Raises:
        WindowError: the model cannot take the windows.
        AttributionError: the shares do not sum to the logit, a norm is neither RMS nor layer norm, or the model is in
            half precision.
        ActivationError: logits are NaN or infinite (names the window).
    """
    check_windows(model, windows)
    blocks = take_apart(model, windows.tokens[:1])
    if blocks.dtype not in {torch.float32, torch.float64}:
        raise AttributionError(
            f"shares in {blocks.dtype} would not sum to the logit; load {model.cfg.model_name} in float32"
        )
    batches = []
    # The contributions of every head, MLP and bias are kept.
    residuals = len(blocks.layers) * (blocks.n_heads + 3)
    batch_size = rows_at_once(model, windows.tokens.shape[1], batch_size, memory_budget, residuals=residuals)
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), "attribution", progress):
        keep = slice(windows.prefix_len - 1, tokens.shape[1] - 1)
        residual, added = _run(blocks, tokens, keep)
        check_computed(residual, model, tokens, name="the last residual stream", windows=windows.window[where])
        shares = _shares(blocks, tokens, keep, residual, added)
        batches.append({name: share.double().cpu().numpy() for name, share in shares.items()})
    # The windows are the second-to-last axis of every share.
    result = LogitAttribution(
        windows=windows,
        **{name: np.concatenate([batch[name] for batch in batches], axis=-2) for name in batches[0]},
        provenance=Provenance.of("logit_attribution", model, windows, batch_size=batch_size),
    )
    error = float(np.abs(result.total() - result.logit).max())
    size = max(1.0, float(np.abs(result.head).max()), float(np.abs(result.mlp).max()))
    # Rounding of many terms. Some norms compute in float32 even in a float64 model.
    allowed = 100 * max(torch.finfo(blocks.dtype).eps, torch.finfo(torch.float32).eps) * size * len(blocks.layers)
    if not error <= allowed:
        raise AttributionError(
            f"the shares of {model.cfg.model_name} miss the logit by {error:.3g} (at most {allowed:.3g} is rounding); "
            "some part of this model is missing from the sum"
        )
    return result


Added = list[tuple[Float[Tensor, "batch continuation head d_head"], Tensor, Tensor]]
"""For each layer: z, its projection, and the MLP's contribution, each (batch, continuation, ...)."""


def _run(
    blocks: Blocks, tokens: Int[Tensor, "batch pos"], keep: slice
) -> tuple[Float[Tensor, "batch continuation d_model"], Added]:
    """The last residual stream at the predicting positions, and each layer's contributions to it."""
    positions = blocks.positions(0, tokens.shape[1] - 1)
    residual = blocks.embed(tokens[:, :-1])
    added: Added = []
    for layer in range(len(blocks.layers)):
        z = blocks.z(layer, residual, positions)
        projected = blocks.project(layer, z)
        after = blocks.after_attention(layer, residual, projected)
        attention = blocks.layers[layer].post_norm1(projected)
        added.append((z[:, keep], projected[:, keep], (after - residual - attention)[:, keep]))
        residual = after
    return residual[:, keep], added


def _shares(
    blocks: Blocks,
    tokens: Int[Tensor, "batch pos"],
    keep: slice,
    last: Float[Tensor, "batch continuation d_model"],
    added: Added,
) -> dict[str, Float[Tensor, ...]]:
    """All shares of a batch, with axes as in ``LogitAttribution``."""
    truth = tokens[:, keep.start + 1 :].to(blocks.device)
    embedding = blocks.embed_module(tokens[:, :-1].to(blocks.device))
    unembed = blocks.unembed_module
    towards = unembed.weight[truth]
    direction, norm_bias = _through(blocks.final_norm, last, towards)
    bias = norm_bias if unembed.bias is None else norm_bias + unembed.bias[truth]
    heads, attention_biases, mlps = [], [], []
    for layer, (z, projected, mlp) in enumerate(added):
        inner, _ = _through(blocks.layers[layer].post_norm1, projected, direction)
        by_head = torch.einsum("bpm,hdm->bphd", inner, blocks.output_weight(layer))
        heads.append(reduce(by_head * z, "batch continuation head d_head -> head batch continuation", "sum"))
        output_bias = blocks.layers[layer].project.bias
        attention_biases.append(torch.zeros_like(bias) if output_bias is None else inner @ output_bias)
        mlps.append((direction * mlp).sum(dim=-1))
    return {
        "logit": blocks.unembed(last).gather(-1, truth[..., None]).squeeze(-1),
        "embedding": (direction * embedding[:, keep]).sum(dim=-1),
        "position": (direction * (blocks.embed(tokens[:, :-1]) - embedding)[:, keep]).sum(dim=-1),
        "head": rearrange(heads, "layer head batch continuation -> layer head batch continuation"),
        "attention_bias": torch.stack(attention_biases),
        "mlp": torch.stack(mlps),
        "bias": bias,
    }


def _through(
    norm: nn.Module, x: Float[Tensor, "batch pos d_model"], direction: Float[Tensor, "batch pos d_model"]
) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos"]]:
    """Pull a direction back through a norm with its scale fixed at that of ``x``.

    Returns:
        The direction d such that <direction, norm(c)> = <d, c> + constant for every part c of x, and the constant, from
        the norm's bias.
    """
    if isinstance(norm, nn.Identity):
        return direction, torch.zeros_like(direction[..., 0])
    weight = getattr(norm, "weight", None)
    bias = getattr(norm, "bias", None)
    out = norm(x) if bias is None else norm(x) - bias
    weighted = direction if weight is None else direction * weight
    for centred in (False, True):
        plain = x - x.mean(dim=-1, keepdim=True) if centred else x
        plain = plain if weight is None else plain * weight
        # The scale is computed from the norm's output, so it contains each norm's own epsilon.
        scale = (out * plain).sum(dim=-1, keepdim=True) / (plain * plain).sum(dim=-1, keepdim=True)
        if torch.allclose(scale * plain, out, rtol=1e-3, atol=1e-3 * float(out.detach().abs().max())):
            pulled = scale * weighted
            pulled = pulled - pulled.mean(dim=-1, keepdim=True) if centred else pulled
            constant = torch.zeros_like(direction[..., 0]) if bias is None else direction @ bias
            return pulled, constant
    raise AttributionError(f"{type(norm).__name__} is neither an RMS norm nor a layer norm; it cannot be made linear")
