"""Compression: how short a prefix still triggers a memorized continuation.

The ratio is the fewest last prefix tokens k' that still give M = 1, over k (arXiv 2603.21658, the statistical level: at
most 0.5 for Pythia and StarCoder). It is defined for memorized windows. Success is not monotone in k', so two lengths
are reported (ours): the smallest k' that works, and the smallest from which every longer one works.

All lengths are tried without generating text. M = 1 for k' tokens if and only if every true token is the argmax, given
those k' tokens and the true continuation before it. A text is dropped at its first miss; see ``cascade``.

    >>> result = compress(model, windows)
    >>> result.ratio, result.to_frame()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import NEAR_TIE
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.results import Provenance, Result
from interp.several import several
from interp.sizes import Size
from interp.statistical.cascade import exact_runs, texts_at_once
from interp.statistical.measured import ScoresError, check_columns, grouped, numbers
from interp.stats.columns import estimates_frame
from interp.stats.curves import column_estimates
from interp.stats.estimates import bootstrap_mean, clustered_rate


@dataclass(frozen=True, repr=False, eq=False)
class Compression(Result):
    """The shortest prefixes of memorized windows."""

    windows: Windows
    works: Bool[np.ndarray, "window length"]
    """Whether M = 1 given the last 1, 2 ... k prefix tokens. All False for a window that is not memorized: its shorter
    prefixes were not tried."""
    near_ties: Int[np.ndarray, " window"]
    """Number of near ties, over all lengths."""
    provenance: Provenance

    def found(self) -> str:
        """Number of memorized windows and their mean ratio, for ``repr``."""
        mean = bootstrap_mean(self.ratio, clusters=self.windows.document, seed=0)
        return f"{self.memorized.sum()} memorized, mean ratio {mean}"

    @property
    def memorized(self) -> Bool[np.ndarray, " window"]:
        """M = 1 with the whole prefix."""
        return self.works[:, -1]

    @property
    def smallest(self) -> Float[np.ndarray, " window"]:
        """Fewest last prefix tokens that give M = 1, 1 to k. NaN if not memorized."""
        return np.where(self.memorized, self.works.argmax(axis=1) + 1.0, np.nan)

    @property
    def every_longer(self) -> Float[np.ndarray, " window"]:
        """Fewest tokens from which every longer prefix gives M = 1 too, ``smallest`` to k. NaN if not memorized."""
        unbroken = np.cumprod(self.works[:, ::-1], axis=1).sum(axis=1)
        return np.where(self.memorized, self.works.shape[1] + 1.0 - unbroken, np.nan)

    @property
    def ratio(self) -> Float[np.ndarray, " window"]:
        """The compression ratio: ``smallest`` over k, 1/k to 1. NaN if not memorized."""
        return self.smallest / self.works.shape[1]

    def to_frame(self) -> pd.DataFrame:
        """One row per window: both lengths in tokens, and their ratios to k."""
        return self.windows.to_frame().assign(
            memorized=self.memorized,
            smallest=self.smallest,
            every_longer=self.every_longer,
            ratio=self.ratio,
            ratio_every_longer=self.every_longer / self.works.shape[1],
            near_ties=self.near_ties,
        )


@measurement
def compress(
    model: TransformerBridge,
    windows: Windows,
    *,
    batch_size: int = 256,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> Compression:
    """Try every prefix length on every memorized window.

    Args:
        model: a booted model.
        windows: any windows. One pass finds those that are not memorized; they get NaN.
        batch_size: texts per forward pass; windows and lengths share batches.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Returns:
        The lengths that give M = 1, for each window.

    Raises:
        WindowError: windows that the model cannot take, or a batch size below 1.
        DecodingError: NaN or infinite logits, with the window.
    """
    check_windows(model, windows)
    batch_size = texts_at_once(model, windows, batch_size, memory_budget)
    decoder = Decoder.of(model, windows.tokens[:1])
    k, n = windows.prefix_len, windows.continuation_len
    everything = np.arange(len(windows))
    how: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    whole = exact_runs(model, decoder, windows, row=everything, used=np.full(len(windows), k), **how)
    works = np.zeros((len(windows), k), dtype=bool)
    works[:, -1] = whole.exact_run == n
    near_ties = whole.near_ties.copy()
    # Sorted by length, so that no pass reads further than it must.
    memorized = np.flatnonzero(works[:, -1])
    used, row = np.repeat(np.arange(1, k), len(memorized)), np.tile(memorized, k - 1)
    if len(row):
        shorter = exact_runs(model, decoder, windows, row=row, used=used, **how, what="shorter prefixes")
        works[row, used - 1] = shorter.exact_run == n
        np.add.at(near_ties, row, shorter.near_ties)
    return Compression(
        windows=windows,
        works=works,
        near_ties=near_ties,
        provenance=Provenance.of(
            "compress", model, windows, batch_size=batch_size, near_tie=NEAR_TIE, through=decoder.through
        ),
    )


def compression_summary(
    table: pd.DataFrame, *, by: str | Sequence[str] = ("model", "domain"), limit: float = 0.5, seed: int = 0
) -> pd.DataFrame:
    """Ratios of groups of windows, with intervals clustered by document.

    Args:
        table: rows of ``Compression.to_frame()`` with the grouping columns.
        by: columns to group by.
        limit: the ratio for ``within_limit``; 0.5 in the paper.
        seed: seed of the bootstrap over documents.

    Returns:
        One row per group and ``quantity``: the mean ``ratio``, the mean ``ratio_every_longer``, the share of windows
        ``within_limit`` and the share ``not_monotone`` (a longer prefix fails where a shorter one works), each with
        ``value``, ``low``, ``high``, ``n``, ``n_documents``. Only memorized windows count; groups without any are not
        listed.

    Raises:
        ScoresError: a ratio or a limit is outside 0 to 1, or only one of a window's two ratios is known.
    """
    by = several(by)
    check_columns(table, [*by, "ratio", "ratio_every_longer", "document"], what="a summary of compression")
    if not 0 <= limit <= 1:
        raise ScoresError(f"limit={limit}: ratios lie between 0 and 1")
    known = _known(table, "ratio", "ratio_every_longer")
    rows, estimates = [], []
    for key, group in grouped(known, by):
        documents = group["document"].to_numpy()
        ratio, longer = group["ratio"].to_numpy(), group["ratio_every_longer"].to_numpy()
        for quantity, estimate in (
            ("ratio", bootstrap_mean(ratio, seed=seed, clusters=documents)),
            ("ratio_every_longer", bootstrap_mean(longer, seed=seed, clusters=documents)),
            ("within_limit", clustered_rate(ratio <= limit, clusters=documents, seed=seed)),
            ("not_monotone", clustered_rate(longer > ratio, clusters=documents, seed=seed)),
        ):
            rows.append((*key, quantity))
            estimates.append(estimate)
    return pd.concat([pd.DataFrame(rows, columns=[*by, "quantity"]), estimates_frame(estimates)], axis=1)


def ratio_distribution(
    table: pd.DataFrame, *, by: str | Sequence[str] = ("model", "domain"), seed: int = 0
) -> pd.DataFrame:
    """Share of memorized windows whose compression ratio is at most x, for every ratio x that occurs.

    Args:
        table: rows of ``Compression.to_frame()`` with the grouping columns.
        by: columns to group by.
        seed: seed of the bootstrap over documents.

    Returns:
        One row per group and ratio: ``ratio`` (0 to 1, the same ratios in every group), and the share as ``value`` with
        ``low``, ``high``, ``n``, ``n_documents``. Groups without a memorized window are not listed.
    """
    by = several(by)
    check_columns(table, [*by, "ratio", "document"], what="the distribution of compression ratios")
    known = _known(table, "ratio")
    at = np.unique([0.0, *known["ratio"], 1.0])
    rows, estimates = [], []
    for key, group in grouped(known, by):
        within = (group["ratio"].to_numpy()[:, None] <= at).astype(np.float64)
        documents = group["document"].to_numpy()
        shares, _ = column_estimates(within, documents, seed=seed, trials=1)
        rows += [(*key, ratio) for ratio in at]
        estimates += shares
    return pd.concat([pd.DataFrame(rows, columns=[*by, "ratio"]), estimates_frame(estimates)], axis=1)


def _known(table: pd.DataFrame, *ratios: str) -> pd.DataFrame:
    """The rows whose ratios are known, as numbers."""
    columns = {name: numbers(table[name], low=0.0, high=1.0) for name in ratios}
    missing = np.isnan(list(columns.values()))
    if (missing.any(axis=0) != missing.all(axis=0)).any():
        raise ScoresError(f"some windows have only one of {list(ratios)}; give both or neither")
    return table.assign(**columns).iloc[np.flatnonzero(~missing.any(axis=0))]
