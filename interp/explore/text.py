"""Token ids as texts, one a position."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""What a tokenizer gives for a part of a character's bytes."""
_BYTES = 4
"""Of a character in UTF-8, at most."""


def token_texts(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase | None) -> list[str]:
    """Each token as the text that it adds; together they are the text.

    Of a character that several tokens make up, the last has it and the others are empty. Without a tokenizer ``#`` and
    the id.
    """
    if tokenizer is None:
        return [f"#{i}" for i in ids]
    texts, start, said, held = [], 0, "", 0
    for end in range(1, len(ids) + 1):
        # Decoded with what stands before: some tokenizers drop the blank of a first token.
        whole = str(tokenizer.decode([int(i) for i in ids[start:end]]))
        if whole.endswith(_BROKEN) and end < len(ids) and held < _BYTES - 1:
            texts.append("")
            held += 1
            continue
        texts.append(whole[len(said) :])
        held = 0
        # Every so often the text so far is let go, so that a long window is not decoded over and over.
        start, said = (end - 1, str(tokenizer.decode([int(ids[end - 1])]))) if end - start >= 16 else (start, whole)
    return texts
