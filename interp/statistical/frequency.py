"""Frequency: how often the n-grams of a window, and the whole window, occur in the corpus.

The count at a position is the count of the n-gram that ends there, so the first n-gram with a continuation token is at
the boundary (arXiv 2603.21658, "frequency"; n = 1 to 8). Averages are of log10(1 + count), because counts range over
orders of magnitude (ours). Whole windows are counted as well.

Counts by position take the most memory: 4 KB per window. ``frequency`` keeps them in memory; ``stream_frequency``
(``interp.statistical.frequency_parts``) keeps them on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.data.counts.index import CountIndex, ngram_counts, window_counts
from interp.data.counts.manifest import CountIndexError
from interp.data.windows import Windows
from interp.progress import along
from interp.results import Provenance, Result
from interp.several import several
from interp.stats.clustered_sums import ClusteredSums
from interp.stats.columns import estimate_columns
from interp.stats.curves import Groups, Points, group_masks

LENGTHS = tuple(range(1, 9))


@dataclass(frozen=True, repr=False, eq=False)
class Frequency(Result):
    """Corpus counts of windows."""

    table: pd.DataFrame
    """One row per window: the columns of ``Windows.to_frame()``; ``window_count``, the count of the whole window; and
    for each n ``log_count_n``, the mean of log10(1 + count) over its n-grams, and ``step_n``, the mean over those
    inside the continuation minus the mean over those inside the prefix."""
    lengths: tuple[int, ...]
    """n of the n-grams."""
    prefix_len: int
    pieces: Iterable[Float[np.ndarray, "_window length pos"]]
    """Count of the n-gram that ends at each position, for consecutive rows of the table. NaN if the n-gram would begin
    before the window. Can be iterated over repeatedly."""
    provenance: Provenance

    def curves(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Mean log10(1 + count) by position in each group, with intervals by document.

        Returns:
            One row per group, ``length`` of the n-grams and ``position`` (0: the first token of the continuation), with
            the columns of an estimate (``interp.stats.columns``).
        """
        first = next(iter(self.pieces))
        n_pos = first.shape[2]
        points = {
            "length": np.repeat(self.lengths, n_pos),
            "position": np.tile(np.arange(n_pos) - self.prefix_len, len(self.lengths)),
        }
        measured = ~np.isnan(first[0]).reshape(-1)
        values = (np.log10(1 + counts).reshape(len(counts), -1)[:, measured] for counts in self.pieces)
        return self._means(values, {name: column[measured] for name, column in points.items()}, groups, seed)

    def boundary(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Step at the boundary: mean log10(1 + count) of n-grams inside the continuation minus that inside the prefix.

        n-grams across the boundary are in neither.

        Returns:
            One row per group and ``length`` of the n-grams, with the step as an estimate.
        """
        steps = self.table[[f"step_{n}" for n in self.lengths]].to_numpy()
        return self._means([steps], {"length": self.lengths}, groups, seed)

    def whole(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Mean log10(1 + count) and median count of whole windows, by group."""
        counts = self.table["window_count"].to_numpy()
        table = self._means([np.log10(1 + counts)[:, None]], {"of": ["window"]}, groups, seed)
        masks = group_masks(groups, len(self.table)).values()
        medians = [float(np.median(counts[mask])) if mask.any() else np.nan for mask in masks]
        return table.assign(median_count=medians)

    def to_frame(self) -> pd.DataFrame:
        """One row per window; see ``table``."""
        return self.table

    def _means(
        self, pieces: Iterable[Float[np.ndarray, "_window point"]], points: Points, groups: Groups | None, seed: int
    ) -> pd.DataFrame:
        """Mean of each point in each group, from values that arrive piece by piece."""
        masks, documents = group_masks(groups, len(self.table)), self.table["document"].to_numpy()
        n_points = len(next(iter(points.values())))
        sums = {group: ClusteredSums(n_points) for group in masks}
        start = 0
        for values in pieces:
            rows = slice(start, start + len(values))
            for group, mask in masks.items():
                sums[group].add(values[mask[rows]], documents[rows][mask[rows]])
            start = rows.stop
        rows_of = [
            {"group": group, **{name: column[i] for name, column in points.items()}, **estimate_columns(e)}
            for group in masks
            for i, e in enumerate(sums[group].estimates(seed=seed, trials=0))
        ]
        return pd.DataFrame(rows_of)


def frequency(
    index: CountIndex, windows: Windows, *, lengths: int | Sequence[int] = LENGTHS, progress: bool = False
) -> Frequency:
    """Count n-grams of windows, and whole windows, in an indexed corpus.

    Args:
        index: index of the model's training corpus, in the model's own tokenizer.
        windows: windows of that tokenizer.
        lengths: n of the n-grams; none longer than the prefix or the continuation.
        progress: show a bar with the time left.

    Raises:
        CountIndexError: an id is not in the index's vocabulary, the windows have another tokenizer than the index, or
            the n-grams do not fit into the prefix and into the continuation.
    """
    lengths = several(lengths)
    if windows.tokenizer not in (None, index.manifest.tokenizer):
        raise CountIndexError(
            f"windows of {windows.source} have token ids of the tokenizer {windows.tokenizer}, but {index.path} counts "
            f"those of {index.manifest.tokenizer}: the same ids mean other text"
        )
    longest = min(windows.prefix_len, windows.continuation_len)
    if not lengths or min(lengths) < 1 or max(lengths) > longest:
        raise CountIndexError(
            f"n-grams of lengths {list(lengths)} do not fit; n can be 1 to {longest} in these windows"
        )
    counted = along(lengths, "n-gram counts", progress, total=len(lengths), unit="length")
    counts = np.stack([ngram_counts(index, windows, n) for n in counted], axis=1)
    logs, k = np.log10(1 + counts), windows.prefix_len
    columns = {"window_count": window_counts(index, windows)}
    for i, n in enumerate(lengths):
        columns[f"log_count_{n}"] = logs[:, i, n - 1 :].mean(axis=1)
        columns[f"step_{n}"] = logs[:, i, k + n - 1 :].mean(axis=1) - logs[:, i, n - 1 : k].mean(axis=1)
    return Frequency(
        table=windows.to_frame().assign(**columns),
        lengths=tuple(lengths),
        prefix_len=k,
        pieces=(counts,),
        provenance=frequency_provenance(index, windows, lengths),
    )


def frequency_provenance(index: CountIndex, windows: Windows, lengths: Sequence[int]) -> Provenance:
    """Provenance of the counts of these windows."""
    return Provenance.of(
        "frequency",
        None,
        windows,
        lengths=list(lengths),
        corpus=index.manifest.source,
        corpus_sha256=index.manifest.sha256,
        corpus_tokenizer=index.manifest.tokenizer,
        engine=index.manifest.engine,
    )
