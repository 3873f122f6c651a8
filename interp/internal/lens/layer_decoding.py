"""Result of layer decoding, with its curves and first layers. ``logit_lens`` and ``tuned_lens`` measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Bool, Float

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.internal.lens.first_layer import FirstLayer, first_holding
from interp.results import Provenance, Result
from interp.stats.curves import Groups, Points, group_curves

Quantity = Literal["probability", "log_prob", "rank", "entropy", "kl"]
QUANTITIES: tuple[Quantity, ...] = ("probability", "log_prob", "rank", "entropy", "kl")


@dataclass(frozen=True, repr=False, eq=False)
class LayerDecoding(Result):
    """Decoded next-token distributions at the points of the residual stream."""

    point: tuple[str, ...]
    """Hook name of each point, in order of computation. The last is the output of the last layer."""
    depth: Float[np.ndarray, " point"]
    """Layers passed: 0 for the embeddings, l + 0.5 after the attention of layer l (0-based), l + 1 after layer l."""
    log_prob: Float[np.ndarray, "point window continuation"]
    """Log-probability of the true token, nats, at most 0. NaN at points that the model lacks."""
    rank: Float[np.ndarray, "point window continuation"]
    """Number of tokens with a higher logit than the true one, plus half of the ties: 0 (top) to d_vocab - 1."""
    entropy: Float[np.ndarray, "point window continuation"]
    """Entropy of the decoded distribution, nats, 0 to log(d_vocab)."""
    kl: Float[np.ndarray, "point window continuation"]
    """KL(final || point), nats, at least 0 up to rounding; 0 at the last point."""
    d_vocab: int
    windows: Windows
    provenance: Provenance

    def __post_init__(self) -> None:
        if len(self.point) != len(self.depth) or self.log_prob.shape[:2] != (len(self.point), len(self.windows)):
            raise ValueError(
                f"{len(self.point)} points, {len(self.depth)} depths and {len(self.windows)} windows do not fit "
                f"values of shape {self.log_prob.shape}"
            )

    @property
    def n_layers(self) -> int:
        """Layers of the model."""
        return int(self.depth[-1])

    @property
    def probability(self) -> Float[np.ndarray, "point window continuation"]:
        """Probability of the true token, 0 to 1. A uniform guess gives 1 / d_vocab."""
        return np.exp(self.log_prob)

    @property
    def after_layer(self) -> Bool[np.ndarray, " point"]:
        """Mask of the points before the first layer and after whole layers, without those after attention."""
        return self.depth == np.floor(self.depth)

    def curves(self, quantity: Quantity, *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Mean of a quantity over continuation tokens and windows, by group and point, with intervals by document.

        Args:
            quantity: one of ``QUANTITIES``. Ranks span orders of magnitude, so their mean is geometric, of rank + 1.
            groups: masks over the windows by name, as from ``memorization_groups``. Default: all windows.
            seed: seed of the bootstrap.

        Returns:
            One row per group and point: ``group``, ``point``, ``depth``, ``relative_depth``, ``value``, ``low``,
            ``high``, ``n``, ``n_documents``.
        """
        points: Points = {"point": self.point, "depth": self.depth, "relative_depth": self.depth / self.n_layers}
        return self._means(quantity, self._averaged(quantity).mean(axis=2).T, points, groups, seed)

    def curves_by_position(self, quantity: Quantity, *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """As ``curves``, for each continuation token separately: ``position`` counts from 0."""
        values = self._averaged(quantity)
        n_points, _, n_tokens = values.shape
        depth = np.repeat(self.depth, n_tokens)
        points: Points = {
            "point": np.repeat(np.asarray(self.point, dtype=object), n_tokens),
            "depth": depth,
            "relative_depth": depth / self.n_layers,
            "position": np.tile(np.arange(n_tokens), n_points),
        }
        columns = rearrange(values, "point window continuation -> window (point continuation)")
        return self._means(quantity, columns, points, groups, seed)

    def _averaged(self, quantity: Quantity) -> Float[np.ndarray, "point window continuation"]:
        values = np.asarray(getattr(self, quantity), dtype=np.float64)
        return np.log(values + 1) if quantity == "rank" else values

    def _means(
        self,
        quantity: Quantity,
        values: Float[np.ndarray, "window column"],
        points: Points,
        groups: Groups | None,
        seed: int,
    ) -> pd.DataFrame:
        frame = group_curves(values, self.windows, points=points, groups=groups, seed=seed, trials=0)
        if quantity == "rank":
            frame[["value", "low", "high"]] = np.exp(frame[["value", "low", "high"]])
        return frame

    def first_layer(self, threshold: float = 0.5) -> FirstLayer:
        """First layer from which p > ``threshold`` holds to the end, for each token; see ``FirstLayer``.

        Raises:
            WindowError: the threshold is not a probability below 1, or log-probabilities were not measured.
        """
        if not 0 <= threshold < 1:
            raise WindowError(f"threshold={threshold} is not a probability below 1")
        layers = self.after_layer
        if np.isnan(self.log_prob[layers]).any():
            raise WindowError("log-probabilities after a whole layer are NaN, so the first layer is not known")
        return FirstLayer(
            layer=first_holding(self.probability[layers], self.depth[layers], threshold),
            threshold=threshold,
            n_layers=self.n_layers,
            windows=self.windows,
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per point, window and continuation token, with every quantity."""
        at = np.indices(self.log_prob.shape).reshape(3, -1)
        index = {
            "point": np.asarray(self.point, dtype=object)[at[0]],
            "depth": self.depth[at[0]],
            "window": self.windows.window[at[1]],
            "position": self.windows.prefix_len + at[2],
        }
        return pd.DataFrame(index | {name: getattr(self, name).reshape(-1) for name in QUANTITIES})
