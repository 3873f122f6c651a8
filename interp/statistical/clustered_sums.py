"""Means of columns with intervals by document, from windows that come piece by piece and are not kept. (Ours.)

Only sums by document are held. Where there are more documents than ``MAX_CLUSTERS``, whole documents are thrown
together into that many clusters by a hash of their names, and these are resampled instead (random groups; Wolter 2007,
ch. 2): the means stay exact, the interval rests on fewer, larger units, and memory does not grow.
"""

from __future__ import annotations

import zlib

import numpy as np
from jaxtyping import Float, Int, Shaped

from interp.stats import N_RESAMPLES, NOT_MEASURED, Estimate, from_resamples, resampled_means_of_sums

MAX_CLUSTERS = 2048


class ClusteredSums:
    """Sums of columns by cluster, while windows are added."""

    def __init__(self, n_columns: int, *, max_clusters: int = MAX_CLUSTERS) -> None:
        self._max = max_clusters
        self._row: dict[str, int] | None = {}
        """Cluster of each document; ``None`` once documents are thrown together."""
        self._sums, self._sizes = np.zeros((0, n_columns)), np.zeros((0, n_columns))

    def add(self, values: Float[np.ndarray, "window column"], documents: Shaped[np.ndarray, " window"]) -> None:
        """Add some windows; NaN where a window was not measured in a column."""
        names, inverse = np.unique(documents.astype(str), return_inverse=True)
        rows = self._rows(names.tolist())[inverse]
        measured = ~np.isnan(values)
        np.add.at(self._sums, rows, np.where(measured, values, 0.0))
        np.add.at(self._sizes, rows, measured.astype(np.float64))

    def _rows(self, names: list[str]) -> Int[np.ndarray, " name"]:
        """Clusters of documents, with rows for them; throws documents together when there are too many."""
        if self._row is not None:
            for name in names:
                self._row.setdefault(name, len(self._row))
            if len(self._row) <= self._max:
                new = len(self._row) - len(self._sums)
                self._sums, self._sizes = (np.pad(t, ((0, new), (0, 0))) for t in (self._sums, self._sizes))
                return np.array([self._row[name] for name in names], dtype=np.int64)
            into = [self._thrown(name) for name in self._row][: len(self._sums)]
            for table in ("_sums", "_sizes"):
                together = np.zeros((self._max, self._sums.shape[1]))
                np.add.at(together, into, getattr(self, table))
                setattr(self, table, together)
            self._row = None
        return np.array([self._thrown(name) for name in names], dtype=np.int64)

    def _thrown(self, name: str) -> int:
        return zlib.crc32(name.encode()) % self._max

    def estimates(self, *, seed: int, n_resamples: int = N_RESAMPLES) -> list[Estimate]:
        """Mean of each column with its interval; those of ``column_estimates`` while no documents were thrown together.

        Args:
            seed: of the bootstrap.
            n_resamples: bootstrap resamples, whole clusters drawn.
        """
        sums, sizes = self._sums, self._sizes
        if self._row is not None:  # in order of their names, as elsewhere, so that the same seed draws the same
            order = [self._row[name] for name in sorted(self._row)]
            sums, sizes = sums[order], sizes[order]
        there = sizes.any(axis=1)
        sums, sizes = sums[there], sizes[there]
        means, _ = resampled_means_of_sums(sums, sizes, seed=seed, n_resamples=n_resamples)
        n, n_clusters = sizes.sum(axis=0), (sizes > 0).sum(axis=0)
        return [
            from_resamples(float(sums[:, i].sum() / n[i]), means[:, i], n=int(n[i]), n_clusters=int(n_clusters[i]))
            if n[i]
            else NOT_MEASURED
            for i in range(sums.shape[1])
        ]
