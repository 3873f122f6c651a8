"""Which rows of two models are of the same window. Ids count from 0 in every corpus, so a window is known by its text.

A table of ``Windows.to_frame()`` carries a ``digest`` of each window's ids and the ``tokenizer`` that made them. Tables
of older versions do not: they are paired by id and document, and that is said. (Ours.)
"""

from __future__ import annotations

import warnings

import pandas as pd

from interp.statistical.measured import ScoresError

_CONTENT = "digest"
_TOKENIZER = "tokenizer"


def window_key(scores: pd.DataFrame, *, what: str) -> list[str]:
    """Columns in which two rows of the same window agree: ``document``, ``window`` and what there is of its content.

    Warns where there is nothing of its content.

    Raises:
        ScoresError: a digest that stands in some rows only.
    """
    if _CONTENT not in scores:
        warnings.warn(
            f"{what}: these scores carry no digest of the windows' text; windows of one id and document name are taken "
            "to be the same",
            stacklevel=3,
        )
        return ["document", "window"]
    unknown = scores[_CONTENT].isna()
    if unknown.any():
        raise ScoresError(
            f"{what}: {int(unknown.sum())} of {len(scores)} rows carry no digest of the window's text, so that nobody "
            "can tell whether they are of the same windows as the others; measure them again"
        )
    return ["document", "window", _CONTENT, *[_TOKENIZER] * (_TOKENIZER in scores)]


def refuse_other_texts(scores: pd.DataFrame, *, what: str) -> None:
    """Refuse rows of one window id, document and tokenizer that are of different texts.

    Windows of different tokenizers are different in any case: families are asked about their own.

    Raises:
        ScoresError: with the first such window.
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
