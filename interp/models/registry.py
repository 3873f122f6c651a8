"""The models known by name: the 20 of the study, and the project's own 18 small ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.brief import Brief
from interp.errors import InterpError
from interp.planted.shapes import N_CTX, SHAPES, SMALL_FAMILIES, VOCAB_SIZE, WEIGHTS, small_model_name

if TYPE_CHECKING:
    pass


class UnknownModelError(InterpError, KeyError):
    """The registry does not have this name."""

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, name: str) -> UnknownModelError:
        """An error that lists the nearest names, in any case."""
        near = difflib.get_close_matches(name.lower(), registry(), n=4, cutoff=0.4)
        return cls(
            f"no model is called {name!r}. "
            + (f"Nearest: {', '.join(near)}. " if near else "")
            + "`interp models` lists all."
        )


@dataclass(frozen=True, repr=False)
class ModelSpec(Brief):
    """Facts on one model. Widths are in units, ``n_ctx`` in tokens."""

    name: str
    family: str
    small: bool
    """Whether it is one of the project's own models, whose training data is known exactly."""
    hub_id: str | None
    """Where the weights are published. ``None`` for the small models, which are shipped."""
    architecture: str
    n_params: int
    """Number of parameters. Tied weights count once."""
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
    """Public index of the training corpus; ``None`` if there is none."""
    infini_gram_exact: bool
    """Whether the index holds exactly the training corpus, not a superset or a sample."""

    def found(self) -> str:
        """Shape and source of the model, for ``repr``."""
        shape = f"{self.n_layers} layers of {self.n_heads} heads, context {self.n_ctx:,}"
        where = "shipped" if self.small else self.hub_id
        return f"{self.name} ({self.architecture}, {where}), {self.n_params:,} parameters, {shape}, on {self.corpus}"

    @property
    def size(self) -> str:
        """Size within its family, as in its name: ``160m``, ``1.2m``."""
        return self.name.rsplit("-", 1)[1]

    @property
    def source(self) -> str:
        """Hub id, or the directory of a shipped model."""
        return self.hub_id or str(WEIGHTS / self.name)


_REAL_MODELS = Path(__file__).parent / "real_models.json"


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
    for family, kept in SMALL_FAMILIES.items():
        for size, shape in SHAPES.items():
            yield ModelSpec(
                name=small_model_name(family, size),
                family=family,
                small=True,
                hub_id=None,
                architecture=kept.architecture,
                n_params=kept.n_params[size],
                n_layers=shape.n_layers,
                n_heads=shape.n_heads,
                n_kv_heads=kept.n_kv_heads(shape),
                d_model=shape.d_model,
                d_head=shape.d_head,
                d_mlp=kept.d_mlp(shape),
                d_vocab=VOCAB_SIZE,
                n_ctx=N_CTX,
                norm=kept.norm,
                positional=kept.positional,
                parallel_residual=kept.parallel_residual,
                qk_norm=kept.qk_norm,
                sliding_window=kept.sliding_window,
                tied_embeddings=kept.tied_embeddings,
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
    """The model of this name or hub id, or ``None``."""
    return next((spec for spec in registry().values() if name in (spec.name, spec.hub_id)), None)


def find(name: str) -> ModelSpec:
    """The model of that name or hub id.

    Raises:
        UnknownModelError: there is no such model. The message lists the nearest names.
    """
    spec = known(name)
    if spec is None:
        raise UnknownModelError.of(name)
    return spec


def small_models(family: str | None = None) -> list[ModelSpec]:
    """The small models, by family and rising size."""
    return [spec for spec in registry().values() if spec.small and family in (None, spec.family)]
