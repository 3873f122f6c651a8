"""Token ids as texts, one per position."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""The tokenizer's text for a part of a character's bytes."""
_BYTES = 4
"""Largest number of bytes of a character in UTF-8."""


def token_texts(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase | None) -> list[str]:
    """Each token as the text that it adds. Joined, they are the whole text.

    If several tokens make up a character, the last one has it and the others are empty. Without a tokenizer: ``#`` and
    the id.
    """
    if tokenizer is None:
        return [f"#{i}" for i in ids]
    texts, start, said, held = [], 0, "", 0
    for end in range(1, len(ids) + 1):
        # Decoded with the text before it, because some tokenizers drop the space of a first token.
        whole = str(tokenizer.decode([int(i) for i in ids[start:end]]))
        if whole.endswith(_BROKEN) and end < len(ids) and held < _BYTES - 1:
            texts.append("")
            held += 1
            continue
        texts.append(whole[len(said) :])
        held = 0
        # The earlier text is dropped from time to time, so that a long window is not decoded repeatedly.
        start, said = (end - 1, str(tokenizer.decode([int(ids[end - 1])]))) if end - start >= 16 else (start, whole)
    return texts
