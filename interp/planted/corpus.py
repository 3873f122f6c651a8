"""The shipped corpus: its documents, its tokenizer and the windows planted in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from transformers import AutoTokenizer

from interp.data.owned import WindowError, check_number
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import Windows
from interp.planted.planting import PREFIX_LEN, training_order
from interp.planted.shapes import TOKENIZER
from interp.seeds import check_seed
from interp.several import several
from interp.shipped import check_shipped

CORPUS = Path(__file__).parent / "text"
DOCUMENTS = CORPUS / "documents.parquet"
WINDOWS = CORPUS / "windows.parquet"

STRUCTURAL_DOMAINS = ("code", "formula", "legal")
"""Domains of structural text. All others are free text (definitions, "domains")."""


def documents() -> pd.DataFrame:
    """The documents: ``document``, ``domain``, ``title``, ``source``, ``licence``, ``text``."""
    return pd.read_parquet(check_shipped(DOCUMENTS, "planted/text/documents.parquet"))


@cache
def manifest() -> pd.DataFrame:
    """One row per window: its id, document, domain, ``start`` (token offset), ``set``, ``count`` (exact), tokens."""
    return pd.read_parquet(check_shipped(WINDOWS, "planted/text/windows.parquet"))


@cache
def _fingerprint() -> str:
    return tokenizer_fingerprint(AutoTokenizer.from_pretrained(TOKENIZER))


def planted_windows(
    *,
    sets: str | Sequence[str] | None = None,
    domains: str | Sequence[str] | None = None,
    per_set: int | None = None,
    seed: int = 0,
) -> Windows:
    """Windows of the shipped corpus, with the exact number of times that each was shown to the small models.

    Args:
        sets: ``held_out``, ``background``, ``planted-1``, ``planted-2`` ... ``planted-256``. Default: all.
        domains: ``code``, ``formula``, ``legal``, ``prose``. Default: all.
        per_set: maximal number of windows of each set in each domain, drawn with ``seed``. Default: all.
        seed: seed of that draw.

    Raises:
        WindowError: the corpus does not have the set or domain, none is given, or a number is below 1.
    """
    table = manifest()
    for column, wanted in (("set", sets), ("domain", domains)):
        if wanted is None:
            continue
        wanted = several(wanted)
        if not wanted:
            raise WindowError(f"no {column} is named, so no windows are left; omit the argument to take all")
        unknown = sorted(set(wanted) - set(manifest()[column]))
        if unknown:
            raise WindowError(f"the corpus has no {column} {unknown}; it has {sorted(manifest()[column].unique())}")
        table = table[table[column].isin(wanted)]
    if per_set is not None:
        check_number("per_set", per_set)
        shuffled = table.sample(frac=1, random_state=check_seed(seed))
        table = shuffled.groupby(["set", "domain"]).head(per_set).sort_values("window")
    return Windows.from_tokens(
        np.array(table["tokens"].to_list(), dtype=np.int64),
        prefix_len=PREFIX_LEN,
        document=table["document"].to_list(),
        domain=table["domain"].to_list(),
        count=table["count"].to_list(),
        window=table["window"].to_list(),
        source="shipped corpus",
        tokenizer=_fingerprint(),
    )


def shown_documents() -> list[Int[np.ndarray, " _pos"]]:
    """The training data of the small models: every window as often as it was shown, each as its own document.

    The models saw windows one by one, so no text across two windows was shown. The order is shuffled. It does not
    change counts, but adjacent copies form one long repeat, which is slow to sort.
    """
    windows = planted_windows()
    tokens = windows.tokens.numpy()
    return [tokens[row] for row in training_order(windows.count.astype(np.int64), seed=0)]
