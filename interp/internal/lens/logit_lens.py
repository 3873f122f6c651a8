"""Layer decoding: the next token as decoded from each layer's residual stream.

The model's own final norm and unembedding are applied to the residual stream before the first layer and after every
layer (logit lens, nostalgebraist 2020; paper arXiv 2603.21658, internal level; definitions, "layer decoding"). This
gives, for each true continuation token, its log-probability and rank, the entropy of the decoded distribution, and the
divergence KL(final || layer), in nats. The last point equals the model's own output.

    decoding = logit_lens(model, windows)
    decoding.curves("probability", groups={"memorized": score == 1, "unmemorized": score == 0})
    decoding.first_layer(0.5).summary()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.readout import at_least_float32
from interp.internal.lens.distributions import READ, Distribution, decode, slices
from interp.internal.lens.layer_decoding import LayerDecoding
from interp.models.hooks import HookError, activations, hook_name, logits
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.models.verify import relative_error
from interp.progress import in_batches
from interp.results import Provenance
from interp.sizes import Size

Translate = Callable[[int, Float[Tensor, "..."]], Float[Tensor, "..."]]
"""Transforms the residual stream of a point, given its index, before it is decoded."""


def lens_points(model: TransformerBridge, *, after_attention: bool = False) -> dict[str, float]:
    """Points of the residual stream in order: hook names with their depth in layers.

    Points after attention are listed even if the model has none (parallel blocks, as in Pythia).
    """
    points = {hook_name("hook_resid_pre", 0): 0.0}
    for layer in range(model.cfg.n_layers):
        if after_attention:
            points[hook_name("hook_resid_mid", layer)] = layer + 0.5
        points[hook_name("hook_resid_post", layer)] = layer + 1.0
    return points


def predicting(windows: Windows) -> slice:
    """Positions whose next token is a continuation token."""
    return slice(windows.prefix_len - 1, windows.tokens.shape[1] - 1)


def lens_logits(model: TransformerBridge, residual: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
    """The model's own final norm and unembedding on any residual stream, in float32 or better.

    Raises:
        HookError: the model has no final norm.
    """
    if not hasattr(model, "ln_final"):
        raise HookError(f"{model.cfg.model_name} has no norm before its unembedding; the lens would be wrong")
    out = model.unembed(model.ln_final(residual))
    return at_least_float32(out)


def check_lens(model: TransformerBridge, windows: Windows) -> None:
    """Refuse a model whose logits differ from final norm and unembedding of its last residual stream.

    Args:
        model: a booted model.
        windows: the windows to be decoded. The first one is tested.

    Raises:
        HookError: the logits differ.
        ActivationError: a residual stream is not finite.
    """
    tokens = windows.tokens[:1].to(model.cfg.device)
    points = [hook_name("hook_resid_post", layer) for layer in range(model.cfg.n_layers)]
    last = activations(model, tokens, points, windows=windows.window[:1])[points[-1]]
    lens, own = lens_logits(model, last), logits(model, tokens)
    difference = relative_error(lens, own)
    if difference > (1e-3 if own.dtype in {torch.float32, torch.float64} else 0.1):
        raise HookError(
            f"final norm and unembedding of {model.cfg.model_name} on its last residual stream differ from its own "
            f"logits by {difference:.3g} of these: it scales or caps its logits, and the lens would be wrong"
        )


@measurement
def logit_lens(
    model: TransformerBridge,
    windows: Windows,
    *,
    after_attention: bool = False,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> LayerDecoding:
    """Decode every layer's residual stream at the true continuation tokens (teacher-forced).

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        after_attention: also decode between attention and MLP of each layer (``hook_resid_mid``). Parallel blocks
            (Pythia) have no such point: the values are NaN.
        batch_size: windows in one forward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Returns:
        Values at ``n_layers + 1`` points (``2 n_layers + 1`` with ``after_attention``).

    Raises:
        WindowError: the model cannot take the windows.
        ActivationError: a residual stream is not finite.
        HookError: a point does not fire, or the model's output is not its final norm and unembedding.
    """
    points = lens_points(model, after_attention=after_attention)
    batch_size = windows_at_once(model, windows, batch_size, memory_budget, n_points=len(points))
    return decode_points(
        model,
        windows,
        points,
        batch_size=batch_size,
        progress=progress,
        provenance=Provenance.of("logit_lens", model, windows, after_attention=after_attention, batch_size=batch_size),
    )


def windows_at_once(
    model: TransformerBridge, windows: Windows, batch_size: int, memory_budget: Size | None, *, n_points: int
) -> int:
    """Windows per pass, if all residual streams are kept and decoded one point at a time."""
    # Logits of a point, the final distribution, and what is made of both; of a slice of positions alone.
    unembedded = 4 * windows.continuation_len
    n_pos = windows.tokens.shape[1]
    return rows_at_once(model, n_pos, batch_size, memory_budget, residuals=n_points, unembedded=unembedded)


def decode_points(
    model: TransformerBridge,
    windows: Windows,
    points: Mapping[str, float],
    *,
    translate: Translate | None = None,
    batch_size: int,
    progress: bool = False,
    provenance: Provenance,
) -> LayerDecoding:
    """Decode the residual stream at some points, after a translator if given; see ``logit_lens``."""
    check_windows(model, windows)
    check_lens(model, windows)
    present = [name for name in points if not name.endswith("hook_resid_mid") or name in model.hook_dict]
    at = predicting(windows)
    dtype = np.float64 if model.cfg.dtype == torch.float64 else np.float32
    shape = (len(points), len(windows), windows.continuation_len)
    values = np.full((len(READ), *shape), np.nan, dtype=dtype)
    for where, batch in in_batches(windows.batches(batch_size), len(windows), "layer decoding", progress):
        tokens = batch.to(model.cfg.device)
        residual = activations(model, tokens, present, windows=windows.window[where])
        kept = {i: residual[name][:, at].flatten(0, 1) for i, name in enumerate(points) if name in residual}
        truth, last = tokens[:, windows.prefix_len :].flatten(), max(kept)
        found = np.full((len(READ), len(points), len(truth)), np.nan, dtype=dtype)
        for some in slices(len(truth), tokens.device):
            # The final distribution is computed once for all points.
            own = lens_logits(model, kept[last][some])
            final = Distribution.of(own.clone())
            for i, stream in kept.items():
                h = stream[some]
                lens = own if i == last and not translate else lens_logits(model, translate(i, h) if translate else h)
                found[:, i, some] = decode(lens, final, truth[some]).cpu().numpy()
        values[:, :, where] = rearrange(
            found, "quantity point (window pos) -> quantity point window pos", window=len(batch)
        )
    return LayerDecoding(
        point=tuple(points),
        depth=np.asarray(list(points.values())),
        **dict(zip(READ, values, strict=True)),
        d_vocab=model.cfg.d_vocab,
        windows=windows,
        provenance=provenance,
    )
