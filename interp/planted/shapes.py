"""The project's own small families: six architectures, three sizes, one tokenizer, one corpus.

Each family is built from the Hugging Face configuration class of the real one and keeps what makes
it itself: parallel residual and partial rotary (Pythia), one key/value head and learned positions
(StarCoder), non-parametric LayerNorm (OLMo1), norms after attention and MLP with query/key norm
(OLMo2), grouped queries and sliding windows as well (OLMo3), RMSNorm before a SwiGLU MLP (OpenLLaMA).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import (
    GPTBigCodeConfig,
    GPTNeoXConfig,
    LlamaConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoConfig,
    PretrainedConfig,
)

from interp.planted.planting import TOKENIZER  # noqa: F401 - kept with the corpus; asked for here too

N_CTX = 64
"""Context of every small model, in tokens: one training window. No position beyond it was trained."""

VOCAB_SIZE = 2048
WEIGHTS = Path(__file__).parent / "weights"
"""One folder a small model: ``config.json``, ``model.safetensors`` (float16), ``training.json``."""

SLIDING_WINDOW = 16
"""Attention span of OLMo3's local layers, in tokens: short enough to matter within a 64-token window."""


@dataclass(frozen=True)
class SmallShape:
    """Shape shared by the six models of one size."""

    size: str
    n_layers: int
    n_heads: int
    d_head: int

    @property
    def d_model(self) -> int:
        return self.n_heads * self.d_head


SHAPES: dict[str, SmallShape] = {
    shape.size: shape
    for shape in (
        SmallShape("0.2m", n_layers=4, n_heads=4, d_head=16),
        SmallShape("0.5m", n_layers=6, n_heads=6, d_head=14),
        SmallShape("1.2m", n_layers=8, n_heads=8, d_head=14),
    )
}

N_PARAMS = {
    "Pythia": {"0.2m": 462_208, "0.5m": 858_816, "1.2m": 1_674_848},
    "OpenLLaMA": {"0.2m": 457_280, "0.5m": 853_188, "1.2m": 1_657_712},
    "StarCoder": {"0.2m": 310_272, "0.5m": 620_760, "1.2m": 1_275_456},
    "OLMo1": {"0.2m": 456_704, "0.5m": 852_096, "1.2m": 1_655_808},
    "OLMo2": {"0.2m": 457_792, "0.5m": 854_196, "1.2m": 1_659_504},
    "OLMo3": {"0.2m": 441_280, "0.5m": 811_608, "1.2m": 1_558_704},
}
"""Parameters, tied weights counted once. Written down, since counting builds all 18 models (0.8 s at every load)."""

SMALL_FAMILIES = ("Pythia", "OpenLLaMA", "StarCoder", "OLMo1", "OLMo2", "OLMo3")


def small_model_name(family: str, size: str) -> str:
    """Registry name of a small model: ``small_model_name("Pythia", "0.2m") == "pythia-small-0.2m"``."""
    return f"{family.lower()}-small-{size}"


def small_config(family: str, size: str) -> PretrainedConfig:
    """Hugging Face configuration of one small model.

    Args:
        family: one of ``SMALL_FAMILIES``.
        size: one of ``SHAPES``; the parameter count beyond the embeddings, roughly.

    Raises:
        ValueError: unknown family or size.
    """
    if size not in SHAPES:
        raise ValueError(f"unknown size {size!r} of a small family; choose from {list(SHAPES)}")
    shape = SHAPES[size]
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    # A SwiGLU MLP has three matrices, so 8/3 d_model gives it the parameters of a plain 4 d_model MLP.
    d_mlp_gated = round(8 / 3 * shape.d_model / 8) * 8
    common = dict(
        vocab_size=VOCAB_SIZE,
        hidden_size=shape.d_model,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        max_position_embeddings=N_CTX,
        tie_word_embeddings=False,
        **tokens,
    )
    gated = common | {"intermediate_size": d_mlp_gated}
    match family:
        case "Pythia":
            # Four rotary dimensions in every size: Pythia's 25 % of 16, rounded to an even number of 14.
            rotary = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 4 / shape.d_head}
            return GPTNeoXConfig(
                **common,
                intermediate_size=4 * shape.d_model,
                use_parallel_residual=True,
                rope_parameters=rotary,
            )
        case "OpenLLaMA":
            return LlamaConfig(**gated)
        case "StarCoder":
            return GPTBigCodeConfig(
                vocab_size=VOCAB_SIZE,
                n_positions=N_CTX,
                n_embd=shape.d_model,
                n_layer=shape.n_layers,
                n_head=shape.n_heads,
                n_inner=4 * shape.d_model,
                multi_query=True,
                tie_word_embeddings=True,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                **tokens,
            )
        case "OLMo1":
            return OlmoConfig(**gated)
        case "OLMo2":
            return Olmo2Config(**gated, rope_parameters={"rope_type": "default", "rope_theta": 500_000.0})
        case "OLMo3":
            return Olmo3Config(**gated, num_key_value_heads=shape.n_heads // 2, sliding_window=SLIDING_WINDOW)
    raise ValueError(f"unknown small family {family!r}; choose from {list(SMALL_FAMILIES)}")
