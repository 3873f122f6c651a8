"""Loading a model: from the registry, a hub id or a local directory, to a verified TransformerBridge."""

from __future__ import annotations

from pathlib import Path

import torch
from transformer_lens.model_bridge import TransformerBridge


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> TransformerBridge:
    return TransformerBridge.boot_transformers(
        str(name_or_path), device=device or "cpu", dtype=dtype or torch.float32, revision=revision
    )
