"""Frequency: how often the n-grams of a window, and the whole window, stand in the corpus.

The count at a position is that of the n-gram which ends there, so the first one that reaches into the continuation is
at the boundary (arXiv 2603.21658, "frequency"; n = 1 to 8). Averages are of log10(1 + count), since counts range over
orders of magnitude (ours); whole windows are counted beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.data.counts.index import CountIndex, ngram_counts, window_counts
from interp.data.windows import Windows
from interp.internal.curves import EVERY, Groups, group_curves
from interp.results import Provenance

LENGTHS = tuple(range(1, 9))


@dataclass(frozen=True)
class Frequency:
    """Corpus counts of windows."""

    windows: Windows
    lengths: tuple[int, ...]
    """n of the n-grams."""
    counts: Float[np.ndarray, "window length pos"]
    """Count of the n-gram that ends at each position; NaN where it would begin before the window."""
    window_count: Float[np.ndarray, " window"]
    """Count of the whole window."""
    provenance: Provenance

    def curves(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Mean log10(1 + count) by position in each group, with intervals by document.

        Returns:
            One row a group, ``n`` and ``position`` (0 is the first token of the continuation): ``value``, ``low``,
            ``high``, ``n_windows``, ``n_documents``.
        """
        n_windows, n_lengths, n_pos = self.counts.shape
        points = {
            "length": np.repeat(self.lengths, n_pos),
            "position": np.tile(np.arange(n_pos) - self.windows.prefix_len, n_lengths),
        }
        values = np.log10(1 + self.counts).reshape(n_windows, -1)
        measured = ~np.isnan(values).all(axis=0)
        curves = group_curves(
            values[:, measured],
            self.windows,
            points={name: column[measured] for name, column in points.items()},
            groups=groups,
            seed=seed,
        )
        return curves.rename(columns={"n": "n_windows", "length": "n"})

    def boundary(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Step at the boundary: mean log10(1 + count) of n-grams inside the continuation, less those inside the prefix.

        n-grams that reach across the boundary are in neither.

        Returns:
            One row a group and ``n``: ``value`` (the step), ``low``, ``high``, ``n_windows``, ``n_documents``.
        """
        k, logs = self.windows.prefix_len, np.log10(1 + self.counts)
        steps = [
            logs[:, i, k + n - 1 :].mean(axis=1) - logs[:, i, n - 1 : k].mean(axis=1)
            for i, n in enumerate(self.lengths)
        ]
        table = group_curves(
            np.stack(steps, axis=1), self.windows, points={"length": self.lengths}, groups=groups, seed=seed
        )
        return table.rename(columns={"n": "n_windows", "length": "n"})

    def whole(self, groups: Groups | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Mean log10(1 + count) of whole windows and their median count, by group."""
        table = group_curves(
            np.log10(1 + self.window_count)[:, None], self.windows, points={"of": ["window"]}, groups=groups, seed=seed
        )
        masks = groups or {EVERY: np.ones(len(self.windows), dtype=bool)}
        medians = [float(np.median(self.window_count[mask])) if mask.any() else np.nan for mask in masks.values()]
        return table.assign(median_count=medians).rename(columns={"n": "n_windows"})

    def to_frame(self) -> pd.DataFrame:
        """One row a window: ``window_count``, and for each n the mean of log10(1 + count) over its n-grams."""
        means = np.nanmean(np.log10(1 + self.counts), axis=2)
        return self.windows.to_frame().assign(
            window_count=self.window_count, **{f"log_count_{n}": means[:, i] for i, n in enumerate(self.lengths)}
        )


def frequency(index: CountIndex, windows: Windows, *, lengths: Sequence[int] = LENGTHS) -> Frequency:
    """Count the n-grams of windows, and the windows, in an indexed corpus.

    Args:
        index: of the model's training corpus, in the model's own tokenizer.
        windows: any windows of that tokenizer.
        lengths: n of the n-grams; none longer than the prefix or the continuation.

    Raises:
        CountIndexError: an id the index does not have, or n-grams longer than a window.
        ValueError: n-grams that do not fit into the prefix and into the continuation.
    """
    longest = min(windows.prefix_len, windows.continuation_len)
    if not lengths or min(lengths) < 1 or max(lengths) > longest:
        raise ValueError(f"n-grams of lengths {list(lengths)} do not fit; n can be 1 to {longest} in these windows")
    counts = np.stack([ngram_counts(index, windows, n) for n in lengths], axis=1)
    return Frequency(
        windows=windows,
        lengths=tuple(lengths),
        counts=counts,
        window_count=window_counts(index, windows),
        provenance=Provenance(
            measurement="frequency",
            model="",
            windows=windows.source,
            n_windows=len(windows),
            settings={
                "lengths": list(lengths),
                "corpus": index.manifest.source,
                "corpus_sha256": index.manifest.sha256,
                "engine": index.manifest.engine,
            },
            dtype="",
            device="",
        ),
    )
