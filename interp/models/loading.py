"""Loading a model: from the registry, a hub id or a local directory to a verified TransformerBridge.

TransformerLens 4 replaced ``HookedTransformer`` by ``TransformerBridge``, with the same hook names.
Weights are Hugging Face's own: nothing is folded or centred.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import transformers as _  # noqa: F401 - registers boot_transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from interp.errors import InterpError
from interp.models.registry import UnknownModelError, find
from interp.models.rotation import convert_rotated
from interp.models.small import TOKENIZER, WEIGHTS
from interp.models.verify import probe_tokens, verify

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json")
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


class LoadError(InterpError, RuntimeError):
    """A model that cannot be loaded, or that must not be measured."""


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> TransformerBridge:
    """Load a model, wrap it in TransformerLens' bridge and verify it.

    Args:
        name_or_path: a registry name (``interp models``), a hub id, or a local directory in Hugging Face format
            (``config.json``, safetensors, tokenizer).
        device: where to run; the GPU where there is one, unless given.
        dtype: of the weights. float32 unless given, whatever the checkpoint's own: greedy text in half precision
            can depend on the batch size.
        revision: branch, tag or commit on the hub, for instance a training checkpoint of Pythia (``"step1000"``).

    Returns:
        The bridge, in eval mode, with raw Hugging Face weights; ``model.cfg.model_name`` is the name asked for.

    Raises:
        LoadError: no such model or directory, no network and no local copy, no tokenizer, a checkpoint in pickle
            format only, weights that are missing, NaN or infinite, or ``cuda`` where there is none.
        VerificationError: a model that loads, but whose logits or hooks are not what the measurements rely on.
    """
    target = _device(device)
    name = str(name_or_path)
    directory = _directory(name, revision)
    tokenizer = _tokenizer(name, directory)
    hf_model = _hf_model(name, directory, target, dtype or torch.float32)
    tokens = probe_tokens(hf_model.config.max_position_embeddings, hf_model.config.vocab_size).to(target)
    expected = _hf_logits(hf_model, tokens)
    model = TransformerBridge.boot_transformers(
        str(directory), hf_model=hf_model, tokenizer=tokenizer, device=target, dtype=dtype or torch.float32
    )
    model.cfg.model_name = name
    model.eval()
    convert_rotated(model)
    verify(model, tokens, expected)
    return model


def load_tokenizer(name_or_path: str | Path, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A model's own tokenizer; names as ``load_model`` takes them.

    Raises:
        LoadError: no such model or directory, no network and no local copy, or no tokenizer in it.
    """
    name = str(name_or_path)
    return _tokenizer(name, _directory(name, revision))


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise LoadError(f"device={str(device)!r} was asked for, but torch sees no GPU here; use device='cpu'")
    return chosen


def _directory(name: str, revision: str | None) -> Path:
    """The local directory that holds the model, fetched from the hub where it must be."""
    path = Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise LoadError(f"revision={revision!r} was given with the local directory {path}; it has one version only")
        return path
    try:
        spec = find(name)
    except UnknownModelError as error:
        # Two names with one slash between them can only be a hub id; anything else is a misspelt name or path.
        if name.count("/") == 1 and not name.startswith((".", "~", "/")):
            return _from_hub(name, revision)
        raise LoadError(f"{error} Nor is there a directory {path}.") from None
    if spec.hub_id is not None:
        return _from_hub(spec.hub_id, revision)
    shipped = WEIGHTS / spec.name
    if not shipped.is_dir():
        raise LoadError(f"the shipped weights of {name} are not in {shipped}; train them with experiments/train_zoo.py")
    return shipped


def _from_hub(hub_id: str, revision: str | None) -> Path:
    try:
        # Every file but pickles: loading one would run code from the checkpoint.
        return Path(
            snapshot_download(hub_id, revision=revision, ignore_patterns=["*.bin", *_PICKLES, "*.h5", "*.msgpack"])
        )
    except GatedRepoError as error:
        raise LoadError(f"{hub_id} is gated: accept its licence on the hub and log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise LoadError(f"the hub has no model {hub_id!r}; `interp models` lists the names known here") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        raise LoadError(
            f"{hub_id} is neither in the local cache nor reachable{offline}. On a machine with a network run "
            f"`hf download {hub_id} --local-dir DIRECTORY`, then load_model('DIRECTORY'). The cache is "
            f"{os.environ.get('HF_HUB_CACHE', constants.HF_HUB_CACHE)}; HF_HOME or HF_HUB_CACHE sets another."
        ) from error


def _tokenizer(name: str, directory: Path) -> PreTrainedTokenizerBase:
    # The small models share one tokenizer, kept with the corpus that it was made from.
    source = TOKENIZER if directory.parent == WEIGHTS else directory
    if not any((source / file).exists() for file in _TOKENIZER_FILES):
        raise LoadError(
            f"{name} has no tokenizer in {source}: one of {', '.join(_TOKENIZER_FILES)} is needed; "
            "copy the tokenizer files of the released model there"
        )
    return AutoTokenizer.from_pretrained(source, trust_remote_code=False)


def _hf_model(name: str, directory: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    if not (directory / "config.json").exists():
        raise LoadError(f"{directory} has no config.json: it is not a model in Hugging Face format")
    if not any(file for pattern in _WEIGHT_FILES for file in directory.glob(pattern)):
        pickles = sorted(file.name for pattern in _PICKLES for file in directory.glob(pattern))
        raise LoadError(
            f"{name} has no safetensors in {directory}"
            + (f", only pickles ({', '.join(pickles)}), and loading a pickle runs code from it" if pickles else "")
            + ". Convert it once where you trust it: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)"
        )
    config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    hf_model, info = AutoModelForCausalLM.from_pretrained(
        directory,
        config=config,
        dtype=dtype,
        attn_implementation="eager",  # fused attention computes no pattern, and its hooks would not fire
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    # transformers fills what a checkpoint lacks with random numbers and goes on.
    lacking = sorted(info["missing_keys"]) + sorted(str(k) for k in info.get("mismatched_keys", ()))
    if lacking:
        raise LoadError(f"the checkpoint of {name} lacks {len(lacking)} weights of its architecture: {lacking[:4]}")
    hf_model = hf_model.to(device).eval()
    for key, parameter in hf_model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise LoadError(
                f"{name} has NaN or infinite weights in {key}"
                + (f" after conversion to {dtype}" if dtype == torch.float16 else "")
            )
    return hf_model


def _hf_logits(hf_model: PreTrainedModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    with torch.no_grad():
        return hf_model(input_ids=tokens, use_cache=False).logits
