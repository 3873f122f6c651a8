"""First layer from which the true token's probability stays above a threshold, with censoring.

For each continuation token, this is the first point of the residual stream from which p > threshold holds at all later
points (definitions, "layer decoding"; the paper's threshold is 0.5). If p does not exceed the threshold at the last
point, the token is censored: NaN here, not "the last layer". Averages over the tokens that do hold would compare
different tokens in different groups. So the summary gives the share of tokens that hold, the share by layer, and the
median over all tokens, infinite if fewer than half hold (ours). All tokens are followed to the same last layer, so one
minus the share by layer is the Kaplan-Meier curve, and its median is this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp.data.windows import Windows
from interp.results import Result
from interp.stats.columns import estimate_columns
from interp.stats.curves import Groups, group_curves, group_masks
from interp.stats.estimates import (
    NOT_MEASURED,
    Estimate,
    bootstrap_mean,
    from_resamples,
    resampled_means,
    resting_on,
)


def first_holding(
    probability: Float[np.ndarray, "point window continuation"], depth: Float[np.ndarray, " point"], threshold: float
) -> Float[np.ndarray, "window continuation"]:
    """Depth of the first point from which ``probability > threshold`` holds up to the last. NaN if it never does."""
    above = probability > threshold
    holds = np.logical_and.accumulate(above[::-1], axis=0)[::-1]
    # The points from which it holds are the last ones, so their number gives the first.
    first = len(depth) - holds.sum(axis=0)
    return np.where(holds[-1], depth[np.minimum(first, len(depth) - 1)], np.nan)


@dataclass(frozen=True, repr=False, eq=False)
class FirstLayer(Result):
    """Where each token of the continuations is decided."""

    layer: Float[np.ndarray, "window continuation"]
    """Layers passed when p > threshold starts to hold: 0 (embeddings) to ``n_layers``. NaN if it never holds."""
    threshold: float
    n_layers: int
    windows: Windows

    def to_frame(self) -> pd.DataFrame:
        """One row per window and continuation token: ``window``, ``position`` (0 is the first) and ``layer``."""
        w, position = np.indices(self.layer.shape).reshape(2, -1)
        columns = {"window": self.windows.window[w], "position": position, "layer": self.layer.reshape(-1)}
        return pd.DataFrame(columns)

    def _decided(self) -> Float[np.ndarray, "window depth"]:
        """Share of each window's tokens decided by each depth, 0 to ``n_layers``."""
        with np.errstate(invalid="ignore"):
            return (self.layer[:, :, None] <= np.arange(self.n_layers + 1)).sum(axis=1).astype(np.float64)

    def _median(self, mask: Bool[np.ndarray, " window"], *, seed: int) -> Estimate:
        """Depth by which half of the tokens are decided. Censored tokens count as decided beyond the last layer."""
        if not mask.any():
            return NOT_MEASURED
        decided, documents = self._decided()[mask], self.windows.document[mask]
        drawn, _ = resampled_means(decided, clusters=documents, seed=seed)
        half = np.vstack([decided.mean(axis=0), drawn]) >= self.layer.shape[1] / 2
        median = np.where(half.any(axis=1), half.argmax(axis=1), np.inf)
        return from_resamples(float(median[0]), median[1:], **resting_on(documents))

    def summary(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Share of tokens that hold, share that hold before the last layer, and the median over all tokens.

        Returns:
            One row per group and ``statistic`` (``holds``, ``holds_before_last``, ``median``): ``value``, ``low``,
            ``high``, ``n`` (windows), ``n_documents``. The median is in layers, and infinite if fewer than half hold.
        """
        rows = []
        for group, mask in group_masks(groups, len(self.windows)).items():
            documents = self.windows.document[mask]
            with np.errstate(invalid="ignore"):
                shares = {
                    "holds": ~np.isnan(self.layer[mask]),
                    "holds_before_last": self.layer[mask] < self.n_layers,
                }
            estimates = {
                name: bootstrap_mean(held.mean(axis=1), clusters=documents, seed=seed, trials=held.shape[1])
                for name, held in shares.items()
            }
            estimates["median"] = self._median(mask, seed=seed)
            rows += [{"group": group, "statistic": name, **estimate_columns(e)} for name, e in estimates.items()]
        return pd.DataFrame(rows)

    def holding(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Share of tokens decided by each layer: one minus the Kaplan-Meier curve.

        Returns:
            As ``group_curves``, with ``depth`` (layers) and ``relative_depth`` (0 to 1); values 0 to 1.
        """
        depth = np.arange(self.n_layers + 1, dtype=np.float64)
        return group_curves(
            self._decided() / self.layer.shape[1],
            self.windows,
            points={"depth": depth, "relative_depth": depth / self.n_layers},
            groups=groups,
            seed=seed,
            trials=self.layer.shape[1],
        )
