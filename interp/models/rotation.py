"""Rotary positions in half precision, as Hugging Face computes them.

OLMo 1, 2 and 3 rotate queries and keys in float32 and convert them back to the model's type. The attention of
TransformerLens 4.3 does not. In bfloat16 or float16 it then multiplies a float32 pattern with half-precision values.
That fails without a key/value cache, and rounds differently with one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge


def convert_rotated(model: TransformerBridge) -> None:
    """Convert rotated queries and keys of a half-precision model back to its own type. Other models are unchanged.

    The conversion is inside the points ``hook_rot_q`` and ``hook_rot_k``, before their hooks. Hooks see what the
    attention sees, and no hook is added.
    """
    dtype = model.cfg.dtype
    if dtype not in {torch.bfloat16, torch.float16}:
        return

    def convert(rotated: Tensor) -> Tensor:
        return rotated.to(dtype)

    for block in model.blocks:
        for name in ("hook_rot_q", "hook_rot_k"):
            point = getattr(block.attn, name, None)
            if isinstance(point, torch.nn.Module):
                point.forward = convert
