"""Tokenizers: text is encoded by what the model was trained with, and the bridge does not change it."""

import json
import shutil

import datasets
import pytest
import sentencepiece
import torch
from conftest import write_checkpoint
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from interp.data.sources import read_windows
from interp.models.loading import LoadError, load_model, load_tokenizer
from interp.planted.corpus import documents
from interp.planted.shapes import TOKENIZER, small_config

ODD = [
    "",
    "hello world",
    "hello     world",
    "  two before, two after  ",
    "def f():\n        return 1\n",
    "was <s>10</s> now <unk> 8",
    "<s>",
    "caf\u00e9 \u2028 \U0001f600 \u1234",
    "tab\tand\r\nline",
    "\u2581 is no space",
]


@pytest.fixture(scope="module")
def texts():
    return [*ODD, *documents().groupby("domain").head(2)["text"].str[:20_000]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, texts):
    """A Llama model with a ``tokenizer.model`` alone that drops extra spaces, as OpenLLaMA's."""
    out = write_checkpoint(small_config("OpenLLaMA", "0.2m"), tmp_path_factory.mktemp("llama"))
    for file in out.glob("*token*"):
        file.unlink()
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(out / "tokenizer"),
        model_type="bpe",
        vocab_size=800,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=True,
        num_threads=1,
        minloglevel=2,
    )
    (out / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "add_bos_token": False})
    )
    return out


@pytest.fixture(scope="module")
def truth(folder):
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.fixture(scope="module")
def bridge(folder):
    return load_model(folder, device="cpu")


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


@pytest.mark.parametrize("of", ["folder", "bridge"])
def test_the_ids_and_the_text_are_those_of_sentencepiece(request, folder, truth, texts, of):
    tokenizer = load_tokenizer(folder) if of == "folder" else request.getfixturevalue("bridge").tokenizer
    expected = [truth.encode(text) for text in texts]
    assert encode(tokenizer, texts) == expected
    assert [encode(tokenizer, text) for text in texts] == expected
    assert [tokenizer.tokenize(text) for text in texts] == [truth.encode(text, out_type=str) for text in texts]
    assert [tokenizer.decode(ids) for ids in expected] == [truth.decode(ids) for ids in expected]
    assert tokenizer.batch_decode([torch.tensor(ids) for ids in expected]) == [truth.decode(ids) for ids in expected]
    pieces = [truth.id_to_piece(i) for i in range(truth.get_piece_size())]
    assert tokenizer.convert_ids_to_tokens(list(range(len(pieces)))) == pieces
    assert tokenizer.get_vocab() == {piece: i for i, piece in enumerate(pieces)}
    assert len(tokenizer) == tokenizer.vocab_size == len(pieces)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (1, 2, 0)


def test_a_conversion_would_have_given_other_ids(folder, truth, texts):
    converted = AutoTokenizer.from_pretrained(folder)
    assert sum(encode(converted, text) != truth.encode(text) for text in texts) > len(texts) / 2


def test_windows_are_cut_from_the_ids_of_sentencepiece(folder, truth, texts):
    windows = read_windows(
        datasets.Dataset.from_dict({"text": texts}), load_tokenizer(folder), max_windows=10**6, short_documents="skip"
    )
    rows = [ids[s : s + 64] for ids in map(truth.encode, texts) for s in range(0, len(ids) - 63, 64)]
    assert len(rows) > 50
    assert windows.tokens.tolist() == rows


def test_the_bridge_puts_bos_in_front_of_the_same_ids(bridge, truth):
    for text in ODD[1:]:
        assert bridge.to_tokens(text).tolist() == [[1, *truth.encode(text)]]
        assert bridge.to_tokens(text, prepend_bos=False).tolist() == [truth.encode(text)]


def with_conversion(folder, out, **added):
    """The folder with a ``tokenizer.json`` of the same vocabulary beside the ``tokenizer.model``, and added tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(out)
    shutil.copy(folder / "tokenizer.model", out)
    converted = Tokenizer.from_file(str(out / "tokenizer.json"))
    converted.add_tokens(added.get("plain", []))
    converted.add_special_tokens(added.get("special", []))
    converted.save(str(out / "tokenizer.json"))
    return out


@pytest.mark.parametrize("special", [[], ["<pad>"]])
def test_sentencepiece_goes_before_a_conversion(folder, truth, texts, tmp_path, special):
    tokenizer = load_tokenizer(with_conversion(folder, tmp_path / "m", special=special))
    assert encode(tokenizer, texts) == [truth.encode(text) for text in texts]


def test_a_conversion_of_another_model_is_refused(folder, tmp_path):
    with pytest.raises(LoadError, match="'<tool>' as token 800, which tokenizer.model lacks"):
        load_tokenizer(with_conversion(folder, tmp_path / "added", plain=["<tool>"]))
    other = with_conversion(folder, tmp_path / "other")
    shutil.copy(TOKENIZER / "tokenizer.json", other)
    with pytest.raises(LoadError, match="Keep only the one used in training"):
        load_tokenizer(other)


@pytest.mark.parametrize("data", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", None])
@pytest.mark.parametrize("converted", [False, True])
def test_a_tokenizer_model_that_is_none_is_refused(folder, tmp_path, data, converted):
    out = with_conversion(folder, tmp_path / "m")
    whole = (folder / "tokenizer.model").read_bytes()
    (out / "tokenizer.model").write_bytes(whole[: len(whole) // 2] if data is None else data)
    if not converted:
        (out / "tokenizer.json").unlink()
    with pytest.raises(LoadError, match="not a sentencepiece model: it is empty, truncated or only a pointer"):
        load_tokenizer(out)


def test_a_tokenizer_model_of_tiktoken_leaves_the_conversion(tmp_path):
    shutil.copytree(TOKENIZER, tmp_path / "m")
    (tmp_path / "m" / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    assert encode(load_tokenizer(tmp_path / "m"), "a  b") == encode(AutoTokenizer.from_pretrained(TOKENIZER), "a  b")


def test_the_bridges_tokenizer_gives_the_ids_of_the_model_s_own(model, checkpoints, family, texts):
    own = load_tokenizer(checkpoints[family])
    asked = [*texts, "a <|endoftext|> b"]
    assert encode(model.tokenizer, asked) == encode(own, asked)
