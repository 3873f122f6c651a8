"""Memorized (M = 1), unmemorized (M = 0) and matched windows of one extraction.

Matched windows are controls, chosen as in ``interp.statistical.matching``: unmemorized windows of the same domain,
nearest in the mean log frequency of their tokens. (Ours.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp.data.windows import Windows
from interp.statistical.extraction import Extraction
from interp.statistical.matching import Matching, MatchingError, match
from interp.statistical.measured import check_columns, numbers
from interp.stats.curves import memorization_groups


def log_token_frequency(windows: Windows, corpus: Windows) -> Float[np.ndarray, " window"]:
    """Mean of log10(1 + count) over the tokens of each window, counted in the windows of ``corpus``."""
    tokens, counted = windows.tokens.numpy(), corpus.tokens.numpy()
    counts = np.bincount(counted.ravel(), minlength=int(max(tokens.max(), counted.max())) + 1)
    return np.log10(1 + counts)[tokens].mean(axis=1)


def matched_groups(
    extraction: Extraction, *, near: Mapping[str, Float[np.ndarray, " window"]] | None = None
) -> tuple[dict[str, Bool[np.ndarray, " window"]], Matching]:
    """Masks ``memorized``, ``unmemorized`` and ``matched`` over the extraction's windows, and the matching.

    Args:
        extraction: with scores M.
        near: covariates in which controls are near, by name. Default: the log frequency of tokens, counted in the
            extraction's own windows.

    Raises:
        MatchingError: no window is memorized, none has M = 0, or no pair is near enough.
    """
    windows = extraction.windows
    covariates = {"log_frequency": log_token_frequency(windows, windows)} if near is None else near
    table = extraction.to_frame().assign(**covariates)
    matching = match(table, on=list(covariates), control=extraction.score == 0)
    return memorization_groups(extraction.score, matched=matching.controls), matching


def equally_shown(scores: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Memorized windows of one model, and equally many others of the same domains that were shown equally often.

    Repetition cannot explain a difference between the two. If one kind has more windows, ``seed`` draws among them.

    Raises:
        MatchingError: as ``match``, or a count is not known.
        ScoresError: a count is negative or infinite.
    """
    check_columns(scores, ["count"], what="windows shown equally often")
    unknown = np.isnan(numbers(scores["count"], low=0.0))
    if unknown.any():
        raise MatchingError(f"{int(unknown.sum())} windows have no known count")
    matching = match(scores, on=[], exact=("domain", "count"), seed=seed)
    return scores[matching.memorized | matching.controls].reset_index(drop=True)
