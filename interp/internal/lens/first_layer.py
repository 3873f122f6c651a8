"""First layer from which the true token's probability stays above a threshold, with censoring.

For each token of a continuation: the first point of the residual stream from which p > threshold holds at every
later point up to the last (definitions, "layer decoding"; paper, threshold 0.5). Where p does not exceed the threshold
at the last point it never holds, and the token is censored: NaN here, not "the last layer". Averages over the
tokens that do hold would compare different tokens in different groups, so the summary gives the share that ever
holds, the share by layer, and the median of all tokens, infinite where fewer than half ever hold (ours). All tokens are
followed to the same last layer, so the Kaplan-Meier curve is one minus the share by layer, and its median is this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp.brief import Brief
from interp.data.windows import Windows
from interp.stats.curves import Groups, estimate_columns, group_curves, group_masks
from interp.stats.estimates import bootstrap, bootstrap_mean


def first_holding(
    probability: Float[np.ndarray, "point window continuation"], depth: Float[np.ndarray, " point"], threshold: float
) -> Float[np.ndarray, "window continuation"]:
    """Depth of the first point from which ``probability > threshold`` holds up to the last; NaN where it never does."""
    above = probability > threshold
    holds = np.logical_and.accumulate(above[::-1], axis=0)[::-1]
    # Points from which it holds are the last ones, so their number gives the first of them.
    first = len(depth) - holds.sum(axis=0)
    return np.where(holds[-1], depth[np.minimum(first, len(depth) - 1)], np.nan)


@dataclass(frozen=True, repr=False, eq=False)
class FirstLayer(Brief):
    """Where each token of the continuations is decided."""

    layer: Float[np.ndarray, "window continuation"]
    """Layers passed when p > threshold starts to hold: 0 (embeddings) to ``n_layers``; NaN where it never holds."""
    threshold: float
    n_layers: int
    windows: Windows

    def _median(self, chosen: Int[np.ndarray, " window"], sample: Int[np.ndarray, " sample"]) -> float:
        # A censored token is decided beyond every layer that was seen.
        held = np.nan_to_num(self.layer[chosen[sample]], nan=np.inf)
        return float(np.percentile(held, 50, method="inverted_cdf"))

    def summary(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Share of tokens that ever hold, that hold before the last layer, and the median over all tokens.

        Returns:
            One row a group and ``statistic`` (``holds``, ``holds_before_last``, ``median``): ``value``, ``low``,
            ``high``, ``n`` (windows), ``n_documents``. A median is in layers, infinite where fewer than half hold.
        """
        rows = []
        for group, mask in group_masks(groups, len(self.windows)).items():
            documents = self.windows.document[mask]
            chosen = np.flatnonzero(mask)
            with np.errstate(invalid="ignore"):
                shares = {
                    "holds": ~np.isnan(self.layer[mask]),
                    "holds_before_last": self.layer[mask] < self.n_layers,
                }
            estimates = {
                name: bootstrap_mean(held.mean(axis=1), clusters=documents, seed=seed, trials=held.shape[1])
                for name, held in shares.items()
            }
            median = partial(self._median, chosen)
            estimates["median"] = bootstrap(median, len(chosen), clusters=documents, seed=seed)
            rows += [{"group": group, "statistic": name, **estimate_columns(e)} for name, e in estimates.items()]
        return pd.DataFrame(rows)

    def holding(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Share of tokens decided by each layer: one minus the Kaplan-Meier curve.

        Returns:
            As ``group_curves``, with ``depth`` (layers) and ``relative_depth`` (0 to 1); values 0 to 1.
        """
        depth = np.arange(self.n_layers + 1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            decided = self.layer[:, :, None] <= depth
        return group_curves(
            decided.mean(axis=1),
            self.windows,
            points={"depth": depth, "relative_depth": depth / self.n_layers},
            groups=groups,
            seed=seed,
            trials=self.layer.shape[1],
        )
