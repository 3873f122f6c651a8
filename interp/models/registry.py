"""The models that the suite knows by name: the study's 20, and the project's own 18 small ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from interp.brief import Brief
from interp.errors import InterpError
from interp.planted.shapes import N_PARAMS, SHAPES, SMALL_FAMILIES, WEIGHTS, small_config, small_model_name


class UnknownModelError(InterpError, KeyError):
    """A name that the registry does not have."""

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, name: str) -> UnknownModelError:
        """With the nearest names, whatever their case."""
        near = difflib.get_close_matches(name.lower(), registry(), n=4, cutoff=0.4)
        return cls(
            f"no model is called {name!r}. "
            + (f"Nearest: {', '.join(near)}. " if near else "")
            + "`interp models` lists all."
        )


@dataclass(frozen=True, repr=False)
class ModelSpec(Brief):
    """Facts on one model. Widths in numbers of units, ``n_ctx`` in tokens."""

    name: str
    family: str
    small: bool
    """One of the project's own models, whose training data is known exactly."""
    hub_id: str | None
    """Where the weights are published; ``None`` for the small models, which are shipped."""
    architecture: str
    n_params: int
    """Tied weights counted once."""
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    n_ctx: int
    norm: str
    positional: str
    parallel_residual: bool
    qk_norm: bool
    sliding_window: int | None
    tied_embeddings: bool
    corpus: str
    bos_rule: str
    tokenizer_caveat: str
    infini_gram_index: str | None
    """Public index of the training corpus; ``None`` where there is none."""
    infini_gram_exact: bool
    """Whether that index holds exactly the training corpus, rather than a superset or a sample."""

    def found(self) -> str:
        shape = f"{self.n_layers} layers of {self.n_heads} heads, context {self.n_ctx:,}"
        where = "shipped" if self.small else self.hub_id
        return f"{self.name} ({self.architecture}, {where}), {self.n_params:,} parameters, {shape}, on {self.corpus}"

    @property
    def size(self) -> str:
        """Size within its family, as its name has it: ``160m``, ``1.2m``."""
        return self.name.rsplit("-", 1)[1]

    @property
    def source(self) -> str:
        """Hub id, or the directory of a shipped model."""
        return self.hub_id or str(WEIGHTS / self.name)


_REAL_MODELS = Path(__file__).parent / "real_models.json"

_SMALL_NORMS = {
    "Pythia": "LayerNorm (affine), pre-norm",
    "OpenLLaMA": "RMSNorm, pre-norm",
    "StarCoder": "LayerNorm (affine), pre-norm",
    "OLMo1": "LayerNorm non-parametric, pre-norm",
    "OLMo2": "RMSNorm, post-norm in branch (norm_after)",
    "OLMo3": "RMSNorm, post-norm in branch",
}


def _real_models() -> Iterator[ModelSpec]:
    for family in json.loads(_REAL_MODELS.read_text())["families"]:
        for model in family["models"]:
            facts: dict[str, Any] = dict(model)
            yield ModelSpec(
                family=family["family"],
                small=False,
                n_params=facts.pop("params"),
                d_vocab=facts.pop("vocab_size"),
                tied_embeddings=facts.pop("tie_word_embeddings"),
                corpus=family["corpus"],
                bos_rule=family["bos_rule"],
                tokenizer_caveat=family["tokenizer_caveat"],
                infini_gram_index=family["infini_gram_index"],
                infini_gram_exact=family["infini_gram_exact"],
                **facts,
            )


def _small_models() -> Iterator[ModelSpec]:
    for family in SMALL_FAMILIES:
        for size, shape in SHAPES.items():
            config = small_config(family, size)
            rotary = getattr(config, "rope_parameters", None)
            yield ModelSpec(
                name=small_model_name(family, size),
                family=family,
                small=True,
                hub_id=None,
                architecture={"gpt_neox": "GPTNeoX", "gpt_bigcode": "GPTBigCode"}.get(
                    config.model_type, config.model_type.capitalize()
                )
                + "ForCausalLM",
                n_params=N_PARAMS[family][size],
                n_layers=shape.n_layers,
                n_heads=shape.n_heads,
                n_kv_heads=getattr(config, "num_key_value_heads", shape.n_heads),
                d_model=shape.d_model,
                d_head=shape.d_head,
                d_mlp=getattr(config, "intermediate_size", None) or config.n_inner,
                d_vocab=config.vocab_size,
                n_ctx=config.max_position_embeddings,
                norm=_SMALL_NORMS[family],
                positional="learned absolute" if rotary is None else "rope",
                parallel_residual=getattr(config, "use_parallel_residual", False),
                qk_norm=family in {"OLMo2", "OLMo3"},
                sliding_window=getattr(config, "sliding_window", None),
                tied_embeddings=config.tie_word_embeddings,
                corpus="shipped corpus, windows shown 0 to 256 times",
                bos_rule="no BOS in training and none added",
                tokenizer_caveat="byte-level BPE, 2,048 entries, shared by all small models",
                infini_gram_index=None,
                infini_gram_exact=False,
            )


@cache
def registry() -> dict[str, ModelSpec]:
    """All models by name: the 20 of the study, then the 18 small ones."""
    return {spec.name: spec for spec in [*_real_models(), *_small_models()]}


def known(name: str) -> ModelSpec | None:
    """The model of that name or hub id, where the registry has it."""
    return next((spec for spec in registry().values() if name in (spec.name, spec.hub_id)), None)


def find(name: str) -> ModelSpec:
    """The model of that name or hub id.

    Raises:
        UnknownModelError: no such model; the message lists the nearest names.
    """
    spec = known(name)
    if spec is None:
        raise UnknownModelError.of(name)
    return spec


def small_models(family: str | None = None) -> list[ModelSpec]:
    """The small models, smallest first in each family."""
    return [spec for spec in registry().values() if spec.small and family in (None, spec.family)]


def models_table() -> pd.DataFrame:
    """The registry as a table, one row a model."""
    return pd.DataFrame([asdict(spec) for spec in registry().values()])
