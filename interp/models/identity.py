"""Identity of a model at the time of a measurement. A name does not fix weights, dtype or tokenizer.

The weights are hashed each time. torch's version counters miss edits through ``.data``, and a checkpoint can be
overwritten in place. A digest of the bytes misses nothing and costs about one token's forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from xxhash import xxh3_128

from interp.data.owned import WindowError
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import Windows
from interp.models.hooks import attached_hooks

NO_TOKENIZER = "no tokenizer"

_PIECE = 2**26
"""Bytes copied from a GPU at a time."""


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of a model at one moment. All fields are empty if no model was used."""

    model: str = ""
    """Name by which it was loaded."""
    model_revision: str = ""
    """Requested revision on the hub, and its commit. Empty for a local directory."""
    weights: str = ""
    """``weights_digest`` of the model."""
    tokenizer: str = ""
    """Fingerprint of its tokenizer, or ``NO_TOKENIZER``."""
    dtype: str = ""
    """Number format of its parameters."""
    attention: str = ""
    """Implementation of its attention."""
    device: str = ""
    hooks: tuple[str, ...] = ()
    """Where the user has attached hooks; see ``attached_hooks``."""

    @classmethod
    def of(cls, model: TransformerBridge) -> ModelIdentity:
        """The present identity of a model."""
        return cls(
            model=str(model.cfg.model_name),
            model_revision=getattr(model.cfg, "model_revision", ""),
            weights=weights_digest(model.original_model),
            tokenizer=model_tokenizer(model) or NO_TOKENIZER,
            dtype=parameter_dtype(model),
            attention=str(getattr(model.original_model.config, "_attn_implementation", None) or ""),
            device=str(next(model.original_model.parameters()).device),
            hooks=tuple(attached_hooks(model)),
        )


def remember_revision(model: TransformerBridge, revision: str | None, directory: Path) -> None:
    """Store the requested revision with a model, and the commit in the name of its folder in the hub's cache."""
    commit = directory.name if directory.parent.name == "snapshots" else ""
    model.cfg.model_revision = " = ".join(filter(None, [revision or ("main" if commit else ""), commit]))


def model_tokenizer(model: TransformerBridge) -> str | None:
    """Fingerprint of a model's tokenizer; ``None`` if it has none."""
    return None if model.tokenizer is None else tokenizer_fingerprint(model.tokenizer)


def parameter_dtype(model: TransformerBridge) -> str:
    """Number format of the parameters; several are joined by a plus. The configuration's is stale after ``half()``."""
    kinds = {str(p.dtype).removeprefix("torch.") for p in model.original_model.parameters() if p.is_floating_point()}
    return "+".join(sorted(kinds))


def weights_digest(model: nn.Module) -> str:
    """Hash of the names, shapes, dtypes and bytes of all parameters and persistent buffers. Tied ones count once.

    The hash is xxh3 with 128 bits, in hexadecimal.
    """
    found, seen = xxh3_128(), set[int]()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor) or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        for piece in _bytes(tensor):
            found.update(piece.numpy().data)
    return found.hexdigest()


def _bytes(tensor: Tensor) -> Iterator[Tensor]:
    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    return (piece.cpu() for piece in flat.split(_PIECE))


def check_windows(model: TransformerBridge, windows: Windows) -> None:
    """Refuse windows that a model cannot take, or of another tokenizer; see ``Windows.check_fits``.

    Raises:
        WindowError: says what does not fit.
    """
    if not isinstance(windows, Windows):
        raise WindowError(f"{type(windows).__name__} given as windows; make windows of it with Windows.from_tokens")
    windows.check_fits(
        n_ctx=model.cfg.n_ctx,
        d_vocab=model.cfg.d_vocab,
        model_name=str(model.cfg.model_name),
        tokenizer=model_tokenizer(model),
    )
