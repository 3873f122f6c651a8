"""Flags for large runs: which windows are memorized, without generating the text of those that are not.

The flag is M = 1 of arXiv 2603.21658. A window is dropped at its first miss; see ``interp.statistical.cascade``.

Windows come as a stream of chunks, and each chunk is returned as soon as it is done. Memory holds one chunk.

    >>> for part in memorized_flags(model, chunks):
    ...     part.memorized.mean()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import NEAR_TIE
from interp.files import only_writer
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.results import Provenance, Result, read_result, write_result
from interp.sizes import Size
from interp.statistical.cascade import exact_runs, texts_at_once
from interp.stats.estimates import clustered_rate
from interp.wording import percent


@dataclass(frozen=True, repr=False, eq=False)
class Flags(Result):
    """Which windows of a chunk are memorized."""

    windows: Windows
    memorized: Bool[np.ndarray, " window"]
    """M = 1."""
    exact_run: Int[np.ndarray, " window"]
    """Correct tokens before the first miss, 0 to n."""
    near_ties: Int[np.ndarray, " window"]
    """Choices whose top two logits are closer than ``NEAR_TIE``, up to the end of the stage of the first miss."""
    provenance: Provenance

    def found(self) -> str:
        """The share memorized, for ``repr``."""
        return f"memorized {percent(clustered_rate(self.memorized, clusters=self.windows.document, seed=0))}"

    def to_frame(self) -> pd.DataFrame:
        """One row per window."""
        return self.windows.to_frame().assign(
            memorized=self.memorized, exact_run=self.exact_run, near_ties=self.near_ties
        )


def memorized_flags(
    model: TransformerBridge, stream: Iterable[Windows], *, batch_size: int = 256, memory_budget: Size | None = None
) -> Iterator[Flags]:
    """Flag the memorized windows of a stream, chunk by chunk.

    The flags equal those of ``extract`` for any batch size, except after a near tie.

    Args:
        model: a booted model.
        stream: chunks of windows (4,096, for example). One chunk is in memory at a time.
        batch_size: windows per forward pass. Joined batches hold less than twice as many.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.

    Yields:
        The flags of each chunk, in its order.

    Raises:
        WindowError: a chunk that the model cannot take, or a batch size below 1.
        DecodingError: NaN or infinite logits, with the window.
    """
    for windows in stream:
        yield _flag(model, windows, batch_size=batch_size, memory_budget=memory_budget)


@measurement
def _flag(model: TransformerBridge, windows: Windows, *, batch_size: int, memory_budget: Size | None) -> Flags:
    """Flag one chunk. Between chunks the process has the caller's settings."""
    check_windows(model, windows)
    decoder = Decoder.of(model, windows.tokens[:1])
    batch_size = texts_at_once(model, windows, batch_size, memory_budget)
    everything = np.arange(len(windows))
    used = np.full(len(windows), windows.prefix_len)
    runs = exact_runs(model, decoder, windows, row=everything, used=used, batch_size=batch_size)
    return Flags(
        windows=windows,
        memorized=runs.exact_run == windows.continuation_len,
        exact_run=runs.exact_run,
        near_ties=runs.near_ties,
        provenance=Provenance.of(
            "memorized_flags",
            model,
            windows,
            batch_size=batch_size,
            near_tie=NEAR_TIE,
            through=decoder.through,
        ),
    )


def write_flags(
    model: TransformerBridge,
    stream: Iterable[Windows],
    out: Path,
    *,
    batch_size: int = 256,
    memory_budget: Size | None = None,
) -> list[Path]:
    """Flag a stream into a folder of parquet parts, one per chunk. An interrupted run resumes where it stopped.

    One process at a time writes into a folder. Others wait, and reuse the parts that they find.

    Args:
        model: a booted model.
        stream: chunks of windows, the same on every run.
        out: folder of ``part-000000.parquet``, ``part-000001.parquet`` ... Finished parts are not run again.
        batch_size, memory_budget: as in ``memorized_flags``.

    Returns:
        The parts, in order.

    Raises:
        WindowError: a part in the folder is damaged, belongs to another model (name, revision, weights, dtype,
            attention, tokenizer, hooks) or to other windows (text, ids, documents, prefix length), or comes after the
            last part of the stream.
    """
    parts = []
    with only_writer(out, wait=True):
        for i, windows in enumerate(stream):
            part = out / f"part-{i:06d}.parquet"
            parts.append(part)
            if part.exists():
                _refuse_foreign(part, model, windows)
            else:
                (flags,) = memorized_flags(model, [windows], batch_size=batch_size, memory_budget=memory_budget)
                write_result(flags, part)
        further = sorted({*out.glob("part-*.parquet")} - {*parts})
    if further:
        raise WindowError(f"{further[0]} is of an earlier, longer run: it would be read with the others; remove it")
    return parts


def _refuse_foreign(part: Path, model: TransformerBridge, windows: Windows) -> None:
    try:
        _, (found,) = read_result(part, columns=["window"])  # the whole file is checked: a damaged part is found now
    except ValueError as error:
        raise WindowError(f"{error}. Remove {part} if it is damaged, or choose an empty folder") from error
    differences = Provenance.of("memorized_flags", model, windows).differences(found)
    if differences:
        raise WindowError(f"{part} holds flags of something else: other {differences}; choose an empty folder")
