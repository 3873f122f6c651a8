"""Finds the rows of two models that belong to the same window.

Ids count from 0 in every corpus, so the text identifies a window. A table of ``Windows.to_frame()`` has a ``digest`` of
each window's token ids and the ``tokenizer`` that made them. Tables of older versions have neither. Their rows are
paired by id and document, with a warning. (Ours.)
"""

from __future__ import annotations

import warnings

import pandas as pd

from interp.statistical.measured import ScoresError

_CONTENT = "digest"
_TOKENIZER = "tokenizer"


def window_key(scores: pd.DataFrame, *, what: str) -> list[str]:
    """Columns that identify a window: ``document``, ``window`` and, if present, its digest and tokenizer.

    Warns if there is no digest.

    Raises:
        ScoresError: only some rows have a digest.
    """
    if _CONTENT not in scores:
        warnings.warn(
            f"{what}: these scores have no digest of the windows' text; windows with the same id and document "
            "count as the same",
            stacklevel=3,
        )
        return ["document", "window"]
    unknown = scores[_CONTENT].isna()
    if unknown.any():
        raise ScoresError(
            f"{what}: {int(unknown.sum())} of {len(scores)} rows have no digest of the window's text, so they cannot "
            "be paired with the others; measure them again"
        )
    return ["document", "window", _CONTENT, *[_TOKENIZER] * (_TOKENIZER in scores)]


def refuse_other_texts(scores: pd.DataFrame, *, what: str) -> None:
    """Refuse rows with the same window id, document and tokenizer but different texts.

    Windows of different tokenizers always differ: each family is measured on its own.

    Raises:
        ScoresError: names the first such window.
    """
    if _CONTENT not in scores:
        return
    same = ["document", "window", *[_TOKENIZER] * (_TOKENIZER in scores)]
    texts = scores.drop_duplicates([*same, _CONTENT])
    other = texts.duplicated(same)
    if other.any():
        row = texts[other].iloc[0]
        models = sorted(set(scores.loc[(scores[same] == row[same]).all(axis=1), "model"]))
        raise ScoresError(
            f"{what}: window {row['window']} of document {row['document']!r} is one text in {models[0]} and another in "
            f"{models[-1]}; score both on the same windows, or name the documents of each corpus differently"
        )
