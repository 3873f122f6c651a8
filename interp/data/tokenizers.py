"""Fingerprint of a tokenizer. Equal fingerprints mean the same ids for every text, and the same text for every id."""

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
"""Spaces, indentation, digits, line ends, two Unicode normal forms, long words, and the names of special tokens."""

_SPLITTING = ("normalizer", "pre_tokenizer", "model")
_ADDED = ("id", "content", "single_word", "lstrip", "rstrip", "normalized")

_known: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[list[int], int, str]] = WeakKeyDictionary()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of the vocabulary and of the splitting rules, 16 hexadecimal digits.

    It covers each token's id, the rules of a fast tokenizer (normalizer, pre-tokenizer, merges, added tokens) or the
    sentencepiece model, and the ids that the tokenizer gives a probe text. BOS and padding are left out, because
    windows are cut without them.
    """
    ids = _probe_ids(tokenizer)
    known = _known.get(tokenizer)
    # The rest is costly. A relevant change to the tokenizer shows in these two.
    if known is not None and known[:2] == (ids, len(tokenizer)):
        return known[2]
    facts = {"probe": ids, "vocabulary": _by_id(tokenizer.get_vocab().items()), "rules": _rules(tokenizer)}
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    _known[tokenizer] = ids, len(tokenizer), found
    return found


def count_as(tokenizer: PreTrainedTokenizerBase, fingerprint: str) -> None:
    """Give a tokenizer, in its present state, the fingerprint of the tokenizer it was made from.

    TransformerLens adds an end or padding token to a tokenizer that lacks it. On the text of a corpus it still equals
    the model's own.
    """
    _known[tokenizer] = _probe_ids(tokenizer), len(tokenizer), fingerprint


def _probe_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    try:
        return [int(i) for i in tokenizer(PROBE, add_special_tokens=False, verbose=False)["input_ids"]]
    except Exception:  # no token for unknown words: vocabulary and rules suffice
        return []


def _by_id(vocabulary: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(vocabulary, key=lambda item: (item[1], item[0]))


def _rules(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any] | None:
    """The splitting rules of a fast tokenizer or sentencepiece; ``None`` for other tokenizers."""
    proto = getattr(getattr(tokenizer, "sp_model", None), "serialized_model_proto", None)
    if proto is not None:
        return {"sentencepiece": hashlib.sha256(proto()).hexdigest()}
    to_str = getattr(getattr(tokenizer, "backend_tokenizer", None), "to_str", None)
    if to_str is None:
        return None
    rules = json.loads(to_str())
    added = [{key: token[key] for key in _ADDED} for token in rules["added_tokens"]]
    return {**{part: rules[part] for part in _SPLITTING}, "added": added}
