"""Batches greedy decoding under ablation, for scores.

Rows (one window, one ablated head) that still have tokens to generate are pooled across heads and layers, because a
decoding step costs about the same for one row as for many.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from interp.brief import Brief
from interp.engine.blocks import Blocks
from interp.engine.greedy import edited_step, first_misses, run_on
from interp.internal.ablation.choices import Method

CLEAN = -1
"""Layer of a row in which nothing is ablated."""


@dataclass(frozen=True, repr=False, eq=False)
class Waiting(Brief):
    """Rows after their teacher-forced pass."""

    layer: Int[Tensor, " row"]
    """Layer of the ablated head, or ``CLEAN``."""
    head: Int[Tensor, " row"]
    window: Int[Tensor, " row"]
    """Position of the window among the tested ones."""
    predicted: Int[Tensor, "row continuation"]
    truth: Int[Tensor, "row continuation"]
    first_miss: Int[Tensor, " row"]
    stand_in: Float[Tensor, "row pos d_head"]
    """Replacement of the ablated head at each position, if known beforehand."""
    keys: tuple[Float[Tensor, "row key_head pos d_head"], ...]
    """Of each layer."""
    values: tuple[Float[Tensor, "row key_head pos d_head"], ...]

    @classmethod
    def by_first_miss(cls, many: list[Waiting]) -> Waiting:
        """The rows of several batches, sorted by their first miss."""
        order = torch.cat([w.first_miss for w in many]).argsort(stable=True)

        def joined(name: str) -> Any:
            each = [getattr(some, name) for some in many]
            if isinstance(each[0], tuple):
                return tuple(torch.cat(layer)[order] for layer in zip(*each, strict=True))
            return torch.cat(each)[order]

        return cls(**{field.name: joined(field.name) for field in fields(cls)})


class WaitingRows:
    """Collects up to ``capacity`` rows, decodes them when full, and passes each score to ``report``."""

    def __init__(
        self,
        blocks: Blocks,
        prefix_len: int,
        method: Method,
        report: Callable[[Waiting, Float[np.ndarray, " row"]], None],
        *,
        capacity: int,
    ) -> None:
        self._blocks, self._prefix_len, self._method, self._report = blocks, prefix_len, method, report
        self._capacity = capacity
        self._waiting: list[Waiting] = []
        self._n_waiting = 0

    def add(
        self,
        *,
        layer: int,
        heads: Int[Tensor, " head"],
        first_window: int,
        predicted: Int[Tensor, "row continuation"],
        truth: Int[Tensor, "row continuation"],
        stand_in: Float[Tensor, "batch pos head d_head"],
        clean: dict[int, tuple[Tensor, Tensor]],
        ablated: dict[int, tuple[Tensor, Tensor]],
    ) -> None:
        """Add the rows (head, window) of one teacher-forced pass. ``clean`` has the keys and values of lower layers."""
        n = len(stand_in)
        right = predicted == truth
        first_miss = first_misses(right)
        row = torch.arange(len(predicted), device=predicted.device)
        by_row = rearrange(stand_in, "batch pos head d_head -> (head batch) pos d_head")
        # After a miss at the last token, nothing is left to decode.
        decided = first_miss >= right.shape[1] - 1
        everything = {
            "layer": torch.full_like(row, layer),
            "head": heads.to(row)[row // n],
            "window": first_window + row % n,
        }

        def some(rows: Tensor, keys: tuple[Tensor, ...] = (), values: tuple[Tensor, ...] = ()) -> Waiting:
            return Waiting(
                **{name: value[rows] for name, value in everything.items()},
                predicted=predicted[rows],
                truth=truth[rows],
                first_miss=first_miss[rows],
                stand_in=by_row[rows],
                keys=keys,
                values=values,
            )

        done = decided.nonzero().flatten()
        if len(done):
            self._report(some(done), right[done].double().mean(dim=1).cpu().numpy())
        left = (~decided).nonzero().flatten()
        if len(left):
            if self._n_waiting + len(left) > self._capacity:
                self.flush()
            kept = [
                tuple(t[left] for t in ablated[i]) if i in ablated else tuple(t[left % n] for t in clean[i])
                for i in range(len(self._blocks.layers))
            ]
            keys, values = zip(*kept, strict=True)
            self._waiting.append(some(left, keys, values))
            self._n_waiting += len(left)

    def flush(self) -> None:
        """Decode all waiting rows."""
        if not self._waiting:
            return
        rows = Waiting.by_first_miss(self._waiting)
        self._waiting, self._n_waiting = [], 0
        own = [(rows.layer == layer).nonzero().flatten() for layer in range(len(self._blocks.layers))]
        numbers = [rows_of_layer.tolist() for rows_of_layer in own]

        def edit(layer: int, z: Tensor, position: int) -> Tensor:
            edited = own[layer][: bisect_left(numbers[layer], len(z))]
            if len(edited) == 0:
                return z
            head = rows.head[edited]
            if self._method == "peer_mean":
                others = z[edited, 0].sum(dim=1) - z[edited, 0, head]
                value = others / (z.shape[2] - 1)
            else:
                value = rows.stand_in[edited, position]
            z[edited, 0, head] = value  # z belongs to this step only.
            return z

        kept = list(zip(rows.keys, rows.values, strict=True))
        step = edited_step(self._blocks, kept, prefix_len=self._prefix_len, edit=edit)
        generated = run_on(rows.predicted, rows.first_miss, step=step)
        self._report(rows, (generated == rows.truth).double().mean(dim=1).cpu().numpy())
