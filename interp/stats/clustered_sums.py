"""Means of columns with intervals by document, from windows that arrive piece by piece and are not kept (ours).

Only sums by document are held. Beyond ``MAX_CLUSTERS`` documents, a hash of the document's name assigns whole documents
to that many clusters, and the clusters are resampled instead (random groups; Wolter 2007, ch. 2). The means stay exact,
memory stays bounded, and the interval rests on fewer, larger units.
"""

from __future__ import annotations

import zlib

import numpy as np
from jaxtyping import Float, Int, Shaped

from interp.stats.estimates import Estimate, cluster_sums, mean_estimates, trials_of

MAX_CLUSTERS = 2048


class ClusteredSums:
    """Sums of columns by cluster. Windows can be added at any time."""

    def __init__(self, n_columns: int, *, max_clusters: int = MAX_CLUSTERS) -> None:
        self._max = max_clusters
        self._row: dict[str, int] | None = {}
        """Cluster of each document; ``None`` once documents are merged."""
        self._sums, self._sizes = np.zeros((0, n_columns)), np.zeros((0, n_columns))
        self._trials = 1

    def add(self, values: Float[np.ndarray, "window column"], documents: Shaped[np.ndarray, " window"]) -> None:
        """Add windows. NaN means that a window was not measured in a column."""
        names = np.unique(documents.astype(str))
        rows = self._rows(names.tolist())
        sums, sizes = cluster_sums(values, documents)
        np.add.at(self._sums, rows, sums)
        np.add.at(self._sizes, rows, sizes)
        self._trials = min(self._trials, trials_of(values))

    def _rows(self, names: list[str]) -> Int[np.ndarray, " name"]:
        """Row of each document's cluster. Makes new rows as needed, and merges documents when there are too many."""
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

    def estimates(self, *, seed: int, n_resamples: int | None = None, trials: int | None = None) -> list[Estimate]:
        """Mean of each column with its interval. Equal to ``column_estimates`` as long as no documents were merged.

        Args:
            seed: seed of the bootstrap.
            n_resamples: number of bootstrap resamples of whole clusters. By default it follows from the number of
                clusters.
            trials: as in ``column_estimates``.
        """
        sums, sizes = self._sums, self._sizes
        if self._row is not None:  # sorted by name, as elsewhere, so that a seed always draws the same documents
            order = [self._row[name] for name in sorted(self._row)]
            sums, sizes = sums[order], sizes[order]
        there = sizes.any(axis=1)
        sums, sizes = sums[there], sizes[there]
        known = self._trials if trials is None else trials
        estimates, _ = mean_estimates(sums, sizes, seed=seed, trials=known, n_resamples=n_resamples)
        return estimates
