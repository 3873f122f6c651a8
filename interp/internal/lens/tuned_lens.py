"""Tuned lens: an affine translator per layer, which maps early layers to the representation of the final layer.

Translator l maps a residual stream h to h + W_l h + b_l before the final norm and unembedding (Belrose et al. 2023,
arXiv 2303.08112). It starts as the identity, which is the plain lens. Training minimises KL(final || translated) at all
positions of training windows that share no run of 32 tokens with the tested ones. The last point stays the identity. A
tenth of the training windows' documents is held out. Of the steps that are checked on it (the identity included), the
best is kept, so the lens is no worse than the plain one there.

    lens = train_tuned_lens(model, training_windows, tested=windows)
    lens.save(path); tuned_lens(model, windows, lens)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import kl_div
from transformer_lens.model_bridge import TransformerBridge
from xxhash import xxh3_128

from interp.brief import Brief
from interp.data.disjoint import by_text, overlapping, run_length
from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.errors import InterpError
from interp.files import sha256, whole_file, write_text
from interp.internal.lens.layer_decoding import LayerDecoding
from interp.internal.lens.logit_lens import check_lens, decode_points, lens_logits, lens_points, windows_at_once
from interp.models.hooks import activations
from interp.models.identity import ModelIdentity, check_windows
from interp.models.measuring import measurement
from interp.progress import along
from interp.results import Provenance
from interp.seeds import generator
from interp.sizes import Size

N_CHECKS = 10
_TENSORS = "translators.safetensors"


class TunedLensError(InterpError, ValueError):
    """A saved lens is damaged, or belongs to another model."""


@dataclass(frozen=True, repr=False, eq=False)
class TunedLens(Brief):
    """Affine translators of one model."""

    point: tuple[str, ...]
    weight: Float[Tensor, "point d_model d_model"]
    """W of each point. 0 gives the plain lens."""
    bias: Float[Tensor, "point d_model"]
    held_out_kl: Float[np.ndarray, "check point"]
    """KL(final || translated) on held-out training windows, nats per token, at each check. The first is the plain
    lens."""
    trained_on: Int[Tensor, "window pos"]
    """Tokens of the training windows, to refuse them in tests."""
    provenance: Provenance

    def translate(self, i: int, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The translated residual stream at point ``i``."""
        weight, bias = self.weight[i].to(residual), self.bias[i].to(residual)
        return residual + residual @ weight.T + bias

    @property
    def digest(self) -> str:
        """Hash of the translators, for the provenance of their results."""
        found = xxh3_128(" ".join(self.point).encode())
        for values in (self.weight, self.bias):
            found.update(values.detach().cpu().contiguous().numpy().data)
        return found.hexdigest()

    def save(self, folder: Path) -> Path:
        """Write ``translators.safetensors`` and ``cfg.json`` into a folder."""
        tensors = {name: getattr(self, name).contiguous() for name in ("weight", "bias", "trained_on")}
        with whole_file(folder / _TENSORS) as partial:
            save_file(tensors, partial)
        cfg = {"point": self.point, "held_out_kl": self.held_out_kl.tolist(), "provenance": asdict(self.provenance)}
        cfg["sha256"] = sha256(folder / _TENSORS)
        write_text(folder / "cfg.json", json.dumps(cfg, indent=1))
        return folder

    @classmethod
    def load(cls, folder: Path) -> TunedLens:
        """Load a lens that ``save`` wrote.

        Raises:
            TunedLensError: the translators are damaged, or do not belong to ``cfg.json``.
        """
        try:
            cfg = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
            digest = cfg["sha256"]
        except (ValueError, LookupError, TypeError) as error:
            raise TunedLensError(
                f"{folder / 'cfg.json'} does not describe a tuned lens; train the lens again"
            ) from error
        if sha256(folder / _TENSORS) != digest:
            raise TunedLensError(f"{folder / _TENSORS} does not match its cfg.json; train the lens again")
        return cls(
            point=tuple(cfg["point"]),
            held_out_kl=np.asarray(cfg["held_out_kl"], dtype=np.float64),
            provenance=Provenance(**cfg["provenance"]),
            **load_file(folder / _TENSORS),
        )


def refuse_overlap(training: Windows, tested: Windows) -> None:
    """Refuse training windows that share a run of 32 tokens (or a whole shorter window) with a tested one.

    Raises:
        WindowError: names the first such window.
    """
    shared = overlapping(training, tested)
    if shared:
        raise WindowError(
            f"training window {shared[0]} shares {run_length(training, tested)} tokens in a row with a tested window: "
            "a lens must not be trained on tested text; leave such windows out "
            "(interp.data.disjoint.overlapping names them)"
        )


def _kl(final: Float[Tensor, "... d_vocab"], translated: Float[Tensor, "... d_vocab"]) -> Float[Tensor, ...]:
    return kl_div(translated.log_softmax(-1), final.log_softmax(-1), reduction="none", log_target=True).sum(-1)


@measurement
def train_tuned_lens(
    model: TransformerBridge,
    training: Windows,
    *,
    tested: Windows,
    n_steps: int = 200,
    learning_rate: float = 3e-3,
    batch_size: int = 16,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> TunedLens:
    """Train the translators on windows that share no text with the tested ones.

    Args:
        model: a booted model. Its weights are not changed.
        training: windows to train on. A tenth of their documents is held out to choose the step.
        tested: windows on which the lens will be used, to refuse an overlap.
        n_steps: optimiser steps (Adam, with a rate that falls linearly to zero).
        learning_rate: rate of the first step.
        batch_size: windows per step.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Steps are split
            to fit. Values change only by rounding.
        seed: draws the batches and the held-out documents.
        progress: show a bar with the time left.

    Raises:
        WindowError: the model cannot take the windows, they overlap with the tested ones, or have fewer than two
            documents.
        ActivationError: a residual stream is not finite.
        HookError: the model's output is not its final norm and unembedding.
    """
    check_windows(model, training)
    refuse_overlap(training, tested)
    rng = generator(seed)
    units = by_text(training)
    documents = rng.permutation(np.unique(units))
    if len(documents) < 2:
        raise WindowError("a tuned lens needs training windows of two documents that share no text: one is held out")
    held_out = np.isin(units, documents[: max(1, len(documents) // 10)])
    fit, check = training.select(~held_out), training.select(held_out)

    check_lens(model, training)
    points = list(lens_points(model))
    first = next(model.parameters())
    like = {"device": first.device, "dtype": torch.float64 if first.dtype == torch.float64 else torch.float32}
    n, d = len(points) - 1, model.cfg.d_model
    weight = torch.zeros(n, d, d, **like, requires_grad=True)
    bias = torch.zeros(n, d, **like, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=n_steps)

    # The backward pass needs the logits of every point and position.
    n_pos = training.tokens.shape[1]
    at_once = rows_at_once(
        model, n_pos, batch_size, memory_budget, residuals=4 * len(points), unembedded=4 * len(points) * n_pos
    )

    def divergence(tokens: Tensor, rows: Int[np.ndarray, " batch"]) -> Float[Tensor, " point"]:
        stream = activations(model, tokens.to(first.device), points, windows=rows)
        residuals = torch.stack(list(stream.values()))
        with torch.no_grad():
            final = lens_logits(model, residuals[-1])
        early = residuals[:-1].to(like["dtype"])
        moved = early + einsum(early, weight, "l b pos d, l out d -> l b pos out") + bias[:, None, None]
        return torch.stack([_kl(final, lens_logits(model, h.to(first.dtype))).mean() for h in moved])

    def held_out_kl() -> Float[Tensor, " point"]:
        return sum(
            (divergence(tokens, check.window[at]) * len(tokens) for at, tokens in check.batches(at_once)),
            torch.zeros(n, **like),
        ) / len(check)

    history = [held_out_kl()]
    best = history[0].clone()
    kept = (weight.detach().clone(), bias.detach().clone())
    steps = range(1, n_steps + 1)
    for step in along(steps, "training the tuned lens", progress, total=n_steps, unit="step"):
        rows = rng.integers(len(fit), size=min(batch_size, len(fit)))
        slopes = [torch.zeros_like(weight), torch.zeros_like(bias)]
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            with torch.enable_grad():
                loss = divergence(fit.tokens[torch.from_numpy(part)], fit.window[part]).sum() * (len(part) / len(rows))
            # Only the translators' gradients: backward() would leave gradients on the model and on its hooks.
            torch._foreach_add_(slopes, torch.autograd.grad(loss, (weight, bias)))
        weight.grad, bias.grad = slopes
        optimizer.step()
        schedule.step()
        if step % max(1, n_steps // N_CHECKS) == 0 or step == n_steps:
            history.append(held_out_kl())
            # Each point keeps its own best step, because translators are independent.
            better = history[-1] < best
            best = torch.where(better, history[-1], best)
            kept[0][better], kept[1][better] = weight.detach()[better], bias.detach()[better]
    zero = torch.zeros(1, device="cpu")
    settings = {"n_steps": n_steps, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
    return TunedLens(
        point=tuple(points),
        weight=torch.cat([kept[0].cpu(), zero.to(kept[0].dtype).expand(1, d, d)]),
        bias=torch.cat([kept[1].cpu(), zero.to(kept[1].dtype).expand(1, d)]),
        held_out_kl=np.pad(torch.stack(history).cpu().double().numpy(), ((0, 0), (0, 1))),
        trained_on=training.tokens,
        provenance=Provenance.of("train_tuned_lens", model, training, **settings),
    )


@measurement
def tuned_lens(
    model: TransformerBridge,
    windows: Windows,
    lens: TunedLens,
    *,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> LayerDecoding:
    """Layer decoding through the translators. The result is like that of ``logit_lens``, and equal at the last point.

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        lens: the model's translators.
        batch_size, memory_budget, progress: as in ``logit_lens``.

    Raises:
        TunedLensError: the translators belong to a model of another shape or with other weights.
        WindowError: windows share 32 tokens in a row with the training windows of the lens.
        WindowError, ActivationError, HookError: as ``logit_lens``.
    """
    points = lens_points(model)
    if lens.point != tuple(points) or lens.bias.shape[1] != model.cfg.d_model:
        raise TunedLensError(
            f"the lens was trained on {lens.provenance.model} ({len(lens.point) - 1} layers, d_model "
            f"{lens.bias.shape[1]}); {model.cfg.model_name} has {model.cfg.n_layers} and {model.cfg.d_model}"
        )
    batch_size = windows_at_once(model, windows, batch_size, memory_budget, n_points=len(points))
    identity = ModelIdentity.of(model)
    provenance = Provenance.of(
        "tuned_lens",
        identity,
        windows,
        lens=lens.digest,
        trained_on=lens.provenance.windows_digest,
        trained=asdict(lens.provenance)["settings"],
        batch_size=batch_size,
    )
    differences = provenance.differences(lens.provenance, of=("weights",))
    if differences:
        raise TunedLensError(
            f"the lens was trained on other weights than those of this {identity.model}: {differences}; train it again"
        )
    refuse_overlap(Windows.from_tokens(lens.trained_on, prefix_len=1), windows)
    return decode_points(
        model,
        windows,
        points,
        translate=lens.translate,
        batch_size=batch_size,
        progress=progress,
        provenance=provenance,
    )
