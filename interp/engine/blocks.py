"""A model taken apart into blocks, so that a computation can start at any layer.

The bridge can only compute a whole pass. Here, the same Hugging Face modules, with the same weights (shared, not
copied), are called one by one without the bridge's wrappers. The bridge is unchanged: its hooks do not fire here, and
two threads may run at once. One description fits all six architectures:

    attention = post_norm1(project(z(norm1(residual))))         norm1 or post_norm1 may be absent
    residual + attention + mlp(norm2(residual))                 parallel (Pythia)
    residual + attention + post_norm2(mlp(norm2(residual + attention)))      sequential
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from interp.brief import Brief


@runtime_checkable
class KeyValueStore(Protocol):
    """Stores keys and values of attention, and returns those of earlier positions."""

    def update(self, key: Tensor, value: Tensor, layer: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values. Returns all that its attention can see."""
        ...


@dataclass(frozen=True, repr=False, eq=False)
class Block(Brief):
    """One decoder layer, taken apart. An absent norm is the identity."""

    norm1: nn.Module
    attention: nn.Module
    """Hugging Face's attention without its output projection: returns z."""
    project: nn.Linear
    post_norm1: nn.Module
    norm2: nn.Module
    mlp: nn.Module
    post_norm2: nn.Module
    parallel: bool
    kind: str
    """``full_attention`` or ``sliding_attention``."""
    store_argument: str
    """Name of the attention's argument for the key/value store."""


@dataclass(frozen=True, repr=False, eq=False)
class Positions(Brief):
    """Position-dependent inputs of attention in one pass, computed once for all layers."""

    rotary: dict[str, tuple[Tensor, Tensor] | None]
    """Cosines and sines for each kind of layer."""
    mask: dict[str, Float[Tensor, "1 1 query_pos key_pos"] | None]
    """Additive mask of the scores. None means plain causal attention."""


@dataclass(frozen=True, repr=False, eq=False)
class Blocks(Brief):
    """A model taken apart; see ``interp.engine.take_apart``."""

    layers: tuple[Block, ...]
    embed_module: nn.Module
    position_module: nn.Module | None
    rotary_module: nn.Module | None
    final_norm: nn.Module
    unembed_module: nn.Linear
    n_heads: int
    n_key_value_heads: int
    d_head: int
    d_model: int
    d_vocab: int
    sliding_window: int | None
    fused: bool
    """Whether attention uses torch's fused kernel. Otherwise it uses the model's own code, step by step."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.embed_module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(self.embed_module.parameters()).dtype

    def positions(self, start: int, stop: int, *, n_keys: int | None = None) -> Positions:
        """Positions for queries at ``start`` ... ``stop - 1`` that see the keys from position 0 on.

        If the store returns ``n_keys`` keys, those after ``stop`` are masked.
        """
        query = torch.arange(start, stop, device=self.device)
        kinds = {layer.kind for layer in self.layers}
        return Positions(
            {kind: self._rotary(query, kind) for kind in kinds},
            {kind: self._mask(query, n_keys or stop, kind) for kind in kinds},
        )

    def _rotary(self, query: Int[Tensor, " query_pos"], kind: str) -> tuple[Tensor, Tensor] | None:
        if self.rotary_module is None:
            return None
        like = torch.empty(0, device=self.device, dtype=self.dtype)
        by_kind = (kind,) if "layer_type" in inspect.signature(self.rotary_module.forward).parameters else ()
        return self.rotary_module(like, query[None], *by_kind)

    def _mask(
        self, query: Int[Tensor, " query_pos"], n_keys: int, kind: str
    ) -> Float[Tensor, "1 1 query_pos key_pos"] | None:
        key = torch.arange(n_keys, device=self.device)
        ahead = query[:, None] - key[None, :]
        seen = ahead >= 0
        if kind == "sliding_attention" and self.sliding_window is not None:
            seen &= ahead < self.sliding_window
        elif self.fused and len(query) == n_keys:
            return None  # A whole pass is plain causal.
        return torch.zeros_like(seen, dtype=self.dtype).masked_fill(~seen, torch.finfo(self.dtype).min)[None, None]

    def embed(self, tokens: Int[Tensor, "batch pos"], start: int = 0) -> Float[Tensor, "batch pos d_model"]:
        """Residual stream before layer 0, with learned positions. ``start`` is the first token's position."""
        residual = self.embed_module(tokens.to(self.device))
        if self.position_module is None:
            return residual
        return residual + self.position_module(torch.arange(start, start + tokens.shape[1], device=self.device))

    def z(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        positions: Positions,
        store: KeyValueStore | None = None,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """Output of each head before the output projection, as at ``hook_z``."""
        return self.attend(layer, residual, positions, store)[0]

    def attend(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        positions: Positions,
        store: KeyValueStore | None = None,
    ) -> tuple[Float[Tensor, "batch pos head d_head"], Float[Tensor, "batch head pos key_pos"] | None]:
        """``z``, and the attention pattern as at ``hook_pattern``. A fused kernel gives no pattern."""
        part = self.layers[layer]
        merged, pattern = part.attention(
            part.norm1(residual),
            position_embeddings=positions.rotary[part.kind],
            attention_mask=positions.mask[part.kind],
            **{part.store_argument: store},
        )
        return rearrange(merged, "batch pos (head d_head) -> batch pos head d_head", head=self.n_heads), pattern

    def project(self, layer: int, z: Float[Tensor, "batch pos head d_head"]) -> Float[Tensor, "batch pos d_model"]:
        """Projected sum of the heads' outputs, with the bias, before a norm that may follow."""
        return self.layers[layer].project(rearrange(z, "batch pos head d_head -> batch pos (head d_head)"))

    def output_weight(self, layer: int) -> Float[Tensor, "head d_head d_model"]:
        """Each head's slice of the output projection."""
        weight = self.layers[layer].project.weight
        return rearrange(weight, "d_model (head d_head) -> head d_head d_model", head=self.n_heads)

    def mlp(self, layer: int, stream: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Output of the MLP with its norms, for the stream before the attention (parallel) or after it."""
        part = self.layers[layer]
        # Mixtures of experts need exactly (batch, pos, d_model).
        return part.post_norm2(part.mlp(part.norm2(stream.reshape(1, -1, self.d_model)))).reshape(stream.shape)

    def after_attention(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        projected: Float[Tensor, "batch pos d_model"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """Residual stream after a layer, from the stream before it and the result of ``project``."""
        return self.finish(layer, residual, self.layers[layer].post_norm1(projected))

    def finish(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        attention: Float[Tensor, "batch pos d_model"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """Residual stream after a layer, from the stream before it and the attention's normed contribution."""
        middle = residual + attention
        return middle + self.mlp(layer, residual if self.layers[layer].parallel else middle)

    def block(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        positions: Positions,
        *,
        store: KeyValueStore | None = None,
        keep: slice | None = None,
    ) -> Float[Tensor, "batch kept d_model"]:
        """Residual stream after a layer. ``keep`` restricts it to some positions (in the last layer)."""
        z = self.z(layer, residual, positions, store)
        if keep is not None:
            z, residual = z[:, keep], residual[:, keep]
        return self.after_attention(layer, residual, self.project(layer, z))

    def run_from(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        positions: Positions,
        *,
        store: KeyValueStore | None = None,
        keep: slice | None = None,
    ) -> Float[Tensor, "batch kept d_model"]:
        """Residual stream after the last layer, from the stream before ``layer`` (0 to ``n_layers``)."""
        last = len(self.layers) - 1
        for i in range(layer, last):
            residual = self.block(i, residual, positions, store=store)
        if layer <= last:
            return self.block(last, residual, positions, store=store, keep=keep)
        return residual if keep is None else residual[:, keep]

    @torch.no_grad()
    def head_outputs(self, tokens: Int[Tensor, "batch pos"]) -> list[Float[Tensor, "batch pos head d_head"]]:
        """Outputs z of all heads in every layer."""
        positions = self.positions(0, tokens.shape[1])
        residual, outputs = self.embed(tokens), []
        for layer in range(len(self.layers)):
            outputs.append(self.z(layer, residual, positions))
            residual = self.after_attention(layer, residual, self.project(layer, outputs[-1]))
        return outputs

    def unembed(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """Logits of a residual stream after the last layer."""
        return self.unembed_module(self.final_norm(residual))
