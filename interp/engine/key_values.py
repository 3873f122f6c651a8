"""Keys and values of a batch of texts, each with its own length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import Cache


class KeyValues(Cache):  # type: ignore[misc]  # transformers gives no types
    """Keys and values of a batch of rows, each with its own length.

    Hugging Face models and bridges call ``update`` in each attention layer. Before each pass, ``hidden_after`` sets the
    rows and positions (``aim``).
    """

    def __init__(self, n_rows: int, n_pos: int) -> None:
        super().__init__(layers=[])
        self.n_rows, self.n_pos = n_rows, n_pos
        self._store: dict[int, tuple[Tensor, Tensor]] = {}
        self._tokens = torch.zeros((n_rows, n_pos), dtype=torch.long)
        self.aim(slice(0, n_rows), 0, 0)

    def aim(self, rows: slice | Int[Tensor, " row"], start: int | Int[Tensor, " row"], end: int) -> None:
        """Set the rows of the next pass, the position of each row's first new token, and the number of keys read."""
        self._rows, self._start, self._end = rows, start, end

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the keys and values of a pass (batch, head, pos, d_head). Returns those that it attends to."""
        if layer_idx not in self._store:
            shape = (self.n_rows, key_states.shape[1], self.n_pos, key_states.shape[3])
            # Zeros, because masked entries are multiplied by a pattern of 0, and 0 * NaN is NaN.
            self._store[layer_idx] = (key_states.new_zeros(shape), value_states.new_zeros(shape))
        n_new, read = key_states.shape[2], []
        for stored, new in zip(self._store[layer_idx], (key_states, value_states), strict=True):
            if isinstance(self._start, int):
                stored[self._rows, :, self._start : self._start + n_new] = new
            else:
                index = torch.arange(self.n_rows, device=new.device)[self._rows]
                places = self._start[:, None] + torch.arange(n_new, device=new.device)
                stored[index[:, None], :, places] = new.transpose(1, 2)
            read.append(stored[self._rows, :, : self._end])
        # The first pass of a text attends only to its own keys, which are contiguous.
        return (key_states, value_states) if n_new == self._end else (read[0], read[1])

    def texts(self, tokens: Int[Tensor, "row new"]) -> tuple[Int[Tensor, "row pos"], Int[Tensor, "row new"]]:
        """Add the tokens of a pass. Returns the whole texts of its rows, and the positions of the new tokens in them.

        For a model that reads whole texts again. Entries after the new tokens are masked.
        """
        self._tokens = self._tokens.to(tokens.device)
        index = torch.arange(self.n_rows, device=tokens.device)[self._rows][:, None]
        places = torch.arange(tokens.shape[1], device=tokens.device)
        places = (places + self._start if isinstance(self._start, int) else self._start[:, None] + places).expand(
            len(index), -1
        )
        self._tokens[index, places] = tokens
        return self._tokens[index[:, 0], : self._end], places

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002
        """Number of tokens before the next one; Hugging Face's layers ask for it."""
        if isinstance(self._start, int):
            return self._start
        raise ValueError("rows of different lengths have no common length; positions and mask must be given")

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:  # noqa: ARG002
        """Number of keys read, and their first position."""
        return self._end, 0

    @classmethod
    def holding(cls, kept: Sequence[tuple[Tensor, Tensor]]) -> KeyValues:
        """A store of the given keys and values of each layer (row, head, pos, d_head). Later passes overwrite them."""
        store = cls(len(kept[0][0]), kept[0][0].shape[2])
        store._store = {i: (keys.contiguous(), values.contiguous()) for i, (keys, values) in enumerate(kept)}
        return store

    def select(self, rows: Int[Tensor, " row"]) -> KeyValues:
        """A copy with these rows, in this order."""
        kept = KeyValues(len(rows), self.n_pos)
        kept._store = {layer: (k[rows], v[rows]) for layer, (k, v) in self._store.items()}
        kept._tokens = self._tokens[rows.to(self._tokens.device)]
        return kept

    @classmethod
    def join(cls, parts: Sequence[KeyValues], n_pos: int) -> KeyValues:
        """The rows of several stores in one, with room for ``n_pos`` positions."""
        joined = cls(sum(part.n_rows for part in parts), n_pos)
        joined._tokens = torch.cat([nn.functional.pad(p._tokens, (0, n_pos))[:, :n_pos] for p in parts])
        for layer, (keys, values) in parts[0]._store.items():
            room = tuple(t.new_zeros(joined.n_rows, t.shape[1], n_pos, t.shape[3]) for t in (keys, values))
            row = 0
            for part in parts:
                for into, stored in zip(room, part._store[layer], strict=True):
                    into[row : row + part.n_rows, :, : part.n_pos] = stored[:, :, :n_pos]
                row += part.n_rows
            joined._store[layer] = (room[0], room[1])
        return joined
