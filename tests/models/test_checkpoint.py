"""Checkpoints as they are: what cannot be measured rightly is refused in one line, before anything in it is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import write_checkpoint
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BertConfig,
    GPTBigCodeConfig,
    GPTNeoXConfig,
    LlamaConfig,
    LlamaForSequenceClassification,
    PretrainedConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from interp.models.checkpoint import INDEX, LoadError
from interp.models.hooks import logits
from interp.models.loading import load_model
from interp.models.verify import VerificationError
from interp.planted.shapes import small_config

Damage = Callable[[Path], object]
SHAPE: dict[str, Any] = dict(
    vocab_size=2048,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=0,
)
MASK = "gpt_neox.layers.0.attention.bias"


def file(name: str, content: bytes | str) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def config(**changes: Any) -> Damage:
    """Facts of config.json changed; None takes one away."""

    def edit(folder: Path) -> None:
        facts = {**json.loads((folder / "config.json").read_text()), **changes}
        (folder / "config.json").write_text(json.dumps({k: v for k, v in facts.items() if v is not None}))

    return edit


def weights(edit: Callable[[dict[str, Tensor]], object]) -> Damage:
    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        edit(held)
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def sharded(rename: dict[str, str] | None = None, *, twice: bool = False) -> Damage:
    """The weights in two files and an index, in which files are then renamed."""

    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        names = sorted(held)
        parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2] + names[:1] * twice}
        for part, keys in parts.items():
            save_file({key: held[key] for key in keys}, folder / part, metadata={"format": "pt"})
        (folder / "model.safetensors").unlink()
        renamed = rename or {}
        weight_map = {key: renamed.get(part, part) for part, keys in parts.items() for key in keys}
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    return change


def cut(name: str, kept: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / name).write_bytes(kept((folder / name).read_bytes()))


def moved(name: str, to: str) -> Damage:
    return lambda folder: (folder / name).rename(folder / to)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456789\n"
HEADER = b'{"weight": '
REFUSED: dict[str, tuple[Damage, str]] = {
    "weights are a Git LFS pointer": (file("model.safetensors", POINTER), "Git LFS.*git lfs pull"),
    "config is a Git LFS pointer": (file("config.json", POINTER), "Git LFS.*git lfs pull"),
    "weights empty": (file("model.safetensors", b""), r"0 bytes.*download it again"),
    "weights cut off": (cut("model.safetensors", lambda data: data[:-5000]), "cut off.*download it again"),
    "header no JSON": (
        file("model.safetensors", len(HEADER).to_bytes(8, "little") + HEADER),
        "damaged.*download it again",
    ),
    "header of no weights": (file("model.safetensors", (2).to_bytes(8, "little") + b"{}"), "holds no weights"),
    "index names a missing shard": (sharded({"b.safetensors": "c.safetensors"}), r"c\.safetensors.*not in"),
    "index names a pickle": (sharded({"b.safetensors": "pytorch_model.bin"}), "a pickle runs code"),
    "index names a file elsewhere": (sharded({"b.safetensors": "../b.safetensors"}), "not a file of its own folder"),
    "a weight in two shards": (sharded(twice=True), "in both a.safetensors and b.safetensors"),
    "index is a list": (lambda f: (sharded()(f), (f / INDEX).write_text("[]")), "not a JSON object"),
    "index without a map": (lambda f: (sharded()(f), (f / INDEX).write_text("{}")), "no weight_map"),
    "index cut off": (lambda f: (sharded()(f), cut(INDEX, lambda d: d[:90])(f)), "not a JSON file"),
    "shards without their index": (lambda f: (sharded()(f), (f / INDEX).unlink()), "a.safetensors, b.safetensors"),
    "only a pickle": (moved("model.safetensors", "pytorch_model.bin"), r"only pickles \(pytorch_model\.bin\)"),
    "only a distributed checkpoint": (moved("model.safetensors", "__0_0.distcp"), "only pickles"),
    "only a GGUF": (moved("model.safetensors", "model.gguf"), "GGUF"),
    "an adapter beside the model": (file("adapter_config.json", "{}"), "beside a model.*merge_and_unload"),
    "an adapter alone": (moved("config.json", "adapter_config.json"), "without its model.*merge_and_unload"),
    "no config": (lambda f: (f / "config.json").unlink(), r"no config\.json"),
    "config no JSON": (file("config.json", "{"), "not a JSON file"),
    "config not text": (file("config.json", b"\xff\xfe\x00"), "not a JSON file"),
    "config a list": (file("config.json", "[]"), "holds a list"),
    "config without model_type": (config(model_type=None), "no model_type"),
    "unknown model_type": (config(model_type="hf_olmo"), "model_type 'hf_olmo'"),
    "code in the checkpoint": (config(model_type="mine", auto_map={"AutoConfig": "mine.Config"}), "code from a"),
    "impossible configuration": (config(hidden_size="wide"), "cannot (be read|load)"),
    "another file of weights": (config(transformers_weights="other.safetensors"), "transformers_weights"),
    "more heads than width": (config(num_attention_heads=7), "cannot|lacks|shape"),
    **{
        f"quantized: {method}": (config(quantization_config={"quant_method": method}), rf"quantized \({method}\)")
        for method in ("gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors", "mxfp4")
    },
    "float8 weights": (
        weights(lambda w: w.update({k: v.to(torch.float8_e4m3fn) for k, v in w.items() if "dense" in k})),
        "F8_E4M3.*unquantized",
    ),
    "integer weights": (
        weights(lambda w: w.update({k: v.to(torch.int8) for k, v in w.items() if "dense" in k})),
        "I8.*unquantized",
    ),
    "a layer more than the configuration": (config(num_hidden_layers=3), "does not use"),
    "a layer fewer than the configuration": (config(num_hidden_layers=5), "lacks 12 weights"),
    "another width": (config(intermediate_size=128), "of shape"),
    "a weight that no model has": (weights(lambda w: w.update(extra=torch.ones(3))), r"does not use: \['extra'\]"),
    "another head": (config(architectures=["GPTNeoXForSequenceClassification"]), "ForSequenceClassification"),
    "no tokenizer": (lambda f: [t.unlink() for t in f.glob("tokenizer*")], "no tokenizer"),
    "tokenizer cut off": (cut("tokenizer.json", lambda d: d[:500]), "tokenizer.*cannot be read"),
    "tokenizer empty": (file("tokenizer.json", b""), "tokenizer.*cannot be read"),
    "tokenizer a list": (file("tokenizer.json", "[]"), "tokenizer.*cannot be read"),
    "tokenizer of another vocabulary": (
        lambda f: (
            config(vocab_size=1000)(f),
            weights(lambda w: w.update({k: v[:1000].clone() for k, v in w.items() if "embed" in k}))(f),
        ),
        "2,048 entries, the model has embeddings for 1,000",
    ),
}
OTHER_KINDS: dict[str, PretrainedConfig] = {
    "GPTBigCode, a key/value head for each head": GPTBigCodeConfig(
        vocab_size=2048, n_embd=32, n_layer=2, n_head=4, n_positions=64, multi_query=False
    ),
    "GPT-NeoX without attention biases": GPTNeoXConfig(**SHAPE, attention_bias=False),
    "BERT": BertConfig(**SHAPE),
}


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be damaged."""
    return shutil.copytree(checkpoints["Pythia"], tmp_path / "model")


@pytest.fixture(autouse=True)
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may open a pickle."""

    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", opened)


@pytest.mark.parametrize("name", REFUSED)
def test_damaged_checkpoints_are_refused(name: str, folder: Path) -> None:
    damage, message = REFUSED[name]
    damage(folder)
    with pytest.raises(LoadError, match=message):
        load_model(folder, device="cpu")


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_models_that_cannot_be_wrapped_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises((LoadError, VerificationError)):
        load_model(write_checkpoint(OTHER_KINDS[name], tmp_path), device="cpu")


@pytest.mark.parametrize(
    "model",
    [
        LlamaForSequenceClassification(LlamaConfig(**SHAPE, pad_token_id=0)),
        T5ForConditionalGeneration(
            T5Config(vocab_size=2048, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
        ),
    ],
    ids=["a classifier", "an encoder-decoder"],
)
def test_other_heads_are_refused(model: Any, folder: Path) -> None:
    for old in ("model.safetensors", "config.json"):
        (folder / old).unlink()
    model.save_pretrained(folder)
    with pytest.raises(LoadError, match=type(model).__name__):
        load_model(folder, device="cpu")


def test_stored_masks_are_no_weights(folder: Path, checkpoints: dict[str, Path]) -> None:
    """Old checkpoints hold the causal mask and the rotary frequencies; the model is the same without."""
    stored = {
        MASK: torch.ones(1, 1, 64, 64, dtype=torch.bool),
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.1.attention.rotary_emb.inv_freq": torch.ones(2),
    }
    weights(lambda w: w.update(stored))(folder)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(
            logits(load_model(folder, device="cpu"), tokens),
            logits(load_model(checkpoints["Pythia"], device="cpu"), tokens),
        )


def test_shards_and_mixed_number_formats_are_the_model(folder: Path, checkpoints: dict[str, Path]) -> None:
    weights(lambda w: w.update({k: v.double() for k, v in w.items() if "dense" in k}))(folder)
    sharded()(folder)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(
            logits(load_model(folder, device="cpu"), tokens),
            logits(load_model(checkpoints["Pythia"], device="cpu"), tokens),
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no model is called ''"),
        ("pythia-small-0.2m/", r"Nearest: pythia-small-0\.2m"),
        ("Pythia-160M", "Nearest: pythia-160m"),
        ("a\0b", "no model is called"),
        ("\ud800", "no model is called"),
        ("x" * 5000, "no model is called"),
        ("~nobody-of-this-name/model", "no model is called"),
        ("EleutherAI/pythia-160m@step1000", "no model is called"),
        ("a/b--c..d", "cannot be a hub id"),
    ],
)
def test_odd_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load_model(name, device="cpu")


def test_a_file_is_no_model(folder: Path) -> None:
    with pytest.raises(LoadError, match="is a file; give the directory"):
        load_model(folder / "model.safetensors", device="cpu")


def test_a_folder_with_a_registry_name_is_refused_as_a_name_and_taken_as_a_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("pythia-160m")
    with pytest.raises(LoadError, match=r"'\./pythia-160m'.*EleutherAI/pythia-160m-deduped"):
        load_model("pythia-160m", device="cpu")
    for path in ("./pythia-160m", "pythia-160m/", Path("pythia-160m")):
        assert load_model(path, device="cpu").cfg.n_layers == small_config("Pythia", "0.2m").num_hidden_layers


@pytest.mark.parametrize("device", ["nonsense", "meta", "cpu:a", "cuda:99", ""])
def test_odd_devices_are_refused(device: Any, folder: Path) -> None:
    with pytest.raises(LoadError, match="device="):
        load_model(folder, device=device)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn])
def test_odd_number_formats_are_refused(dtype: Any, folder: Path) -> None:
    with pytest.raises(LoadError, match="dtype="):
        load_model(folder, device="cpu", dtype=dtype)
