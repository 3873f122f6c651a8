"""Models with random weights, built from the same configuration classes as the real ones."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig

from interp.data.windows import Windows
from interp.models.loading import load_model
from interp.planted.shapes import SMALL_FAMILIES, TOKENIZER, small_config

torch.set_num_threads(1)

pytest_plugins = ["explored"]


def write_checkpoint(config: PretrainedConfig, out: Path, *, seed: int = 0, spread: float = 4.0) -> Path:
    """A random model in Hugging Face format.

    Weights are spread wider than at initialisation, where attention is almost uniform and a bug in it would hide.
    """
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.mul_(spread)
            elif "bias" in name:
                parameter.normal_(std=0.1)
            else:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(out)
    return out


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random checkpoint of every family, smallest size."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {family: write_checkpoint(small_config(family, "0.2m"), root / family.lower()) for family in SMALL_FAMILIES}


@pytest.fixture(scope="session")
def models(checkpoints: dict[str, Path]) -> dict[str, TransformerBridge]:
    """The random checkpoints, loaded; shared by all tests, so a test must leave them as they were."""
    return {family: load_model(path, device="cpu") for family, path in checkpoints.items()}


@pytest.fixture(params=SMALL_FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(models: dict[str, TransformerBridge], family: str) -> TransformerBridge:
    """A random model of each of the six architectures in turn."""
    return models[family]


@pytest.fixture(scope="session")
def windows() -> Windows:
    """Twelve windows of random tokens in two domains."""
    ids = torch.randint(0, 2048, (12, 64), generator=torch.Generator().manual_seed(1))
    return Windows.from_tokens(
        ids, domain=["code", "prose"] * 6, document=[f"document-{i // 2}" for i in range(12)], source="random tokens"
    )


def random_windows(n: int, *, seed: int, n_pos: int = 21, prefix_len: int = 18) -> Windows:
    """Longer than OLMo3's sliding window of 16, with a short continuation so that the plain loop is quick."""
    ids = torch.randint(0, 2048, (n, n_pos), generator=torch.Generator().manual_seed(seed))
    return Windows.from_tokens(ids, prefix_len=prefix_len, document=[f"document-{i // 2}" for i in range(n)])


def written_by(model: TransformerBridge, windows: Windows) -> Windows:
    """Windows whose continuation the model itself writes, in part: memorized ones, ones missed early, and late."""
    tokens = windows.tokens.clone()
    for pos in range(windows.prefix_len, tokens.shape[1]):
        tokens[:, pos] = model(tokens[:, :pos], return_type="logits", prepend_bos=False)[:, -1].argmax(-1)
    for row in range(0, len(tokens), 4):
        tokens[row, windows.prefix_len + row % windows.continuation_len] = 7
    return Windows.from_tokens(tokens, prefix_len=windows.prefix_len, document=list(windows.document))
