"""The project's own small families: six architectures, three sizes, one tokenizer, one corpus.

Each family uses the Hugging Face configuration class of the real one and keeps its characteristics: parallel residual
and partial rotary (Pythia), one key/value head and learned positions (StarCoder), non-parametric LayerNorm (OLMo1),
norms after attention and MLP with query/key norm (OLMo2), grouped queries and sliding windows as well (OLMo3), RMSNorm
before a SwiGLU MLP (OpenLLaMA).

Transformers is imported only to make a configuration, so listing the models is fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TOKENIZER = Path(__file__).parent / "text" / "tokenizer"
"""The small models share one tokenizer, kept with its corpus."""

N_CTX = 64
"""Context of every small model, in tokens: one training window. Later positions were never trained."""

VOCAB_SIZE = 2048
WEIGHTS = Path(__file__).parent / "weights"
"""One folder per small model: ``config.json``, ``model.safetensors`` (float16), ``training.json``."""


@dataclass(frozen=True)
class SmallShape:
    """Shape shared by the six models of one size."""

    size: str
    n_layers: int
    n_heads: int
    d_head: int

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.n_heads * self.d_head


SHAPES: dict[str, SmallShape] = {
    shape.size: shape
    for shape in (
        SmallShape("0.2m", n_layers=4, n_heads=4, d_head=16),
        SmallShape("0.5m", n_layers=6, n_heads=6, d_head=14),
        SmallShape("1.2m", n_layers=8, n_heads=8, d_head=14),
    )
}


@dataclass(frozen=True)
class SmallFamily:
    """Characteristics of a family. Its models differ only in shape."""

    architecture: str
    norm: str
    n_params: Mapping[str, int]
    """By size; tied weights count once. Stored, because counting must build all models (0.8 s at every load)."""
    gated: bool = True
    """Whether the MLP is a SwiGLU."""
    positional: str = "rope"
    parallel_residual: bool = False
    qk_norm: bool = False
    heads_per_kv_head: int | None = 1
    """Number of query heads that share a key/value head; ``None`` if all heads of a layer do."""
    sliding_window: int | None = None
    """Attention span of local layers, in tokens."""
    tied_embeddings: bool = False

    def n_kv_heads(self, shape: SmallShape) -> int:
        """Number of key/value heads per layer."""
        return 1 if self.heads_per_kv_head is None else shape.n_heads // self.heads_per_kv_head

    def d_mlp(self, shape: SmallShape) -> int:
        """Width of the MLP.

        A SwiGLU has three matrices; 8/3 d_model gives it as many parameters as a plain 4 d_model.
        """
        return round(8 / 3 * shape.d_model / 8) * 8 if self.gated else 4 * shape.d_model


SMALL_FAMILIES: dict[str, SmallFamily] = {
    "Pythia": SmallFamily(
        "GPTNeoXForCausalLM",
        norm="LayerNorm (affine), pre-norm",
        n_params={"0.2m": 462_208, "0.5m": 858_816, "1.2m": 1_674_848},
        gated=False,
        parallel_residual=True,
    ),
    "OpenLLaMA": SmallFamily(
        "LlamaForCausalLM",
        norm="RMSNorm, pre-norm",
        n_params={"0.2m": 457_280, "0.5m": 853_188, "1.2m": 1_657_712},
    ),
    "StarCoder": SmallFamily(
        "GPTBigCodeForCausalLM",
        norm="LayerNorm (affine), pre-norm",
        n_params={"0.2m": 310_272, "0.5m": 620_760, "1.2m": 1_275_456},
        gated=False,
        positional="learned absolute",
        heads_per_kv_head=None,
        tied_embeddings=True,
    ),
    "OLMo1": SmallFamily(
        "OlmoForCausalLM",
        norm="LayerNorm non-parametric, pre-norm",
        n_params={"0.2m": 456_704, "0.5m": 852_096, "1.2m": 1_655_808},
    ),
    "OLMo2": SmallFamily(
        "Olmo2ForCausalLM",
        norm="RMSNorm, post-norm in branch (norm_after)",
        n_params={"0.2m": 457_792, "0.5m": 854_196, "1.2m": 1_659_504},
        qk_norm=True,
    ),
    "OLMo3": SmallFamily(
        "Olmo3ForCausalLM",
        norm="RMSNorm, post-norm in branch",
        n_params={"0.2m": 441_280, "0.5m": 811_608, "1.2m": 1_558_704},
        qk_norm=True,
        heads_per_kv_head=2,
        sliding_window=16,  # short enough to matter within a window of 64 tokens
    ),
}


def small_model_name(family: str, size: str) -> str:
    """Registry name of a small model: ``small_model_name("Pythia", "0.2m") == "pythia-small-0.2m"``."""
    return f"{family.lower()}-small-{size}"


def small_config(family: str, size: str) -> PretrainedConfig:
    """Hugging Face configuration of one small model.

    Args:
        family: one of ``SMALL_FAMILIES``.
        size: one of ``SHAPES``: roughly the number of parameters without embeddings.

    Raises:
        ValueError: the family or size is unknown.
    """
    if size not in SHAPES:
        raise ValueError(f"unknown size {size!r} of a small family; choose from {list(SHAPES)}")
    if family not in SMALL_FAMILIES:
        raise ValueError(f"unknown small family {family!r}; choose from {list(SMALL_FAMILIES)}")
    import transformers

    shape, kept = SHAPES[size], SMALL_FAMILIES[family]
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    common: dict[str, Any] = dict(
        vocab_size=VOCAB_SIZE,
        hidden_size=shape.d_model,
        intermediate_size=kept.d_mlp(shape),
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        max_position_embeddings=N_CTX,
        tie_word_embeddings=kept.tied_embeddings,
        **tokens,
    )
    match family:
        case "Pythia":
            # Four rotary dimensions in every size: Pythia's 25 % of 16, and of 14 rounded to an even number.
            rotary = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 4 / shape.d_head}
            parallel = {"use_parallel_residual": kept.parallel_residual}
            return transformers.GPTNeoXConfig(**common, **parallel, rope_parameters=rotary)
        case "OpenLLaMA":
            return transformers.LlamaConfig(**common)
        case "StarCoder":
            return transformers.GPTBigCodeConfig(
                vocab_size=VOCAB_SIZE,
                n_positions=N_CTX,
                n_embd=shape.d_model,
                n_layer=shape.n_layers,
                n_head=shape.n_heads,
                n_inner=kept.d_mlp(shape),
                multi_query=True,
                tie_word_embeddings=kept.tied_embeddings,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                **tokens,
            )
        case "OLMo1":
            return transformers.OlmoConfig(**common)
        case "OLMo2":
            rotary = {"rope_type": "default", "rope_theta": 500_000.0}
            return transformers.Olmo2Config(**common, rope_parameters=rotary)
    return transformers.Olmo3Config(
        **common, num_key_value_heads=kept.n_kv_heads(shape), sliding_window=kept.sliding_window
    )
