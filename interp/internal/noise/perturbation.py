"""Result of ``perturb``: recovery by layer and scores under noise, with summaries by group of windows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp.data.domains import is_structural
from interp.data.windows import Windows
from interp.planted.corpus import STRUCTURAL_DOMAINS
from interp.results import Provenance, Result
from interp.several import several
from interp.stats.columns import estimate_columns
from interp.stats.curves import Groups, Points, column_estimates, group_curves, group_masks
from interp.stats.estimates import clustered_rate, from_resamples

Recovery = Literal["cosine", "centred_cosine", "lens_kl"]
RECOVERIES: tuple[Recovery, ...] = ("cosine", "centred_cosine", "lens_kl")


@dataclass(frozen=True, repr=False, eq=False)
class Perturbation(Result):
    """Clean against noisy residual stream, and the text under noise, at each alpha."""

    alphas: Float[np.ndarray, " alpha"]
    """Noise, relative to the rms of the activation."""
    point: tuple[str, ...]
    """Hook names: the noisy site first (if it is on the residual stream), then the output of each layer above it."""
    depth: Float[np.ndarray, " point"]
    """Layers passed at each point."""
    n_layers: int
    cosine: Float[np.ndarray, "alpha point window"]
    """Cosine of clean and noisy residual stream, mean over continuation positions, -1 to 1. 1 is full recovery."""
    centred_cosine: Float[np.ndarray, "alpha point window"]
    """The same after the point's mean clean residual is subtracted from both. NaN if the clean residual equals that
    mean at every position, as in a single window with one continuation token."""
    lens_kl: Float[np.ndarray, "alpha point window"]
    """KL(clean || noisy) of the decoded distributions, nats, mean over continuation positions. NaN if not requested."""
    score: Float[np.ndarray, "alpha window"]
    """M by greedy decoding under noise, 0 to 1."""
    memorized: Bool[np.ndarray, "alpha window"]
    """M = 1: under noise and teacher forcing, the argmax is correct at every continuation position."""
    log_prob: Float[np.ndarray, "alpha window"]
    """Mean log-probability of a true continuation token under noise, nats."""
    windows: Windows
    provenance: Provenance

    def curves(self, quantity: Recovery, *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Mean recovery by group, alpha and point, with intervals by document.

        Returns:
            One row per group, alpha and point: ``alpha``, ``group``, ``point``, ``depth``, ``relative_depth``,
            ``value``, ``low``, ``high``, ``n``, ``n_documents``.
        """
        points: Points = {"point": self.point, "depth": self.depth, "relative_depth": self.depth / self.n_layers}
        tables = [
            group_curves(values.T, self.windows, points=points, groups=groups, seed=seed, trials=0).assign(alpha=alpha)
            for alpha, values in zip(self.alphas, getattr(self, quantity), strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    def regained(self, quantity: Recovery = "cosine", *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Recovery as one number: the quantity at the last point minus that at the first, and group contrasts (ours).

        Positive numbers mean that later layers remove the noise. For ``lens_kl``, negative numbers mean this. A
        contrast is the first group's mean minus that of another group, on the same resampled documents. Its
        ``n_documents`` is that of the smaller group.

        Returns:
            One row per alpha and group or contrast (``memorized - unmemorized``): ``value``, ``low``, ``high``, ``n``,
            ``n_documents``.
        """
        named = group_masks(groups, len(self.windows))
        rows = []
        for alpha, values in zip(self.alphas, getattr(self, quantity), strict=True):
            gain = values[-1] - values[0]
            # One column per group, so that a resampled document counts in all its groups.
            columns = np.stack([np.where(mask, gain, np.nan) for mask in named.values()], axis=1)
            estimates, means = column_estimates(columns, self.windows.document, seed=seed, trials=0)
            first, *others = named
            rows += [(alpha, group, e) for group, e in zip(named, estimates, strict=True)]
            for i, other in enumerate(others, start=1):
                either = ~np.isnan(columns[:, 0]) | ~np.isnan(columns[:, i])
                difference = from_resamples(
                    estimates[0].value - estimates[i].value,
                    means[:, 0] - means[:, i],
                    n=int(either.sum()),
                    n_clusters=min(estimates[0].n_documents, estimates[i].n_documents),
                )
                rows.append((alpha, f"{first} - {other}", difference))
        return pd.DataFrame([{"alpha": alpha, "group": group, **estimate_columns(e)} for alpha, group, e in rows])

    def scores(
        self,
        *,
        groups: Groups | None = None,
        structural: str | Collection[str] = STRUCTURAL_DOMAINS,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Rate of M = 1, mean M, log-probability and structural share at each alpha.

        Args:
            groups: masks over the windows by name. Default: all windows.
            structural: domains of structural text. The share is among windows with M = 1 under that noise, so it
                depends on the number of tested windows of each domain. NaN if no window with M = 1 has a known domain.
            seed: seed of the bootstrap.

        Returns:
            One row per alpha, group and ``statistic`` (``rate``, ``score``, ``log_prob``, ``structural_share``).
        """
        text = is_structural(self.windows.domain, several(structural))
        rows = []
        for group, mask in group_masks(groups, len(self.windows)).items():
            documents = self.windows.document[mask]
            columns = {
                "rate": (self.memorized.astype(np.float64), 1),
                "score": (self.score, self.windows.continuation_len),
                "log_prob": (self.log_prob, 0),
            }
            of_alphas = {
                name: column_estimates(values[:, mask].T, documents, seed=seed, trials=trials)[0]
                for name, (values, trials) in columns.items()
            }
            for i, alpha in enumerate(self.alphas):
                kept = self.memorized[i] & mask & ~np.isnan(text)
                estimates = {
                    **{name: each[i] for name, each in of_alphas.items()},
                    "structural_share": clustered_rate(
                        text[kept] == 1, clusters=self.windows.document[kept], seed=seed
                    ),
                }
                rows += [
                    {"alpha": alpha, "group": group, "statistic": name, **estimate_columns(e)}
                    for name, e in estimates.items()
                ]
        return pd.DataFrame(rows)

    def to_frame(self) -> pd.DataFrame:
        """One row per alpha, point and window. ``score``, ``memorized`` and ``log_prob`` are equal at all points."""
        a, p, w = np.indices(self.cosine.shape).reshape(3, -1)
        index = {
            "alpha": self.alphas[a],
            "point": np.asarray(self.point, dtype=object)[p],
            "depth": self.depth[p],
            "window": self.windows.window[w],
        }
        by_point = {name: getattr(self, name).reshape(-1) for name in RECOVERIES}
        by_window = {name: getattr(self, name)[a, w] for name in ("score", "memorized", "log_prob")}
        return pd.DataFrame(index | by_point | by_window)
