"""Numerics: how far the flags depend on the number format and the batch size.

Greedy text can change with the rounding of the logits: in bfloat16 or float16 and, after a near tie, with the batch
shape. The flip rate is the share of windows whose flag M = 1 differs from float32 at the reference batch size. (Ours.)

    >>> result = numerics("pythia-small-1.2m", windows)
    >>> result.to_frame()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.readout import NEAR_TIE
from interp.errors import InterpError
from interp.models.identity import parameter_dtype
from interp.models.loading import load_model
from interp.progress import along
from interp.results import Provenance, Result
from interp.several import several
from interp.sizes import Size
from interp.statistical.extraction import Extraction, extract
from interp.stats.columns import estimate_columns
from interp.stats.estimates import Estimate, clustered_rate
from interp.wording import percent

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

SHARES = ("flip_rate", "other_text", "near_ties")
"""Fields of a ``Setting`` that are shares of the windows."""


class NumericsError(InterpError, ValueError):
    """The settings or extractions cannot be compared."""


@dataclass(frozen=True, repr=False)
class Setting(Brief):
    """One setting of the extraction, compared with float32 at the reference batch size."""

    dtype: str
    batch_size: int
    flip_rate: Estimate
    """Share of windows whose flag M = 1 differs from the reference's."""
    gained: int
    """Number of windows flagged here and not in the reference."""
    lost: int
    """Number of windows flagged in the reference and not here."""
    other_text: Estimate
    """Share of windows with at least one different generated token."""
    near_ties: Estimate
    """Share of windows with a near tie in this setting. Half-precision logits lie on a coarse grid, so the two largest
    are often equal."""
    largest_log_prob_change: float
    """Largest change of a true token's log-probability, nats."""


@dataclass(frozen=True, repr=False, eq=False)
class Numerics(Result):
    """Extraction under several settings, compared with float32."""

    windows: Windows
    reference: Extraction
    """In float32, at the first batch size."""
    settings: tuple[Setting, ...]
    provenance: Provenance

    def found(self) -> str:
        """The largest share of flags that flip, for ``repr``."""
        worst = max(self.settings, key=lambda setting: setting.flip_rate.value)
        return f"flags flip in at most {percent(worst.flip_rate)} ({worst.dtype}, batches of {worst.batch_size})"

    def to_frame(self) -> pd.DataFrame:
        """One row per setting and each of ``SHARES``: ``dtype``, ``batch_size``, ``share`` and its estimate.

        Also ``gained``, ``lost`` and ``largest_log_prob_change`` of the setting.
        """
        rows = [
            {
                "dtype": s.dtype,
                "batch_size": s.batch_size,
                "share": share,
                **estimate_columns(getattr(s, share)),
                "gained": s.gained,
                "lost": s.lost,
                "largest_log_prob_change": s.largest_log_prob_change,
            }
            for s in self.settings
            for share in SHARES
        ]
        return pd.DataFrame(rows)


def compare(reference: Extraction, other: Extraction, *, dtype: str, batch_size: int, seed: int = 0) -> Setting:
    """Compare two extractions of the same windows.

    Raises:
        NumericsError: the windows (even with the same ids), prefix length, model or revision differ.
    """
    if reference.windows.digest != other.windows.digest:
        raise NumericsError(
            "extractions of different windows (text, ids, documents or prefix length) cannot be compared"
        )
    differences = other.provenance.differences(reference.provenance, of=("model", "model_revision", "tokenizer"))
    if differences:
        raise NumericsError(f"extractions by different models cannot be compared: other {differences}")
    documents = reference.windows.document
    flipped = reference.memorized != other.memorized
    return Setting(
        dtype=dtype,
        batch_size=batch_size,
        flip_rate=clustered_rate(flipped, clusters=documents, seed=seed),
        gained=int((other.memorized & ~reference.memorized).sum()),
        lost=int((reference.memorized & ~other.memorized).sum()),
        other_text=clustered_rate((reference.generated != other.generated).any(axis=1), clusters=documents, seed=seed),
        near_ties=clustered_rate(other.near_ties > 0, clusters=documents, seed=seed),
        largest_log_prob_change=float(np.abs(reference.log_prob - other.log_prob).max()),
    )


def numerics(
    name_or_path: str | Path,
    windows: Windows,
    *,
    dtypes: str | Sequence[str] = ("float32", "bfloat16", "float16"),
    batch_sizes: int | Sequence[int] = (64, 1, 7),
    device: str | torch.device | None = None,
    revision: str | None = None,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Numerics:
    """Extract in every format at every batch size, and compare with float32 at the first batch size.

    Args:
        name_or_path: as for ``load_model``. The model is loaded once in each format.
        windows: the windows to extract.
        dtypes: names of formats from ``DTYPES``.
        batch_sizes: windows per forward pass. The first is the reference.
        device, revision: as for ``load_model``.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. A batch that
            does not fit is refused, because a smaller one would be a different setting.
        seed: seed of the bootstrap over documents.
        progress: show a bar with the time left.

    Returns:
        A row for each format and batch size except the reference.

    Raises:
        NumericsError: a format is unknown, there is no batch size, or a batch does not fit into the memory budget.
        DecodingError: the logits are NaN or infinite. float16 overflows in some models.
    """
    dtypes, batch_sizes = several(dtypes), several(batch_sizes)
    unknown = sorted(set(dtypes) - set(DTYPES))
    if unknown or not batch_sizes:
        raise NumericsError(
            f"formats {unknown} are not of {list(DTYPES)}" if unknown else "give at least one batch size"
        )

    def load(dtype: str) -> TransformerBridge:
        return load_model(name_or_path, device=device, revision=revision, dtype=DTYPES[dtype])

    model = load("float32")
    for size in batch_sizes:
        fitting = rows_at_once(model, windows.tokens.shape[1], size, memory_budget, stores=2)
        if fitting < size:
            raise NumericsError(
                f"batches of {size} windows need more than the memory budget of {memory_budget}, into which {fitting} "
                "fit; allow more, or measure smaller batches"
            )
    # The reference is not run again.
    runs = [(dtype, size) for dtype in dtypes for size in batch_sizes[dtype == "float32" :]]
    reference = extract(model, windows, batch_size=batch_sizes[0], progress=progress)
    provenance = Provenance.of(
        "numerics",
        model,
        windows,
        dtypes=list(dtypes),
        batch_sizes=list(batch_sizes),
        near_tie=NEAR_TIE,
        seed=seed,
    )
    settings = []
    for dtype, size in along(runs, "formats and batch sizes", progress, total=len(runs), unit="run"):
        if dtype != parameter_dtype(model):
            model = load(dtype)
        other = extract(model, windows, batch_size=size, progress=progress)
        settings.append(compare(reference, other, dtype=dtype, batch_size=size, seed=seed))
    return Numerics(windows, reference, tuple(settings), provenance)
