"""What a measuring command is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from interp.brief import Brief

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import plotly.graph_objects as go
    from transformer_lens.model_bridge import TransformerBridge

    from interp.data.tally import Tally
    from interp.data.windows import Windows
    from interp.results import Provenance, Result
    from interp.statistical.extraction import Extraction


@dataclass(frozen=True, repr=False, eq=False)
class Outcome(Brief):
    """What a command has measured: a table, a sentence, and how to draw it."""

    table: pd.DataFrame
    provenance: Provenance | list[Provenance]
    said: str
    figure: Callable[[], go.Figure] | None = None
    """Called only when the figure was asked for."""

    @classmethod
    def of(cls, result: Result, said: str, figure: Callable[[], go.Figure] | None = None) -> Outcome:
        return cls(result.to_frame(), result.provenance, said, figure)

    def write(self, out: Path, page: Path | None) -> None:
        """Write the table, and the figure if a page was asked for, and say what was found."""
        from interp.figures.page import write_page
        from interp.results import write_table

        typer.echo(f"{self.said}; {write_table(self.table, out, self.provenance)}")
        if page is not None and self.figure is not None:
            typer.echo(f"figure: {write_page(self.figure(), page)}")


@dataclass(frozen=True, repr=False, eq=False)
class Scores(Brief):
    """Tables of scores that a command was given, stacked."""

    table: pd.DataFrame
    provenance: list[Provenance]
    seed: int

    def outcome(self, table: pd.DataFrame, said: str, figure: Callable[[], go.Figure] | None = None) -> Outcome:
        """What was made of the scores, with the provenance of these."""
        return Outcome(table, self.provenance, said, figure)

    @property
    def rests_on(self) -> str:
        """For captions."""
        return f"{self.table['window'].nunique()} windows, {self.table['model'].nunique()} models; 95 % intervals."


def say_left_out(corpus: str, tally: Tally) -> None:
    """One line on what was not read as it stands, beside the result: on standard error."""
    if str(tally):
        typer.echo(f"{corpus}: {tally}", err=True)


def load(name: str, dtype: str) -> TransformerBridge:
    """A model in a number format, without the bar of transformers, which would stand between what commands say."""
    import transformers

    from interp.models.loading import load_model
    from interp.statistical.numerics import DTYPES

    shown = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        return load_model(name, dtype=DTYPES[dtype])
    finally:
        if shown:
            transformers.logging.enable_progress_bar()


@dataclass(frozen=True)
class Run:
    """The model and windows that a command was given, loaded when they are first needed."""

    name: str
    sets: Sequence[str] | None
    per_set: int
    corpus: str | None
    text_column: str
    document_column: str | None
    domain_column: str | None
    split: str | None
    max_windows: int
    seed: int
    dtype: str = "float32"

    @cached_property
    def model(self) -> TransformerBridge:
        return load(self.name, self.dtype)

    @cached_property
    def windows(self) -> Windows:
        return self.cut()

    def cut(self, prefix_len: int = 32, further_len: int = 32) -> Windows:
        """Windows of a prefix and so many tokens after it."""
        from interp.data.corpus import planted_windows
        from interp.data.sources import read_windows
        from interp.data.tally import Tally
        from interp.models.loading import load_tokenizer

        if self.corpus is None:
            return planted_windows(sets=self.sets, per_set=self.per_set, seed=self.seed)
        tally = Tally()
        windows = read_windows(
            self.corpus,
            load_tokenizer(self.name),
            max_windows=self.max_windows,
            text_column=self.text_column,
            document_column=self.document_column,
            domain_column=self.domain_column,
            split=self.split,
            prefix_len=prefix_len,
            continuation_len=further_len,
            short_documents="skip",
            tally=tally,
        )
        say_left_out(self.corpus, tally)
        return windows

    @cached_property
    def extraction(self) -> Extraction:
        """What the model recites of the windows."""
        from interp.statistical.extraction import extract

        return extract(self.model, self.windows, log_prob=False)

    @cached_property
    def memorized(self) -> Windows:
        """The windows with M = 1. Refuses where there are none."""
        from interp.data.windows import WindowError

        memorized = self.extraction.memorized
        if not memorized.any():
            raise WindowError(
                f"{self.name} has memorized none of {len(self.windows)} windows: there is nothing to measure"
            )
        return self.windows.select(memorized)

    def groups(self, near: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Masks of memorized, unmemorized and matched windows; without the matched where none can be found."""
        from interp.curves import memorization_groups
        from interp.statistical.groups import matched_groups
        from interp.statistical.matching import MatchingError

        try:
            return matched_groups(self.extraction, near=near)[0]
        except MatchingError as error:
            typer.echo(f"not matched: {error}", err=True)
            groups = memorization_groups(self.extraction.score)
            return {name: mask for name, mask in groups.items() if mask.any()} or {
                "all windows": self.extraction.score >= 0
            }
