"""Noise and recovery: how the residual stream recovers from a disturbance, and whether the text survives it.

h' = h + alpha * rms(h) * e at one site, with the rms over d_model at each position and e ~ N(0, I) (arXiv 2603.21658,
internal level; definitions, "noise"). The draw depends only on (seed, window id, alpha), so neither the batch size nor
the other windows change it (ours). Three quantities are measured by layer, over the continuation positions, with
teacher forcing: the cosine between the clean and the noisy residual stream; the same after the layer's mean clean
residual is subtracted from both, because a large common direction can hide a difference (ours); and KL(clean || noisy)
of the lens' distributions (ours). In addition, M is measured by greedy decoding under the same noise, with noise on the
generated tokens too.

    noisy = perturb(model, windows, alphas=(0.0, 0.2, 0.4))
    noisy.curves("cosine", groups=memorization_groups(score))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.decoding import greedy_decode
from interp.engine.readout import true_log_probs
from interp.errors import InterpError
from interp.internal.lens.distributions import Distribution
from interp.internal.lens.logit_lens import check_lens, lens_logits, lens_points, predicting
from interp.internal.noise.perturbation import Perturbation
from interp.models.hooks import HookError, HookFn, activations, checked_hooks, hook_name
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance
from interp.seeds import generator
from interp.several import several
from interp.sizes import Size

ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
Site = Literal["hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out"]
"""Sites for noise. Not ``hook_resid_mid``: in the bridge, an edit there reaches the MLP but not the stream."""


class NoiseError(InterpError, ValueError):
    """The levels of noise cannot be measured."""


def noise(
    windows: Int[np.ndarray, " batch"], alpha: float, *, n_pos: int, d_model: int, seed: int
) -> Float[Tensor, "batch pos d_model"]:
    """Standard normal draws. Each window has its own generator, keyed by (seed, window id, alpha)."""
    key = round(alpha * 1_000_000)
    draws = [
        # A window id may be negative, but an entropy word may not.
        generator(seed, int(window) % 2**63, key).standard_normal((n_pos, d_model), dtype=np.float32)
        for window in windows
    ]
    return torch.from_numpy(np.stack(draws))


def _adding(draw: Float[Tensor, "batch pos d_model"], alpha: float) -> HookFn:
    """Hook that adds the draw at the next positions: a pass with a cache sees only new positions."""
    done = 0

    def fn(h: Float[Tensor, "batch new d_model"], hook: HookPoint) -> Float[Tensor, "batch new d_model"]:
        nonlocal done
        e = draw[:, done : done + h.shape[1]].to(h.device, h.dtype)
        done += h.shape[1]
        return h + alpha * h.square().mean(-1, keepdim=True).sqrt() * e

    return fn


def _points(model: TransformerBridge, layer: int, site: Site) -> dict[str, float]:
    """Points from the noise on, with their depth. The noisy site is first if it is on the residual stream."""
    after = {name: depth for name, depth in lens_points(model).items() if depth > layer + (site == "hook_resid_post")}
    on_stream = {"hook_resid_pre": float(layer), "hook_resid_post": layer + 1.0}
    return ({hook_name(site, layer): on_stream[site]} if site in on_stream else {}) | after


def _mean_residual(
    model: TransformerBridge, windows: Windows, names: Sequence[str], *, batch_size: int, progress: bool
) -> dict[str, Float[Tensor, " d_model"]]:
    """Mean clean residual of each point, over all windows and continuation positions."""
    totals: dict[str, Tensor] = {}
    at = predicting(windows)
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), "mean residuals", progress):
        stream = activations(model, tokens.to(model.cfg.device), names, windows=windows.window[where])
        for name, residual in stream.items():
            total = residual[:, at].double().sum(dim=(0, 1))
            totals[name] = totals[name] + total if name in totals else total
    return {name: total / (len(windows) * windows.continuation_len) for name, total in totals.items()}


def _cosine(
    clean: Float[Tensor, "batch continuation d_model"],
    noisy: Float[Tensor, "batch continuation d_model"],
    origin: Float[Tensor, " d_model"],
) -> Float[np.ndarray, " batch"]:
    """Cosine about an origin. A position at the origin has no direction and is left out."""
    from_origin = clean.double() - origin
    cosines = torch.cosine_similarity(from_origin, noisy.double() - origin, dim=-1)
    has_direction = from_origin.norm(dim=-1) > 1e-6 * clean.double().norm(dim=-1)
    return torch.where(has_direction, cosines, torch.nan).nanmean(dim=1).cpu().numpy()


@measurement
def perturb(
    model: TransformerBridge,
    windows: Windows,
    *,
    alphas: float | Sequence[float] = ALPHAS,
    layer: int = 0,
    site: Site = "hook_resid_pre",
    positions: int | Sequence[int] | None = None,
    lens: bool = True,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Perturbation:
    """Add relative Gaussian noise at one site and measure recovery by layer, and M, at each alpha.

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        alphas: noise relative to the rms of the activation, each at least 0.
        layer: layer of the noise, 0-based.
        site: site of the noise in the layer.
        positions: positions of the window that get noise, 0-based (``range(prefix_len)``: the prefix). Default: all.
        lens: whether to decode every point, the most expensive part for a large vocabulary. False gives NaN.
        batch_size: windows per pass. Memory grows with it: (alphas x points) residuals of the continuation.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        seed: seed of the noise.
        progress: show a bar with the time left.

    Returns:
        Recovery and scores at each alpha. Cosines are means over the continuation positions of a window.

    Raises:
        WindowError: the model cannot take the windows, or positions are beyond the window.
        NoiseError: an alpha is negative, not finite or given twice.
        HookError: the model does not have the layer, the site cannot have noise, or the model's output is not its final
            norm and unembedding.
        ActivationError: activations are not finite.
    """
    check_windows(model, windows)
    n_pos, n_layers = windows.tokens.shape[1], model.cfg.n_layers
    alphas = several(alphas)
    positions = None if positions is None else several(positions)
    possible = bool(alphas) and all(0 <= alpha < math.inf for alpha in alphas)
    if not possible or len({round(alpha * 1_000_000) for alpha in alphas}) < len(alphas):
        raise NoiseError(f"alphas={alphas}: give at least one, each finite, none negative, none twice")
    if not 0 <= layer < n_layers:
        raise HookError(f"layer {layer} is out of range: {model.cfg.model_name} has layers 0 to {n_layers - 1}")
    if site not in get_args(Site):
        raise HookError(
            f"site {site!r} cannot have noise; choose from {', '.join(get_args(Site))} (an edit at hook_resid_mid "
            "would reach the MLP but not the residual stream)"
        )
    chosen = torch.zeros(n_pos, 1, dtype=torch.float32)
    if positions is not None and not all(0 <= p < n_pos for p in positions):
        raise WindowError(f"positions={list(positions)} reach beyond the window's positions 0 to {n_pos - 1}")
    chosen[list(range(n_pos) if positions is None else positions)] = 1

    check_lens(model, windows)
    points = _points(model, layer, site)
    noisy_site = hook_name(site, layer)
    batch_size = rows_at_once(
        model,
        n_pos,
        batch_size,
        memory_budget,
        residuals=(1 + len(alphas)) * len(points),
        unembedded=6 * windows.continuation_len,
    )
    means = _mean_residual(model, windows, list(points), batch_size=batch_size, progress=progress)
    shape = (len(alphas), len(points), len(windows))
    cosine, centred, lens_kl = np.empty(shape), np.empty(shape), np.full(shape, np.nan)
    score, log_prob = np.empty((len(alphas), len(windows))), np.empty((len(alphas), len(windows)))
    memorized = np.empty((len(alphas), len(windows)), dtype=bool)
    at = predicting(windows)
    for where, batch in in_batches(windows.batches(batch_size), len(windows), "noise", progress):
        tokens = batch.to(model.cfg.device)
        truth = tokens[:, windows.prefix_len :]
        ids = windows.window[where]
        clean = {name: r[:, at] for name, r in activations(model, tokens, list(points), windows=ids).items()}
        noisy: list[dict[str, Tensor]] = []
        for a, alpha in enumerate(alphas):
            draw = noise(ids, alpha, n_pos=n_pos, d_model=model.cfg.d_model, seed=seed) * chosen
            with checked_hooks(model, {noisy_site: _adding(draw, alpha)}):
                stream = activations(model, tokens, list(points), windows=ids)
            noisy.append({name: r[:, at] for name, r in stream.items()})
            logits = lens_logits(model, noisy[a][list(points)[-1]])
            log_prob[a, where] = true_log_probs(logits, truth).mean(dim=1).cpu().numpy()
            right = (logits.argmax(-1) == truth).cpu().numpy()
            if not right.all():
                missed = torch.from_numpy(np.flatnonzero(~right.all(axis=1)))
                hook = {noisy_site: _adding(draw[missed], alpha)}
                right[missed.numpy()] = _decoded_right(model, tokens[missed.to(tokens.device)], truth.shape[1], hook)
            memorized[a, where], score[a, where] = right.all(axis=1), right.mean(axis=1)
        for p, name in enumerate(points):
            own = Distribution.of(lens_logits(model, clean[name]).flatten(0, 1)) if lens else None
            for a in range(len(alphas)):
                cosine[a, p, where] = _cosine(clean[name], noisy[a][name], torch.zeros_like(means[name]))
                centred[a, p, where] = _cosine(clean[name], noisy[a][name], means[name])
                if own is not None:
                    apart = own.divergence(lens_logits(model, noisy[a][name]).flatten(0, 1))
                    lens_kl[a, p, where] = apart.view(truth.shape).mean(1).cpu().numpy()
    return Perturbation(
        alphas=np.asarray(alphas, dtype=np.float64),
        point=tuple(points),
        depth=np.asarray(list(points.values())),
        n_layers=n_layers,
        cosine=cosine,
        centred_cosine=centred,
        lens_kl=lens_kl,
        score=score,
        memorized=memorized,
        log_prob=log_prob,
        windows=windows,
        provenance=Provenance.of(
            "perturb",
            model,
            windows,
            alphas=list(alphas),
            layer=layer,
            site=site,
            lens=lens,
            seed=seed,
            positions=None if positions is None else list(positions),
            batch_size=batch_size,
        ),
    )


def _decoded_right(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], n_tokens: int, hook: dict[str, HookFn]
) -> Bool[np.ndarray, "batch continuation"]:
    """Correct tokens by greedy decoding under a hook. Windows without a miss need no decoding."""
    with checked_hooks(model, hook, n_calls=n_tokens):
        written = greedy_decode(model, tokens[:, :-n_tokens], n_tokens=n_tokens).token
    return (written == tokens[:, -n_tokens:].cpu()).numpy()
