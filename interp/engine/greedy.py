"""Running greedy decoding on from a first miss, with keys and values that were stored in the pass before it.

Up to its first wrong token a window's greedy text is the argmax under teacher forcing, so only what follows is decoded.
Rows that miss at different places go together: all stand at one position at a time and a row joins at its own miss.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.engine.blocks import Blocks
from interp.engine.key_values import KeyValues

Edit = Callable[[int, Float[Tensor, "row 1 head d_head"], int], Float[Tensor, "row 1 head d_head"]]
"""Given layer, z of the first rows and their position: z as it is to be."""


def first_misses(right: Bool[Tensor, "row continuation"]) -> Int[Tensor, " row"]:
    """Position of the first wrong token of each row; the number of tokens where none is."""
    # cumprod is 1 up to the first miss and 0 from there on.
    return right.long().cumprod(dim=1).sum(dim=1)


class Recorder:
    """Keeps the keys and values of a whole pass, by layer."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        self.kept[layer] = (key, value)
        return key, value

    def rows(self, n: int) -> dict[int, tuple[Tensor, Tensor]]:
        """What was kept of the first n rows."""
        return {layer: (key[:n], value[:n]) for layer, (key, value) in self.kept.items()}


@torch.no_grad()
def run_on(
    blocks: Blocks,
    kept: list[tuple[Float[Tensor, "row key_head pos d_head"], Float[Tensor, "row key_head pos d_head"]]],
    predicted: Int[Tensor, "row continuation"],
    first_miss: Int[Tensor, " row"],
    *,
    prefix_len: int,
    edit: Edit,
) -> Int[Tensor, "row continuation"]:
    """Greedy tokens of each row.

    Args:
        blocks: the model.
        kept: keys and values of each layer from the teacher-forced pass. Overwritten.
        predicted: that pass's argmax at each continuation position; the greedy text up to and including the first miss.
        first_miss: its position in the continuation, rows in ascending order of it.
        prefix_len: tokens before the continuation.
        edit: what is done to the heads' outputs.
    """
    generated = predicted.clone()
    store = KeyValues.holding(kept)
    n, misses = predicted.shape[1], first_miss.tolist()
    for i in range(misses[0], n - 1):
        writing, position = slice(0, bisect_right(misses, i)), prefix_len + i
        # All of a row's keys are read, and the later ones masked: see Decoder.hidden_after.
        store.aim(writing, position, store.n_pos)
        positions = blocks.positions(position, position + 1, n_keys=store.n_pos)
        residual = blocks.embed(generated[writing, i : i + 1], position)
        for layer in range(len(blocks.layers)):
            z = edit(layer, blocks.z(layer, residual, positions, store), position)
            residual = blocks.after_attention(layer, residual, blocks.project(layer, z))
        generated[writing, i + 1] = blocks.unembed(residual[:, 0]).argmax(dim=-1)
    return generated
