"""Loads a model from the registry, a hub id or a local directory as a verified TransformerBridge.

TransformerLens 4 replaced ``HookedTransformer`` by ``TransformerBridge``, with the same hook names. The weights are
those of Hugging Face: nothing is folded or centred.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import transformers as _  # noqa: F401 - registers boot_transformers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from interp.data.tokenizers import count_as, tokenizer_fingerprint
from interp.models.checkpoint import PICKLES, LoadError, check_loading, read_config, refusing, weight_files
from interp.models.hooks import note_built_in_hooks
from interp.models.identity import remember_revision
from interp.models.measuring import settled_process
from interp.models.registry import UnknownModelError, known
from interp.models.rotation import convert_rotated
from interp.models.tokenizer import open_tokenizer
from interp.models.verify import PROBE_LEN, TOLERANCE, probe_tokens, verify
from interp.planted.shapes import TOKENIZER, WEIGHTS
from interp.shipped import check_shipped

_READ = (".json", ".safetensors", ".model", ".txt")
"""Types of the files of a model and its tokenizer."""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


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
            (``config.json``, safetensors, tokenizer). A ``Path`` is always a directory; a string that is both a
            registry name and a directory is refused.
        device: where to run. Default: the GPU if there is one.
        dtype: number format of the weights. Default: float32, whatever the checkpoint's, because greedy text in half
            precision can depend on the batch size.
        revision: branch, tag or commit on the hub, such as a training checkpoint of Pythia (``"step1000"``).

    Returns:
        The bridge, in eval mode, with the unchanged Hugging Face weights. ``model.cfg.model_name`` is the given name.

    Raises:
        LoadError: the model or directory does not exist, or there is neither a network nor a local copy; the checkpoint
            cannot be read or is not a causal language model (see ``interp.models.checkpoint``); weights are missing,
            unused, NaN or infinite; the tokenizer is missing or another model's; TransformerLens cannot wrap the
            architecture; or the device or number format cannot be used.
        ShippedFileError: shipped weights are damaged.
        VerificationError: the model loads, but its logits or hooks are not what the measurements rely on.
    """
    target, chosen = _device(device), _dtype(dtype)
    # Booting draws unused random numbers, and some buffers take the default dtype.
    with settled_process(target), torch.random.fork_rng([target] if target.type == "cuda" else []):
        return _load(name_or_path, target, chosen, revision)


def _load(
    name_or_path: str | Path, target: torch.device, chosen: torch.dtype, revision: str | None
) -> TransformerBridge:
    name = str(name_or_path)
    directory = _directory(name_or_path, revision)
    config = read_config(name, directory)
    weight_files(name, directory)
    tokenizer = _tokenizer(name, directory)
    fingerprint = tokenizer_fingerprint(tokenizer)
    hf_model = _hf_model(name, directory, config, target, chosen)
    _check_vocabulary(name, tokenizer, hf_model)
    # Models without learned or rotary positions (ALiBi) give no context length.
    n_ctx = getattr(hf_model.config, "max_position_embeddings", PROBE_LEN)
    # Name of the local attention span in GPT-Neo, and in other models.
    span = getattr(hf_model.config, "window_size", None) or getattr(hf_model.config, "sliding_window", None) or 0
    tokens = probe_tokens(n_ctx, hf_model.config.vocab_size, local_span=span).to(target)
    with refusing(f"transformers cannot run {name}"):
        expected = _hf_logits(hf_model, tokens)
    architecture = type(hf_model).__name__
    with refusing(f"transformer-lens {version('transformer-lens')} cannot wrap {architecture} as {name} configures it"):
        model = TransformerBridge.boot_transformers(
            str(directory), hf_model=hf_model, tokenizer=tokenizer, device=target, dtype=chosen
        )
    model.cfg.model_name = name
    if model.tokenizer is not None:
        count_as(model.tokenizer, fingerprint)
    remember_revision(model, revision, directory)
    model.eval()
    note_built_in_hooks(model)
    convert_rotated(model)
    verify(model, tokens, expected)
    return model


def _check_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, hf_model: PreTrainedModel) -> None:
    """Added tokens may lie beyond the embeddings: they occur only in texts that spell them out."""
    if tokenizer.vocab_size > hf_model.config.vocab_size:
        raise LoadError(
            f"the tokenizer of {name} has {tokenizer.vocab_size:,} entries, the model has embeddings for "
            f"{hf_model.config.vocab_size:,}: it belongs to another model; copy the released one there"
        )


def load_tokenizer(name_or_path: str | Path, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a model's own tokenizer. Names are as in ``load_model``.

    Raises:
        LoadError: the model or directory does not exist, there is neither a network nor a local copy, or it has no
            tokenizer.
    """
    name = str(name_or_path)
    return _tokenizer(name, _directory(name_or_path, revision))


def checkpoint_files(name_or_path: str | Path, *, revision: str | None = None, fetch: bool = True) -> list[Path]:
    """A model's present files that decide its numbers, tokenizer included. Names are as in ``load_model``.

    Args:
        name_or_path: of the model.
        revision: on the hub.
        fetch: whether a model that is not on this machine is downloaded, or refused.

    Raises:
        LoadError: the model or directory does not exist, or there is neither a network nor a local copy.
    """
    directory = _directory(name_or_path, revision, fetch=fetch)
    folders = [directory, TOKENIZER] if directory.parent == WEIGHTS else [directory]
    return [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in _READ]


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type == "cuda" and not torch.cuda.is_available():
            raise LoadError(f"device={str(device)!r} was asked for, but torch sees no GPU here; use device='cpu'")
        torch.ones(1, device=chosen).item()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        if isinstance(error, LoadError):
            raise
        raise LoadError(f"device={device!r} cannot be used; choose 'cpu' or a GPU that torch sees") from error
    return chosen


def _dtype(dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    if dtype not in TOLERANCE:
        raise LoadError(f"dtype={dtype!r} cannot be measured; choose one of {', '.join(map(str, TOLERANCE))}")
    return dtype


def _directory(name_or_path: str | Path, revision: str | None, *, fetch: bool = True) -> Path:
    """The local directory of the model, downloaded from the hub if necessary."""
    name = str(name_or_path)
    path = Path(os.path.expanduser(name))
    spec = None if isinstance(name_or_path, Path) else known(name)
    # os.path.isdir, unlike Path.is_dir, accepts any name, even one that is too long or contains a NUL.
    if os.path.isdir(path) and name:
        if spec is not None:
            raise LoadError(
                f"{name!r} is both a model of the registry and a directory here; write './{name}' for the directory, "
                f"{spec.source if name == spec.name else spec.name!r} for the registry's"
            )
        if revision is not None:
            raise LoadError(
                f"revision={revision!r} was given with the local directory {path}, which has only one version"
            )
        return path
    if os.path.isfile(path):
        raise LoadError(f"{name} is a file; give the directory that holds it, with config.json and the tokenizer")
    if spec is None:
        # Two names with one slash between them can only be a hub id. Anything else is a misspelt name or path.
        if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name, re.ASCII):
            return _from_hub(name, revision, fetch=fetch)
        raise LoadError(f"{UnknownModelError.of(name)} There is no directory {path} either.")
    if spec.hub_id is not None:
        return _from_hub(spec.hub_id, revision, fetch=fetch)
    if revision is not None:
        raise LoadError(f"revision={revision!r} was given with {name}, which has only one version")
    shipped = WEIGHTS / spec.name
    if not shipped.is_dir():
        raise LoadError(
            f"the shipped weights of {name} are not in {shipped}; train them with experiments/planted/train.py"
        )
    return check_shipped(shipped, f"planted/weights/{spec.name}")


def _from_hub(hub_id: str, revision: str | None, *, fetch: bool) -> Path:
    try:
        # Every file except pickles: loading one would run code from the checkpoint.
        left_out = [*PICKLES, "*.h5", "*.msgpack"]
        return Path(snapshot_download(hub_id, revision=revision, ignore_patterns=left_out, local_files_only=not fetch))
    except GatedRepoError as error:
        raise LoadError(f"{hub_id} is gated: accept its licence on the hub and log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise LoadError(f"the hub has no model {hub_id!r}; `interp models` lists the names known here") from error
    except RevisionNotFoundError as error:
        raise LoadError(f"{hub_id} has no revision {revision!r} on the hub") from error
    except HFValidationError as error:
        raise LoadError(f"{hub_id!r} cannot be a hub id: {error}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        raise LoadError(
            f"{hub_id} is neither in the local cache nor reachable{offline}. On a machine with a network run "
            f"`hf download {hub_id} --local-dir DIRECTORY`, then load_model('DIRECTORY'). The cache is "
            f"{os.environ.get('HF_HUB_CACHE', constants.HF_HUB_CACHE)}; HF_HOME or HF_HUB_CACHE sets another."
        ) from error


def _tokenizer(name: str, directory: Path) -> PreTrainedTokenizerBase:
    # The small models share one tokenizer, kept with its corpus.
    source = check_shipped(TOKENIZER, "planted/text/tokenizer") if directory.parent == WEIGHTS else directory
    if not any((source / file).exists() for file in _TOKENIZER_FILES):
        raise LoadError(
            f"{name} has no tokenizer in {source}: one of {', '.join(_TOKENIZER_FILES)} is needed; "
            "copy the tokenizer files of the released model there"
        )
    return open_tokenizer(source)


def _hf_model(
    name: str, directory: Path, config: PretrainedConfig, device: torch.device, dtype: torch.dtype
) -> PreTrainedModel:
    with refusing(f"transformers cannot load {name}"):
        hf_model, info = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            attn_implementation="eager",  # fused attention has no pattern, so its hooks would not fire
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # the loading report lists them; they are refused below
            output_loading_info=True,
        )
    check_loading(name, info)
    hf_model = hf_model.to(device).eval()
    for key, parameter in hf_model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise LoadError(
                f"{name} has NaN or infinite weights in {key}"
                + (f" after conversion to {dtype}" if dtype == torch.float16 else "")
            )
    return hf_model


def _hf_logits(hf_model: PreTrainedModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    return hf_model(input_ids=tokens, use_cache=False).logits
