"""What a tokenizer is: two whose fingerprints are equal give every text the same ids, and every id the same text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase

PROBE = (
    "The year 1984 had 366 days; pi is 3.14159265.\r\n"
    "def f(x):\n    if x:\n\t\treturn  x ** 2   \n\n\n# done\n"
    "  two spaces, ten:          . CamelCase snake_case don't I'll 12,345.67 0xFF\n"
    "na\u00efve caf\u00e9 cafe\u0301 stra\u00dfe \u0416\u0443\u043a \u65e5\u672c\u8a9e \U0001f600 \ufb01"
    " \u00a0\u200b end\n"
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaft aaaaaaaaaaaaaaaaaaaaaaaa ================\n"
    "<s>a</s> <unk> <pad> <|endoftext|>b<|padding|> <fim_prefix> [CLS] [MASK] \u2581 \u0120\n"
)
"""Spaces, indentation, digits, line ends, unicode in two normal forms, long words, and the names of special tokens."""

_SPLITTING = ("normalizer", "pre_tokenizer", "model")
_ADDED = ("id", "content", "single_word", "lstrip", "rstrip", "normalized")

_known: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[list[int], int, str]] = WeakKeyDictionary()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of the vocabulary and of how text is split into it, 16 hexadecimal digits.

    It covers each token's id, the rules of a fast tokenizer (normalizer, pre-tokenizer, merges, added tokens) or the
    model of sentencepiece, and the ids of a probe text by the tokenizer's own call. What is put around a text (BOS,
    padding) is left out, since windows are cut without it.
    """
    ids = _probe_ids(tokenizer)
    known = _known.get(tokenizer)
    # The rest is costly; a tokenizer that was changed since then shows it in these two, for what matters.
    if known is not None and known[:2] == (ids, len(tokenizer)):
        return known[2]
    facts = {"probe": ids, "vocabulary": _by_id(tokenizer.get_vocab().items()), "rules": _rules(tokenizer)}
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    _known[tokenizer] = ids, len(tokenizer), found
    return found


def count_as(tokenizer: PreTrainedTokenizerBase, fingerprint: str) -> None:
    """Give a tokenizer, as it is now, the fingerprint of the one that it was made from.

    TransformerLens adds tokens to a model's tokenizer where it lacks one for the end or for padding: to the text of a
    corpus it is still the model's own.
    """
    _known[tokenizer] = _probe_ids(tokenizer), len(tokenizer), fingerprint


def _probe_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    try:
        return [int(i) for i in tokenizer(PROBE, add_special_tokens=False, verbose=False)["input_ids"]]
    except Exception:  # words without a token for unknown ones: the vocabulary and the rules tell it
        return []


def _by_id(vocabulary: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(vocabulary, key=lambda item: (item[1], item[0]))


def _rules(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any] | None:
    """How a fast tokenizer or sentencepiece splits text; ``None`` for one that does not say."""
    proto = getattr(getattr(tokenizer, "sp_model", None), "serialized_model_proto", None)
    if proto is not None:
        return {"sentencepiece": hashlib.sha256(proto()).hexdigest()}
    to_str = getattr(getattr(tokenizer, "backend_tokenizer", None), "to_str", None)
    if to_str is None:
        return None
    rules = json.loads(to_str())
    added = [{key: token[key] for key in _ADDED} for token in rules["added_tokens"]]
    return {**{part: rules[part] for part in _SPLITTING}, "added": added}
