"""Continue greedy decoding from each row's first wrong token, with the keys and values of the teacher-forced pass.

Up to its first wrong token a row's greedy text is the argmax under teacher forcing, so only what follows is decoded.
Rows that miss at different places are decoded together. All stand at one position at a time, and a row joins at its
own miss.
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

Step = Callable[[int, Int[Tensor, "row 1"]], Int[Tensor, " row"]]
"""Given a position of the continuation and the tokens that the first rows have there: their next tokens."""


def first_misses(right: Bool[Tensor, "row continuation"]) -> Int[Tensor, " row"]:
    """Position of the first wrong token of each row; the number of tokens where none is."""
    # cumprod is 1 up to the first miss and 0 from there on.
    return right.long().cumprod(dim=1).sum(dim=1)


class Recorder:
    """Keeps the keys and values of a whole pass, by layer."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keep a layer's keys and values."""
        self.kept[layer] = (key, value)
        return key, value

    def rows(self, n: int) -> dict[int, tuple[Tensor, Tensor]]:
        """What was kept of the first n rows."""
        return {layer: (key[:n], value[:n]) for layer, (key, value) in self.kept.items()}


@torch.no_grad()
def run_on(
    predicted: Int[Tensor, "row continuation"], first_miss: Int[Tensor, " row"], *, step: Step
) -> Int[Tensor, "row continuation"]:
    """Greedy tokens of each row.

    Args:
        predicted: the teacher-forced pass's choice at each continuation position: the greedy text up to and including
            the first miss.
        first_miss: its position in the continuation, rows in ascending order of it.
        step: one decoding step of the rows that write, which are always the first ones.
    """
    generated = predicted.clone()
    n, misses = predicted.shape[1], first_miss.tolist()
    for i in range(misses[0] if misses else n, n - 1):
        writing = slice(0, bisect_right(misses, i))
        generated[writing, i + 1] = step(i, generated[writing, i : i + 1])
    return generated


def edited_step(
    blocks: Blocks,
    kept: list[tuple[Float[Tensor, "row key_head pos d_head"], Float[Tensor, "row key_head pos d_head"]]],
    *,
    prefix_len: int,
    edit: Edit,
) -> Step:
    """A decoding step in which the heads' outputs are edited.

    Args:
        blocks: the model.
        kept: keys and values of each layer from the teacher-forced pass. Overwritten.
        prefix_len: tokens before the continuation.
        edit: what is done to the heads' outputs.
    """
    store = KeyValues.holding(kept)

    def step(i: int, token: Int[Tensor, "row 1"]) -> Int[Tensor, " row"]:
        position = prefix_len + i
        # All of a row's keys are read, and the later ones masked: see Decoder.hidden_after.
        store.aim(slice(0, len(token)), position, store.n_pos)
        positions = blocks.positions(position, position + 1, n_keys=store.n_pos)
        residual = blocks.embed(token, position)
        for layer in range(len(blocks.layers)):
            z = edit(layer, blocks.z(layer, residual, positions, store), position)
            residual = blocks.after_attention(layer, residual, blocks.project(layer, z))
        return blocks.unembed(residual[:, 0]).argmax(dim=-1)

    return step
