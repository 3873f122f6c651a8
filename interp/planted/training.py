"""Training of a small model on the planted windows: seeded, resumable, with the same data order for every model.

Forward and backward passes run in bfloat16 (twice as fast on a CPU with bfloat16 arithmetic). The optimizer updates
float32 weights.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int, Integer
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from interp.files import only_writer, whole_file, whole_files, write_text


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a training run except the data and the model's configuration."""

    learning_rate: float
    """Peak after the warm-up, followed by a cosine to zero."""
    batch_size: int = 32
    """Windows per step."""
    warmup: float = 0.05
    """Share of steps in which the rate rises linearly."""
    weight_decay: float = 0.01
    """On matrices only."""
    seed: int = 0
    """Seed of the initial weights. The data order has its own."""
    checkpoint_every: int = 500
    """Steps between resumable checkpoints."""


class _MasterWeights:
    """The float32 parameters that AdamW updates, and the bfloat16 model that computes their gradients."""

    def __init__(self, model: PreTrainedModel, config: TrainingConfig) -> None:
        self.low = [p for p in model.parameters() if p.requires_grad]
        self.high = [p.detach().float().clone() for p in self.low]
        for p in self.high:
            p.grad = torch.zeros_like(p)
        matrices = [p for p in self.high if p.ndim >= 2]
        vectors = [p for p in self.high if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(0.9, 0.95),
            fused=True,
        )

    def step(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        torch._foreach_copy_([p.grad for p in self.high], [p.grad for p in self.low])
        torch.nn.utils.clip_grad_norm_(self.high, 1.0)
        self.optimizer.step()
        self.copy_down()
        for p in self.low:
            p.grad = None

    def copy_down(self) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self.low, self.high)


def learning_rate(step: int, n_steps: int, config: TrainingConfig) -> float:
    """Linear warm-up to the peak, followed by a cosine to zero at the last step."""
    n_warmup = max(1, round(config.warmup * n_steps))
    if step < n_warmup:
        return config.learning_rate * (step + 1) / n_warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / max(1, n_steps - n_warmup)))


def _next_token_loss(model: PreTrainedModel, tokens: Int[Tensor, "batch pos"]) -> Tensor:
    logits = model(input_ids=tokens, use_cache=False).logits
    # The last position has no target. Ignoring it is far cheaper than slicing it off the logits.
    targets = torch.nn.functional.pad(tokens[:, 1:], (0, 1), value=-100)
    return torch.nn.functional.cross_entropy(
        rearrange(logits, "batch pos d_vocab -> (batch pos) d_vocab"), rearrange(targets, "batch pos -> (batch pos)")
    )


@torch.random.fork_rng([])
def train_small_model(
    model_config: PretrainedConfig,
    tokens: Integer[np.ndarray, "window pos"],
    order: Int[np.ndarray, " showing"],
    out: Path,
    config: TrainingConfig,
) -> Path:
    """Train one model on the windows in the given order and save it in Hugging Face format.

    An interrupted run resumes at its last checkpoint. A finished one is not run again. One process at a time trains in
    a directory; others wait, and then find it finished.

    Args:
        model_config: architecture and shape.
        tokens: token ids of all windows.
        order: window ids in the order of training.
        out: directory for ``config.json``, ``model.safetensors`` (float16) and ``training.json``.
        config: optimizer settings and seed.

    Returns:
        ``out``.
    """
    with only_writer(out, wait=True):
        if not (out / "training.json").exists():
            _train(model_config, tokens, order, out, config)
    return out


def _train(
    model_config: PretrainedConfig,
    tokens: Integer[np.ndarray, "window pos"],
    order: Int[np.ndarray, " showing"],
    out: Path,
    config: TrainingConfig,
) -> None:
    torch.manual_seed(config.seed)
    model = AutoModelForCausalLM.from_config(model_config, attn_implementation="eager").train()
    weights = _MasterWeights(model.float(), config)
    model.bfloat16()
    weights.low = [p for p in model.parameters() if p.requires_grad]

    checkpoint, first_step, losses, seconds = out / "checkpoint.pt", 0, [], 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for p, saved in zip(weights.high, state["weights"], strict=True):
            p.copy_(saved)
        weights.optimizer.load_state_dict(state["optimizer"])
        first_step, losses, seconds = state["step"], state["losses"], state["seconds"]
    weights.copy_down()

    n_steps = math.ceil(len(order) / config.batch_size)
    started = time.monotonic()
    for step in range(first_step, n_steps):
        shown = order[step * config.batch_size : (step + 1) * config.batch_size]
        loss = _next_token_loss(model, torch.from_numpy(tokens[shown].astype(np.int64)))
        loss.backward()
        weights.step(learning_rate(step, n_steps, config))
        losses.append(loss.item())
        if (step + 1) % config.checkpoint_every == 0:
            elapsed = seconds + time.monotonic() - started
            print(
                f"{out.name}: step {step + 1}/{n_steps}, loss {np.mean(losses[-100:]):.3f}, {elapsed:.0f} s", flush=True
            )
            state = {
                "weights": weights.high,
                "optimizer": weights.optimizer.state_dict(),
                "step": step + 1,
                "losses": losses,
                "seconds": elapsed,
            }
            with whole_file(checkpoint) as partial:
                torch.save(state, partial)

    model.float()
    with torch.no_grad():
        for p, trained in zip([p for p in model.parameters() if p.requires_grad], weights.high, strict=True):
            p.copy_(trained)
    with whole_files(out) as folder:
        model.half().save_pretrained(folder)
    summary = {
        "settings": asdict(config),
        "n_steps": n_steps,
        "n_tokens": int(len(order) * tokens.shape[1]),
        "final_loss": float(np.mean(losses[-100:])),
        "seconds": round(seconds + time.monotonic() - started, 1),
        "torch": torch.__version__,
    }
    # Written last: it marks the run as complete.
    write_text(out / "training.json", json.dumps(summary, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
