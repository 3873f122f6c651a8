"""Checks of a model on loading, before any measurement."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.errors import InterpError
from interp.models.hooks import HookError, HookFn, checked_hooks, hook_name, logits

SITES = ("hook_resid_pre", "hook_resid_post", "hook_z", "hook_pattern")
"""Sites that measurements read or edit. Every layer must have them."""

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest accepted difference from Hugging Face's logits, as a share of their spread: rounding only. Some attentions
compute the softmax in float32 for any dtype, so float64 cannot have a smaller tolerance."""


PROBE_LEN = 24
"""Tokens of a probe window."""

LONGEST_PROBE = 512
"""Longest probe window on loading, in tokens. It reaches beyond a local attention span that is shorter. For longer
spans, agreement with Hugging Face is assumed there, and measurements compare their own computations on their own
windows."""


class VerificationError(InterpError, RuntimeError):
    """The hooks or logits of a loaded model are not what the measurements rely on."""


def relative_error(ours: Float[Tensor, "*batch d_vocab"], whole: Float[Tensor, "*batch d_vocab"]) -> float:
    """Largest difference of logits from those of the whole model, as a share of the latter, where these are finite.

    If the model itself gives NaN, the measurement reports it with the window. Infinite if only ``ours`` has NaN.
    """
    at = torch.isfinite(whole)
    if not at.any():
        return 0.0
    error = (ours[at].double() - whole[at].double()).norm() / whole[at].double().norm()
    return float(error.nan_to_num(torch.inf))


def probe_tokens(n_ctx: int, d_vocab: int, *, local_span: int = 0) -> Int[Tensor, "batch pos"]:
    """Two windows of fixed random ids, at most ``PROBE_LEN`` long and within the context.

    If some layers have a local attention span, they are longer, up to ``LONGEST_PROBE``.
    """
    n_pos = min(n_ctx, max(PROBE_LEN, min(local_span + PROBE_LEN, LONGEST_PROBE)))
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, d_vocab, (2, n_pos), generator=generator, device="cpu")


def verify(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], hf_logits: Float[Tensor, "batch pos d_vocab"]
) -> None:
    """Check a booted model against the Hugging Face model it wraps.

    Args:
        model: a booted model.
        tokens: probe ids.
        hf_logits: the Hugging Face model's logits on them, before it was wrapped.

    Raises:
        VerificationError: the logits differ; a needed site does not fire in some layer or has another shape; an
            identity hook changes the logits; zeroing heads changes nothing; or logits depend on later tokens.
    """
    with torch.no_grad():
        clean = logits(model, tokens)
        _check_logits(model, clean, hf_logits)
        hooked = _run_identity(model, tokens)
        if not torch.equal(clean, hooked):
            raise VerificationError(
                f"{model.cfg.model_name}: hooks that return the activation unchanged change the logits by up to "
                f"{(clean - hooked).abs().max():.2e}; recorded activations would not be those of the clean run"
            )
        _check_heads_matter(model, tokens, clean)
        _check_causal(model, tokens, clean)


def _check_logits(
    model: TransformerBridge, clean: Float[Tensor, "batch pos d_vocab"], hf_logits: Float[Tensor, "batch pos d_vocab"]
) -> None:
    if clean.shape != hf_logits.shape:
        raise VerificationError(
            f"{model.cfg.model_name}: logits of shape {tuple(clean.shape)}, Hugging Face gives {tuple(hf_logits.shape)}"
        )
    if not torch.isfinite(clean).all():
        raise VerificationError(f"{model.cfg.model_name}: logits are not finite on the probe; try float32 or bfloat16")
    difference = (clean - hf_logits).abs().max().item()
    allowed = TOLERANCE[clean.dtype] * hf_logits.float().std().item()
    if difference > allowed:
        raise VerificationError(
            f"{model.cfg.model_name}: logits differ from Hugging Face's by {difference:.2e} (at most {allowed:.2e} is "
            "rounding); this architecture is not wrapped faithfully by the installed transformer-lens"
        )


def _check_causal(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], clean: Float[Tensor, "batch pos d_vocab"]
) -> None:
    """Change the last token: no earlier logit may change."""
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % clean.shape[-1]
    difference = (logits(model, other) - clean)[:, :-1].abs().max().item()
    if not difference <= TOLERANCE[clean.dtype] * clean.float().std().item():
        raise VerificationError(
            f"{model.cfg.model_name}: logits change by up to {difference:.2e} with a token that comes later; "
            "this is not a causal language model, and its greedy text cannot be measured"
        )


def _run_identity(model: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """One run with an identity hook at every needed site. Checks that each fires once, and its shape."""
    cfg, (batch, pos) = model.cfg, tokens.shape
    shapes = {
        "hook_resid_pre": (batch, pos, cfg.d_model),
        "hook_resid_post": (batch, pos, cfg.d_model),
        "hook_z": (batch, pos, cfg.n_heads, cfg.d_head),
        "hook_pattern": (batch, cfg.n_heads, pos, pos),
    }
    wrong: list[str] = []

    def identity(name: str, shape: tuple[int, ...]) -> HookFn:
        def fn(activation: Tensor, hook: HookPoint) -> Tensor:
            if tuple(activation.shape) != shape:
                wrong.append(f"{name} {tuple(activation.shape)} instead of {shape}")
            return activation

        return fn

    hooks = {
        hook_name(site, layer): identity(hook_name(site, layer), shapes[site])
        for site in SITES
        for layer in range(cfg.n_layers)
    }
    try:
        with checked_hooks(model, hooks):
            hooked = logits(model, tokens)
    except HookError as error:
        raise VerificationError(f"{cfg.model_name} cannot be measured: {error}") from error
    if wrong:
        raise VerificationError(f"{cfg.model_name}: activations of unexpected shape: {'; '.join(wrong[:4])}")
    return hooked


def _check_heads_matter(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], clean: Float[Tensor, "batch pos d_vocab"]
) -> None:
    """Zero one head of the middle layer. If that changes nothing, try the others: a pruned head is legitimate."""
    name = hook_name("hook_z", model.cfg.n_layers // 2)
    for head in range(model.cfg.n_heads):

        def zero(z: Tensor, hook: HookPoint, head: int = head) -> Tensor:
            z = z.clone()
            z[:, :, head] = 0
            return z

        with checked_hooks(model, {name: zero}):
            ablated = logits(model, tokens)
        if not torch.equal(clean, ablated):
            return
    raise VerificationError(
        f"{model.cfg.model_name}: zeroing any head at {name} leaves the logits unchanged; "
        "edits at this site do not reach the output, so an ablation would measure nothing"
    )
