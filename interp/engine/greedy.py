"""Continue greedy decoding from each row's first wrong token, with the keys and values of the teacher-forced pass.

Up to and including its first wrong token, a row's greedy text is the argmax under teacher forcing. So only the tokens
after it are decoded. Rows that miss at different positions are decoded together. All are at the same position, and a
row joins at its own miss.
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
"""From a layer, z of the first rows and their position: the edited z."""

Step = Callable[[int, Int[Tensor, "row 1"]], Int[Tensor, " row"]]
"""From a position of the continuation and the tokens of the first rows there: their next tokens."""


def first_misses(right: Bool[Tensor, "row continuation"]) -> Int[Tensor, " row"]:
    """Position of the first wrong token in each row, or the number of tokens if none is wrong."""
    # cumprod is 1 before the first miss and 0 from there on.
    return right.long().cumprod(dim=1).sum(dim=1)


class Recorder:
    """Records the keys and values of a whole pass, by layer."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Record a layer's keys and values."""
        self.kept[layer] = (key, value)
        return key, value

    def rows(self, n: int) -> dict[int, tuple[Tensor, Tensor]]:
        """Keys and values of the first n rows, by layer."""
        return {layer: (key[:n], value[:n]) for layer, (key, value) in self.kept.items()}


@torch.no_grad()
def run_on(
    predicted: Int[Tensor, "row continuation"], first_miss: Int[Tensor, " row"], *, step: Step
) -> Int[Tensor, "row continuation"]:
    """Greedy tokens of each row.

    Args:
        predicted: choice of the teacher-forced pass at each continuation position. It is the greedy text up to and
            including the first miss.
        first_miss: position of the first miss in the continuation. Rows are sorted by it, ascending.
        step: one decoding step of the active rows, which always come first.
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
        prefix_len: number of tokens before the continuation.
        edit: the edit of the heads' outputs.
    """
    store = KeyValues.holding(kept)

    def step(i: int, token: Int[Tensor, "row 1"]) -> Int[Tensor, " row"]:
        position = prefix_len + i
        # All keys of a row are read, and later ones masked: see Decoder.hidden_after.
        store.aim(slice(0, len(token)), position, store.n_pos)
        positions = blocks.positions(position, position + 1, n_keys=store.n_pos)
        residual = blocks.embed(token, position)
        for layer in range(len(blocks.layers)):
            z = edit(layer, blocks.z(layer, residual, positions, store), position)
            residual = blocks.after_attention(layer, residual, blocks.project(layer, z))
        return blocks.unembed(residual[:, 0]).argmax(dim=-1)

    return step
