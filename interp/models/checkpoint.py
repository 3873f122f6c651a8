"""Checks the files of a checkpoint without running code, and refuses what cannot be measured correctly.

transformers reads most of what is refused here. It drops, fills or converts what does not fit, at most with a warning.
Only names, shapes and types are read here; ``interp.models.loading`` loads the weights.
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
"""Weight files that run code when loaded. They are never opened."""

_CONVERT = "If you trust it, convert it once: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)"

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})

HARMLESS = re.compile(
    # The causal mask and its fill value, which GPT-2's descendants once stored with the weights. Both are computed now.
    r"(attn|attention)\.(bias|masked_bias|causal_mask)$"
    # Frequencies of rotary positions, per layer or for the whole model. Now computed from the configuration.
    r"|rotary_emb\.inv_freq$"
    # 0, 1, 2 ...
    r"|(^|\.)position_ids$"
)
"""Stored tensors that are not weights. transformers computes them itself."""


class LoadError(InterpError, RuntimeError):
    """A model cannot be loaded, or must not be measured."""


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn any error of another library into a ``LoadError`` that says what failed."""
    try:
        yield
    except InterpError:
        raise
    except Exception as error:
        # A bare assertion has no message, so its source line is given.
        lines = str(error).strip().splitlines() or [f"{traceback.extract_tb(error.__traceback__)[-1].line}"]
        raise LoadError(f"{what}: {type(error).__name__}: {lines[0].strip()}") from error


def read_config(name: str, directory: Path) -> PretrainedConfig:
    """The configuration of a checkpoint of a causal language model with plain weights.

    Raises:
        LoadError: the configuration is missing or unreadable; the checkpoint is an adapter, another kind of model, or
            quantized; or it needs its own code.
    """
    _refuse_adapters(name, directory)
    path = directory / "config.json"
    if not path.is_file():
        _refuse_gguf(name, directory)
        raise LoadError(f"{directory} has no config.json: it is not a model in Hugging Face format")
    facts = read_json(path)
    model_type = facts.get("model_type")
    if not isinstance(model_type, str):
        raise LoadError(f"{path} has no model_type; copy it from the released model's config.json")
    _refuse_quantized(name, facts)
    if "transformers_weights" in facts:
        raise LoadError(
            f"{path} has its own name for the weights file (transformers_weights: {facts['transformers_weights']!r}); "
            f"call it model.safetensors, or list it in {INDEX}, and delete the entry"
        )
    if model_type not in transformers.CONFIG_MAPPING:
        code = "; its code is in the checkpoint, and code from a checkpoint is never run" * ("auto_map" in facts)
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
        LoadError: the file does not hold one.
    """
    _refuse_pointer(path)
    with refusing(f"{path} is not a JSON file"):
        facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise LoadError(f"{path} holds a {type(facts).__name__}, not a JSON object")
    return facts


def weight_files(name: str, directory: Path) -> list[Path]:
    """The weight files that transformers will load. Each is checked to be complete and to hold plain numbers.

    Raises:
        LoadError: there are no weights or only pickles; a file is missing, truncated, not safetensors, or outside the
            folder; a weight is in two files; or weights are not floating point.
    """
    files = _listed_files(name, directory)
    held: dict[str, Path] = {}
    for file in files:
        for key, dtype in _read_types(file).items():
            if key in held:
                raise LoadError(f"{name} has {key} in both {held[key].name} and {file.name}; delete the stale file")
            if dtype not in _FLOATS and not HARMLESS.search(key):
                raise LoadError(
                    f"{name} holds {key} as {dtype}: it is a quantized checkpoint, whose numbers need its "
                    "scales; use the unquantized one"
                )
            held[key] = file
    if not held:
        raise LoadError(f"{name} holds no weights in {', '.join(file.name for file in files)}")
    return files


def check_loading(name: str, info: dict[str, Any]) -> None:
    """Refuse a model if transformers filled, cut or dropped weights. ``info`` is its report of the loading.

    Raises:
        LoadError: the checkpoint lacks weights, has weights of another shape, or has weights that the model does not
            use.
    """
    if info["missing_keys"]:
        lacking = sorted(info["missing_keys"])
        raise LoadError(f"the checkpoint of {name} lacks {len(lacking)} weights of its architecture: {lacking[:4]}")
    for key, stored, wanted in sorted(info["mismatched_keys"]):
        raise LoadError(
            f"the checkpoint of {name} has {key} of shape {tuple(stored)}, but its config.json needs {tuple(wanted)}; "
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
    """``model.safetensors``, or else the files that the index names: the order of transformers."""
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
            raise LoadError(f"{index} names {file!r}, but only safetensors are loaded: a pickle runs code. {_CONVERT}")
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
    """Name and number format of each tensor, from the header. safetensors checks the file's length against it."""
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
            f"{name} holds an adapter {where} ({', '.join(found)}), which would be ignored. Merge it first: "
            "PeftModel.from_pretrained(base, ADAPTER).merge_and_unload().save_pretrained(NEW), then load NEW"
        )


def _refuse_gguf(name: str, directory: Path) -> None:
    found = sorted(file.name for file in directory.glob("*.gguf"))
    if found:
        raise LoadError(f"{name} is a GGUF file ({found[0]}), which cannot be read here; use the released safetensors")


def _refuse_quantized(name: str, facts: dict[str, Any]) -> None:
    for part in (facts, *(value for value in facts.values() if isinstance(value, dict))):
        for key in ("quantization_config", "compression_config"):
            if part.get(key):
                method = part[key].get("quant_method", "") if isinstance(part[key], dict) else ""
                raise LoadError(
                    f"{name} is quantized ({method or key}): its layers cannot be measured here; "
                    "use the unquantized checkpoint"
                )


def _refuse_other_kinds(name: str, config: PretrainedConfig) -> None:
    """Refuse all but causal language models: an encoder, or a model with another head, would get a random head."""
    known = AutoModelForCausalLM._model_mapping
    written: Sequence[str] = getattr(config, "architectures", None) or ()
    said = written[0] if written else f"a model of type {config.model_type}"
    if config.is_encoder_decoder or type(config) not in known:
        raise LoadError(f"{name} is {said}, not a causal language model; only those can be measured")
    wanted = {kind.__name__ for kind in _as_tuple(known[type(config)])}
    # A body without a head (``LlamaModel``) may use its embeddings as the head. The weights show it.
    if written and said.lower() not in {kind.lower() for kind in wanted} and not said.endswith("Model"):
        raise LoadError(f"{name} is {said}; only {' or '.join(sorted(wanted))} of its type can be measured")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
