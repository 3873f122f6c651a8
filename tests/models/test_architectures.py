"""Architectures beyond the six: each measurement gives what a plain loop around Hugging Face gives, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_checkpoint
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    OPTConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedModel,
    Starcoder2Config,
)

from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import DecodingError
from interp.engine.take_apart import RestartError
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.lens.logit_attribution import logit_attribution
from interp.internal.lens.logit_lens import logit_lens
from interp.models.hooks import HookError, logits
from interp.models.loading import load_model
from interp.statistical.compression import compress
from interp.statistical.extraction import extract

PREFIX, CONTINUATION = 14, 10
SPECIAL: dict[str, Any] = dict(vocab_size=2048, bos_token_id=0, eos_token_id=0)
OLD: dict[str, Any] = dict(**SPECIAL, n_embd=32, n_layer=2, n_head=4, n_positions=64)
BASE: dict[str, Any] = dict(**SPECIAL, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
SHAPE: dict[str, Any] = dict(**BASE, intermediate_size=64, max_position_embeddings=64, pad_token_id=0)
GROUPED: dict[str, Any] = dict(**SHAPE, num_key_value_heads=2)

ABLATED: dict[str, PretrainedConfig] = {
    "GPT-2": GPT2Config(**OLD),
    "GPT-Neo": GPTNeoConfig(
        **SPECIAL,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        window_size=8,
        attention_types=[[["global", "local"], 1]],
    ),
    "Mistral, sliding": MistralConfig(**GROUPED, sliding_window=8),
    "StarCoder2, sliding": Starcoder2Config(**GROUPED, sliding_window=8),
    "Mixtral, sliding": MixtralConfig(**GROUPED, sliding_window=8, num_local_experts=4, num_experts_per_tok=2),
    "Gemma 3": Gemma3TextConfig(**GROUPED, head_dim=8, sliding_window=8, sliding_window_pattern=2),
    "Llama with biases, wide heads": LlamaConfig(**GROUPED, attention_bias=True, head_dim=16),
}
NOT_ABLATED: dict[str, PretrainedConfig] = {
    "GPT-J": GPTJConfig(**OLD, rotary_dim=4),
    "Gemma 2, capped": Gemma2Config(
        **GROUPED, head_dim=8, sliding_window=8, attn_logit_softcapping=5.0, final_logit_softcapping=0.5
    ),
    "Phi": PhiConfig(**SHAPE),
    "OPT": OPTConfig(**BASE, ffn_dim=64, max_position_embeddings=64, word_embed_proj_dim=32, pad_token_id=1),
    "BLOOM": BloomConfig(**SPECIAL, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0),
    "Falcon, ALiBi": FalconConfig(**BASE, alibi=True, multi_query=False, parallel_attn=False, bias=True),
}
ALL = ABLATED | NOT_ABLATED


class Loaded:
    """A model, Hugging Face's own of the same weights, and windows of which half are recited."""

    def __init__(self, name: str, folder: Path) -> None:
        write_checkpoint(ALL[name], folder)
        self.model = load_model(folder, device="cpu")
        self.hf = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        tokens = torch.randint(2, 2000, (6, PREFIX + CONTINUATION), generator=torch.Generator().manual_seed(3))
        self.written = greedy(self.hf, tokens[:, :PREFIX])
        tokens[:3] = self.written[:3]
        self.windows = Windows.from_tokens(tokens, prefix_len=PREFIX, document=list("aabbcc"), source="random")


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(request.param, tmp_path_factory.mktemp("architecture"))


of_all = pytest.mark.parametrize("loaded", ALL, indirect=True)
of_ablated = pytest.mark.parametrize("loaded", ABLATED, indirect=True)


def greedy(hf: PreTrainedModel, prefix: Tensor, n: int = CONTINUATION) -> Tensor:
    with torch.no_grad():
        for _ in range(n):
            prefix = torch.cat([prefix, hf(prefix, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return prefix


def log_prob(hf: PreTrainedModel, tokens: Tensor) -> np.ndarray:
    with torch.no_grad():
        log_p = hf(tokens, use_cache=False).logits[:, PREFIX - 1 : -1].log_softmax(-1)
    return log_p.gather(-1, tokens[:, PREFIX:, None])[..., 0].numpy()


@contextmanager
def without_head(loaded: Loaded, layer: int, head: int) -> Iterator[None]:
    """Zero a head where Hugging Face's own output projection takes it in."""
    last = ("o_proj", "out_proj", "dense", "c_proj")
    projections = [
        m for n, m in loaded.hf.named_modules() if n.split(".")[-1] in last and "att" in n and "mlp" not in n
    ]

    def zero(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z = args[0].clone()
        width = z.shape[-1] // loaded.model.cfg.n_heads
        z[..., head * width : (head + 1) * width] = 0
        return (z, *args[1:])

    handle = projections[layer].register_forward_pre_hook(zero)
    yield
    handle.remove()


@of_all
def test_extraction_is_the_plain_greedy_loop(loaded: Loaded) -> None:
    found = extract(loaded.model, loaded.windows)
    assert (found.generated == loaded.written[:, PREFIX:].numpy()).all()
    assert found.memorized.tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(found.log_prob, log_prob(loaded.hf, loaded.windows.tokens), atol=1e-5)
    # Without log-probabilities rows go on from misses of their own.
    again = extract(loaded.model, loaded.windows, log_prob=False, batch_size=4)
    assert (again.generated == found.generated).all()


@of_all
def test_compression_is_the_plain_greedy_loop(loaded: Loaded) -> None:
    """Texts of different length share a pass."""
    works = compress(loaded.model, loaded.windows).works
    for k in (1, 2, 5, 9, 13, 14):
        written = greedy(loaded.hf, loaded.windows.tokens[:3, PREFIX - k : PREFIX])[:, k:]
        assert (works[:3, k - 1] == (written == loaded.windows.continuation[:3]).all(1).numpy()).all()


@of_all
def test_a_measurement_leaves_the_model_as_it_was(loaded: Loaded) -> None:
    """The attention is written in the configuration; a twin with another attention must have one of its own."""
    tokens = loaded.windows.tokens
    with torch.no_grad():
        before = logits(loaded.model, tokens)
        Decoder.of(loaded.model, tokens[:1])
        assert loaded.model.original_model.config._attn_implementation == "eager"
        assert torch.equal(logits(loaded.model, tokens), before)


@of_ablated
def test_ablation_is_a_plain_hook(loaded: Loaded) -> None:
    found = ablate_heads(loaded.model, loaded.windows, heads=[(0, 0), (1, 3)])
    for layer, head in ((0, 0), (1, 3)):
        with without_head(loaded, layer, head):
            expected = log_prob(loaded.hf, loaded.windows.tokens).mean(axis=1)
            written = greedy(loaded.hf, loaded.windows.prefix)[:, PREFIX:]
        np.testing.assert_allclose(found.log_prob[layer, head], expected, atol=1e-4)
        right = (written == loaded.windows.continuation).double().mean(dim=1)
        assert (found.memorized[layer, head] == (right == 1).numpy()).all()


@pytest.mark.parametrize("loaded", NOT_ABLATED, indirect=True)
def test_what_cannot_be_taken_apart_is_refused(loaded: Loaded) -> None:
    for measure in (ablate_heads, estimate_heads, logit_attribution):
        with pytest.raises(RestartError, match="taken apart"):
            measure(loaded.model, loaded.windows)


@of_all
def test_the_lens_ends_in_the_models_own_logits_or_is_refused(loaded: Loaded) -> None:
    if loaded.model.original_model.config.model_type == "gemma2":
        with pytest.raises(HookError, match="caps"):
            logit_lens(loaded.model, loaded.windows)
        return
    last = logit_lens(loaded.model, loaded.windows).log_prob[-1]
    np.testing.assert_allclose(last, log_prob(loaded.hf, loaded.windows.tokens), atol=1e-4)


def test_logits_that_are_scaled_after_the_unembedding_are_refused(tmp_path: Path) -> None:
    model = load_model(write_checkpoint(CohereConfig(**GROUPED, logit_scale=0.5), tmp_path), device="cpu")
    windows = Windows.from_tokens(torch.randint(2, 2000, (2, 20)), prefix_len=10, source="random")
    with pytest.raises(DecodingError, match="cannot be decoded here"):
        extract(model, windows)
