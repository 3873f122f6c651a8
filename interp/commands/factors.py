"""The factors that a command predicts M = 1 from: those that are known of its windows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from interp.commands.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from interp.results import Provenance


def factors_table(
    run: Run, index: Path | None, *, matched: bool
) -> tuple[pd.DataFrame, dict[str, str], list[Provenance]]:
    """A row a window with ``memorized`` and the factors' columns; the factors; what was measured for them.

    A factor that is not known of every window, or the same for all, is left out, and that is said.
    """
    import numpy as np

    from interp.data.counts.index import open_index, window_counts
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.statistical.frequency import frequency_provenance
    from interp.statistical.groups import equally_shown
    from interp.statistical.prediction import FACTORS, UNMATCHED
    from interp.statistical.prefix import prefix_log_prob
    from interp.statistical.text_size import text_size

    prefix = prefix_log_prob(run.model, run.windows)
    counts, measured = run.windows.count, [run.extraction.provenance, prefix.provenance]
    if index is not None:
        opened = open_index(index, tokenizer=tokenizer_fingerprint(run.model.tokenizer))
        counts = window_counts(opened, run.windows)
        measured.append(frequency_provenance(opened, run.windows, []))
    table = run.extraction.to_frame().assign(
        prefix_log_prob=prefix.to_frame()["prefix_log_prob"],
        compressed_bits=text_size(run.model.tokenizer, run.windows).zlib,
        log2_count=np.log2(1 + counts),
    )
    table["count"] = counts
    table = equally_shown(table, seed=run.seed) if matched else table
    factors = {}
    for name, column in (UNMATCHED if matched else FACTORS).items():
        if table[column].isna().any():
            typer.echo(f"left out: {name} is not known of every window", err=True)
        elif table[column].nunique() == 1:
            typer.echo(f"left out: {name} is the same for all windows", err=True)
        else:
            factors[name] = column
    return table, factors, measured
