"""What lies in a checkpoint's folder: read without running anything, and refused where it cannot be measured rightly.

transformers reads most of what is refused here, and drops, fills or converts what does not fit with a warning at most.
Only names, shapes and types are read; the weights are loaded in ``interp.models.loading``.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from interp.errors import InterpError
from interp.files import is_lfs_pointer

INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.distcp")
"""Files of weights that run code when they are loaded; none is ever opened."""

_CONVERT = "Convert it once where you trust it: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)"

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})

HARMLESS = re.compile(
    # The causal mask that GPT-2's descendants once stored with the weights, and its fill value; both are computed now.
    r"(attn|attention)\.(bias|masked_bias|causal_mask)$"
    # Frequencies of rotary positions, by layer or for the whole model; computed from the configuration now.
    r"|rotary_emb\.inv_freq$"
    # 0, 1, 2 ...
    r"|(^|\.)position_ids$"
)
"""Stored tensors that are no weights, and that transformers computes itself."""


class LoadError(InterpError, RuntimeError):
    """A model that cannot be loaded, or that must not be measured."""


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever a foreign library raises over a file or an architecture into a refusal that says what failed."""
    try:
        yield
    except InterpError:
        raise
    except Exception as error:
        # A bare assertion has no message; its line says more than nothing.
        lines = str(error).strip().splitlines() or [f"{traceback.extract_tb(error.__traceback__)[-1].line}"]
        raise LoadError(f"{what}: {type(error).__name__}: {lines[0].strip()}") from error


def read_config(name: str, directory: Path) -> PretrainedConfig:
    """The configuration of a checkpoint, where it is that of a causal language model with plain weights.

    Raises:
        LoadError: no configuration or one that cannot be read, an adapter, another kind of model, quantized weights,
            or code that would have to be run.
    """
    _refuse_adapters(name, directory)
    path = directory / "config.json"
    if not path.is_file():
        _refuse_gguf(name, directory)
        raise LoadError(f"{directory} has no config.json: it is not a model in Hugging Face format")
    facts = read_json(path)
    model_type = facts.get("model_type")
    if not isinstance(model_type, str):
        raise LoadError(f"{path} has no model_type; add the one of the released model's config.json")
    _refuse_quantized(name, facts)
    if "transformers_weights" in facts:
        raise LoadError(
            f"{path} names its file of weights itself (transformers_weights: {facts['transformers_weights']!r}); "
            f"call it model.safetensors, or list it in {INDEX}, and delete the entry"
        )
    if model_type not in transformers.CONFIG_MAPPING:
        code = "; its code lies in the checkpoint, and no code from a checkpoint is run" * ("auto_map" in facts)
        raise LoadError(
            f"{name} has model_type {model_type!r}, which transformers {transformers.__version__} does not know{code}. "
            "Use a checkpoint that was converted to an architecture of transformers"
        )
    with refusing(f"{path} cannot be read"):
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    _refuse_other_kinds(name, config)
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        LoadError: it does not.
    """
    _refuse_pointer(path)
    with refusing(f"{path} is not a JSON file"):
        facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise LoadError(f"{path} holds a {type(facts).__name__}, not a JSON object")
    return facts


def weight_files(name: str, directory: Path) -> list[Path]:
    """The files of weights that transformers will load, each checked to be whole and to hold plain numbers.

    Raises:
        LoadError: none, only pickles, a file that is missing, cut off or no safetensors, one outside the folder, a
            weight that stands in two files, or weights of another type than floating point.
    """
    files = _listed_files(name, directory)
    held: dict[str, Path] = {}
    for file in files:
        for key, dtype in _read_types(file).items():
            if key in held:
                raise LoadError(f"{name} has {key} in both {held[key].name} and {file.name}; delete the stale file")
            if dtype not in _FLOATS and not HARMLESS.search(key):
                raise LoadError(
                    f"{name} holds {key} as {dtype}: a quantized checkpoint, whose numbers mean nothing without its "
                    "scales; use the unquantized one"
                )
            held[key] = file
    if not held:
        raise LoadError(f"{name} holds no weights in {', '.join(file.name for file in files)}")
    return files


def check_loading(name: str, info: dict[str, Any]) -> None:
    """Refuse a model of which transformers filled, cut or dropped weights; ``info`` is its own account of the loading.

    Raises:
        LoadError: weights that the checkpoint lacks, that have another shape, or that the model does not use.
    """
    if info["missing_keys"]:
        lacking = sorted(info["missing_keys"])
        raise LoadError(f"the checkpoint of {name} lacks {len(lacking)} weights of its architecture: {lacking[:4]}")
    for key, stored, wanted in sorted(info["mismatched_keys"]):
        raise LoadError(
            f"the checkpoint of {name} has {key} of shape {tuple(stored)}, its config.json asks for {tuple(wanted)}; "
            "take both from the same release"
        )
    unused = sorted(key for key in info["unexpected_keys"] if not HARMLESS.search(key))
    if unused:
        raise LoadError(
            f"the checkpoint of {name} holds {len(unused)} weights that its config.json does not use: {unused[:4]}; "
            "the model would not be the released one. Take both from the same release"
        )
    if info.get("error_msgs"):
        raise LoadError(f"transformers could not load all of {name}: {info['error_msgs'][0]}")


def _listed_files(name: str, directory: Path) -> list[Path]:
    """``model.safetensors`` or what the index names: the order in which transformers looks."""
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    index = directory / INDEX
    if not index.is_file():
        _refuse_without_weights(name, directory)
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(f, str) for f in weight_map.values()):
        raise LoadError(f"{index} has no weight_map from weights to files")
    named = sorted(set(weight_map.values()))
    for file in named:
        if Path(file).name != file:
            raise LoadError(f"{index} names {file!r}, which is not a file of its own folder")
        if not file.endswith(".safetensors"):
            raise LoadError(f"{index} names {file!r}, and only safetensors are loaded: a pickle runs code. {_CONVERT}")
        if not (directory / file).is_file():
            raise LoadError(f"{index} names {file!r}, which is not in {directory}; download it again")
    return [directory / file for file in named]


def _refuse_without_weights(name: str, directory: Path) -> None:
    _refuse_gguf(name, directory)
    others = sorted(file.name for file in directory.glob("*.safetensors"))
    if others:
        raise LoadError(
            f"{directory} has neither model.safetensors nor {INDEX}, only {', '.join(others[:4])}; "
            "download the missing files, or give a single file the name model.safetensors"
        )
    pickles = sorted(file.name for pattern in PICKLES for file in directory.glob(pattern))
    only = f", only pickles ({', '.join(pickles[:4])}), and loading a pickle runs code from it" if pickles else ""
    raise LoadError(f"{name} has no safetensors in {directory}{only}. {_CONVERT}")


def _read_types(file: Path) -> dict[str, str]:
    """Name and number format of each tensor, from the header; safetensors compares it with the length of the file."""
    _refuse_pointer(file)
    try:
        with safe_open(file, framework="pt") as opened:
            return {key: opened.get_slice(key).get_dtype() for key in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise LoadError(
            f"{file} is damaged or cut off ({file.stat().st_size:,} bytes; {' '.join(str(error).split())}); "
            "download it again"
        ) from error


def _refuse_pointer(path: Path) -> None:
    if is_lfs_pointer(path):
        raise LoadError(f"{path} is a pointer of Git LFS, not the file itself; run `git lfs pull` there")


def _refuse_adapters(name: str, directory: Path) -> None:
    found = sorted(file.name for file in directory.glob("adapter_*"))
    if found:
        where = "beside a model" if (directory / "config.json").is_file() else "without its model"
        raise LoadError(
            f"{name} holds an adapter {where} ({', '.join(found)}), which would be left out. Merge it first: "
            "PeftModel.from_pretrained(base, ADAPTER).merge_and_unload().save_pretrained(NEW), then load NEW"
        )


def _refuse_gguf(name: str, directory: Path) -> None:
    found = sorted(file.name for file in directory.glob("*.gguf"))
    if found:
        raise LoadError(f"{name} is a GGUF file ({found[0]}), which is not read here; use the released safetensors")


def _refuse_quantized(name: str, facts: dict[str, Any]) -> None:
    for part in (facts, *(value for value in facts.values() if isinstance(value, dict))):
        for key in ("quantization_config", "compression_config"):
            if part.get(key):
                method = part[key].get("quant_method", "") if isinstance(part[key], dict) else ""
                raise LoadError(
                    f"{name} is quantized ({method or key}): its layers are not the ones that are measured here; "
                    "use the unquantized checkpoint"
                )


def _refuse_other_kinds(name: str, config: PretrainedConfig) -> None:
    """Only a causal language model: an encoder, or a model with another head, would be given a head at random."""
    known = AutoModelForCausalLM._model_mapping
    written: Sequence[str] = getattr(config, "architectures", None) or ()
    said = written[0] if written else f"a model of type {config.model_type}"
    if config.is_encoder_decoder or type(config) not in known:
        raise LoadError(f"{name} is {said}, not a causal language model; only those are measured here")
    wanted = {kind.__name__ for kind in _as_tuple(known[type(config)])}
    # A body without a head (``LlamaModel``) may have its head in the embeddings; whether it has, the weights show.
    if written and said.lower() not in {kind.lower() for kind in wanted} and not said.endswith("Model"):
        raise LoadError(f"{name} is {said}, and only {' or '.join(sorted(wanted))} of its type is measured here")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
