"""The fingerprint of a tokenizer: other where ids would be others, the same where they are the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers import models as models_of_tokens
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from interp.data.counts.build import build_index
from interp.data.counts.index import open_index
from interp.data.counts.manifest import CountIndexError
from interp.data.sources import read_windows
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import WindowError
from interp.models.loading import load_model, load_tokenizer
from interp.planted.corpus import planted_windows
from interp.planted.shapes import TOKENIZER
from interp.statistical.frequency import frequency
from interp.statistical.frequency_parts import stream_frequency
from interp.statistical.text_size import text_size


def shipped() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(TOKENIZER)


def built(rules: dict) -> PreTrainedTokenizerFast:
    """A tokenizer of other rules, around the same vocabulary unless the rules say otherwise."""
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(rules)))


def rules() -> dict:
    return json.loads(shipped().backend_tokenizer.to_str())


def splits_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    own = tokenizer.backend_tokenizer
    own.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), own.pre_tokenizer])


def no_regex(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def prefix_space(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def composes(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()


def strips(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()


def lower(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


def adds_a_token(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_tokens(["unheard-of"])


CHANGES = [splits_digits, no_regex, prefix_space, composes, strips, lower, adds_a_token]


@pytest.mark.parametrize("change", CHANGES)
def test_another_segmentation_is_another_fingerprint_also_after_the_first_was_taken(
    change: Callable[[PreTrainedTokenizerFast], None],
) -> None:
    tokenizer = shipped()
    before = tokenizer_fingerprint(tokenizer)
    change(tokenizer)
    assert tokenizer_fingerprint(tokenizer) != before


def test_rules_that_the_probe_does_not_show_count_as_well() -> None:
    fewer, renamed = rules(), rules()
    fewer["model"]["merges"].pop()
    ids = renamed["model"]["vocab"]
    one, other = list(ids)[-2:]
    ids[one], ids[other] = ids[other], ids[one]
    found = [tokenizer_fingerprint(built(r)) for r in (rules(), fewer, renamed)]
    assert len(set(found)) == 3


def test_a_tokenizer_that_encodes_by_other_means_is_seen_by_its_call() -> None:
    class Other(PreTrainedTokenizerFast):
        def __call__(self, *args, **kwargs):
            found = super().__call__(*args, **kwargs)
            found["input_ids"] = found["input_ids"][::-1]
            return found

    own = built(rules())
    other = Other(tokenizer_object=Tokenizer.from_str(json.dumps(rules())))
    assert tokenizer_fingerprint(own) != tokenizer_fingerprint(other)


def test_a_copy_and_what_stands_around_a_text_make_no_difference(tmp_path: Path) -> None:
    tokenizer = shipped()
    expected = tokenizer_fingerprint(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(AutoTokenizer.from_pretrained(tmp_path)) == expected
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer(["a", "a b c d"], padding=True, truncation=True, max_length=2)  # leaves its mark on a fast tokenizer
    assert tokenizer_fingerprint(built(json.loads(tokenizer.backend_tokenizer.to_str()))) == expected


def test_words_without_one_for_the_unknown_are_told_apart_by_their_ids() -> None:
    """Such a tokenizer cannot encode the probe."""

    def of(words: dict[str, int]) -> PreTrainedTokenizerFast:
        return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models_of_tokens.WordLevel(words)))

    one, same, other = (of(words) for words in ({"a": 0, "b": 1}, {"a": 0, "b": 1}, {"a": 1, "b": 0}))
    assert tokenizer_fingerprint(one) == tokenizer_fingerprint(same) != tokenizer_fingerprint(other)


def test_a_models_tokenizer_counts_as_its_own_also_where_an_end_of_text_was_added_to_it(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(checkpoints["Pythia"], folder)
    without = rules()
    without["added_tokens"] = []
    without["model"]["vocab"]["an unheard-of end"] = without["model"]["vocab"].pop("<|endoftext|>")
    built(without).save_pretrained(folder)
    tokenizer, model = load_tokenizer(folder), load_model(folder, device="cpu")
    assert len(model.tokenizer) == len(tokenizer) + 1  # TransformerLens added one
    assert tokenizer_fingerprint(model.tokenizer) == tokenizer_fingerprint(tokenizer)
    model.tokenizer.add_tokens(["more"])
    assert tokenizer_fingerprint(model.tokenizer) != tokenizer_fingerprint(tokenizer)


def test_sentencepiece_is_known_by_its_whole_model() -> None:
    class Pieces(PreTrainedTokenizerFast):
        """The call and vocabulary of one, whatever sentencepiece model is behind."""

    one, other = (Pieces(tokenizer_object=Tokenizer.from_str(json.dumps(rules()))) for _ in range(2))
    one.sp_model, other.sp_model = (
        SimpleNamespace(serialized_model_proto=lambda proto=proto: proto) for proto in (b"merges", b"other merges")
    )
    assert tokenizer_fingerprint(one) != tokenizer_fingerprint(other)


def test_counts_and_sizes_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    tokenizer, other = shipped(), shipped()
    splits_digits(other)
    documents = [np.arange(64) % 50] * 2
    index = build_index(
        documents,
        tmp_path / "i",
        d_vocab=2048,
        tokenizer=tokenizer_fingerprint(other),
        source="text",
        progress=False,
    )
    with pytest.raises(CountIndexError, match="built with the tokenizer"):
        open_index(tmp_path / "i", tokenizer=tokenizer_fingerprint(tokenizer))
    windows = planted_windows(sets=["held_out"], per_set=1)
    with pytest.raises(CountIndexError, match="the same ids mean other text"):
        frequency(index, windows, lengths=(1,))
    with pytest.raises(CountIndexError, match="the same ids mean other text"):
        stream_frequency(index, [windows], tmp_path / "parts", lengths=(1,))
    with pytest.raises(WindowError, match="would decode another text"):
        text_size(other, windows)
    text_size(tokenizer, windows)


def test_windows_carry_the_fingerprint_of_what_made_them(models) -> None:
    tokenizer = load_tokenizer("olmo2-small-0.2m")
    expected = tokenizer_fingerprint(tokenizer)
    assert planted_windows(per_set=1).tokenizer == expected
    rows = Dataset.from_list([{"text": "some words " * 100}])
    assert read_windows(rows, tokenizer, max_windows=1).tokenizer == expected
    # The bridge's own copy of the tokenizer puts a BOS in front when asked; the ids of a text stay.
    assert all(tokenizer_fingerprint(model.tokenizer) == expected for model in models.values())
