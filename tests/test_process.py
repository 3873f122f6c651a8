"""What a notebook did before it changes no measurement, and no measurement changes the notebook.

Every public measurement of a model, in every state that a process or a model can be in: the result is that of a new
process, or it is refused; afterwards the state is as it was before.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import write_checkpoint
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPTBigCodeConfig, GPTNeoXConfig, LlamaConfig, Olmo2Config, Olmo3Config, OlmoConfig

from interp.data.windows import Windows
from interp.internal.ablation import ablate_heads
from interp.internal.ablation_reference import ablate_heads_plainly
from interp.internal.attention_targets import attention_targets
from interp.internal.attribution_patching import estimate_heads
from interp.internal.cumulative import cumulative_ablation
from interp.internal.joint import ablate_sets
from interp.internal.joint_substitution import substitute_sets
from interp.internal.lens import logit_lens
from interp.internal.logit_attribution import logit_attribution
from interp.internal.noise import perturb
from interp.internal.screening import screen_heads
from interp.internal.substitution import substitute
from interp.internal.tuned_lens import train_tuned_lens, tuned_lens
from interp.models.hooks import named_modules
from interp.models.loading import load_model
from interp.models.restart import residual_before, run_from
from interp.models.small import SMALL_FAMILIES
from interp.statistical.compression import compress
from interp.statistical.depth import depth, split_further
from interp.statistical.extraction import extract
from interp.statistical.flags import memorized_flags
from interp.statistical.prefix import prefix_log_prob

Measure = Callable[[TransformerBridge, Windows], Mapping[str, Any]]


def _others() -> Windows:
    ids = torch.randint(0, 256, (4, 12), generator=torch.Generator().manual_seed(5), device="cpu")
    return Windows.from_tokens(ids, prefix_len=6, document=["a", "a", "b", "b"])


def _depth(model: TransformerBridge, windows: Windows) -> Any:
    return depth(model, *split_further(windows, prefix_len=6, continuation_len=3))


def _restart(model: TransformerBridge, windows: Windows) -> dict[str, torch.Tensor]:
    return {"logits": run_from(model, 1, residual_before(model, 1, windows.tokens))}


HEADS = [(0, 1), (1, 0)]
MEASUREMENTS: dict[str, Callable[[TransformerBridge, Windows], Any]] = {
    "extract": extract,
    "extract without log-probabilities": lambda m, w: extract(m, w, log_prob=False),
    "memorized_flags": lambda m, w: next(memorized_flags(m, [w])),
    "compress": compress,
    "depth": _depth,
    "prefix_log_prob": prefix_log_prob,
    "ablate_heads": lambda m, w: ablate_heads(m, w, method="resample", metrics=("log_prob", "rate", "score")),
    "ablate_heads_plainly": ablate_heads_plainly,
    "ablate_sets": lambda m, w: ablate_sets(m, w, [[], HEADS], metrics=("log_prob", "score")),
    "cumulative_ablation": lambda m, w: cumulative_ablation(m, w, HEADS, n_random=1),
    "estimate_heads": lambda m, w: estimate_heads(m, w, method="mean", reference=_others(), steps=2),
    "screen_heads": screen_heads,
    "logit_attribution": logit_attribution,
    "logit_lens": logit_lens,
    "train_tuned_lens": lambda m, w: train_tuned_lens(m, _others(), tested=w, n_steps=2),
    "tuned_lens": lambda m, w: tuned_lens(m, w, train_tuned_lens(m, _others(), tested=w, n_steps=1)),
    "perturb": lambda m, w: perturb(m, w, alphas=(0.3,)),
    "substitute": lambda m, w: substitute(m, w, positions=[2], n_draws=2),
    "substitute_sets": lambda m, w: substitute_sets(m, w, {"some": [1, 3]}, n_draws=2),
    "attention_targets": attention_targets,
    "restart": _restart,
}
TAKEN_APART = {
    *("ablate_heads", "ablate_sets", "cumulative_ablation", "estimate_heads", "screen_heads"),
    *("logit_attribution", "restart"),
}
"""Measurements on a model that is taken apart, where no hook acts."""


def numbers(result: Any) -> dict[str, np.ndarray]:
    """All numbers of a result, by field, with those of results in it."""
    found = {}
    for name, value in (result if isinstance(result, dict) else vars(result)).items():
        if isinstance(value, torch.Tensor | np.ndarray | float) and name != "windows":
            found[name] = np.asarray(value)
        elif hasattr(value, "provenance"):
            found |= {f"{name}.{key}": inner for key, inner in numbers(value).items()}
    return found


def same(one: Any, other: Any, **tolerance: float) -> bool:
    a, b = numbers(one), numbers(other)
    assert a
    assert a.keys() == b.keys()
    return all(
        np.array_equal(a[k], b[k])
        if a[k].dtype == object
        else np.allclose(a[k], b[k], equal_nan=True, **(tolerance or {"rtol": 1e-5, "atol": 1e-5}))
        for k in a
    )


CONFIGS: dict[str, Callable[..., Any]] = {
    "Pythia": lambda **c: GPTNeoXConfig(**c, intermediate_size=32, attention_dropout=0.3, hidden_dropout=0.3),
    "OpenLLaMA": lambda **c: LlamaConfig(**c, intermediate_size=32, attention_dropout=0.3),
    "StarCoder": lambda **c: GPTBigCodeConfig(**c, resid_pdrop=0.3, embd_pdrop=0.3, attn_pdrop=0.3),
    "OLMo1": lambda **c: OlmoConfig(**c, intermediate_size=32, attention_dropout=0.3),
    "OLMo2": lambda **c: Olmo2Config(**c, intermediate_size=32, attention_dropout=0.3),
    "OLMo3": lambda **c: Olmo3Config(**c, intermediate_size=32, attention_dropout=0.3, sliding_window=4),
}
"""Models of two layers and two heads that would drop out a third of what they compute."""


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TransformerBridge]:
    shape = dict(
        vocab_size=2048, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16
    )
    root = tmp_path_factory.mktemp("dropping")
    return {
        family: load_model(write_checkpoint(config(**shape), root / family), device="cpu")
        for family, config in CONFIGS.items()
    }


class Clean:
    """Windows for each model, half of them memorized, and what each measurement gives in a new process."""

    def __init__(self, models: dict[str, TransformerBridge]) -> None:
        self.models, self.windows = models, {}
        self._results: dict[tuple[str, str], Any] = {}
        ids = torch.randint(0, 256, (4, 12), generator=torch.Generator().manual_seed(3))
        for family, model in models.items():
            mine = Windows.from_tokens(ids, prefix_len=6, document=["a", "a", "b", "b"])
            written = torch.from_numpy(extract(model, mine).generated)
            tokens = torch.cat([ids[:, :6], torch.where(torch.arange(4)[:, None] < 2, written, ids[:, 6:])], dim=1)
            self.windows[family] = Windows.from_tokens(tokens, prefix_len=6, document=["a", "a", "b", "b"])
            assert extract(model, self.windows[family]).memorized.sum() == 2

    def result(self, name: str, family: str) -> Any:
        if (name, family) not in self._results:
            self._results[name, family] = MEASUREMENTS[name](self.models[family], self.windows[family])
        return self._results[name, family]


@pytest.fixture(scope="module")
def clean(dropping: dict[str, TransformerBridge]) -> Clean:
    return Clean(dropping)


def state(model: TransformerBridge) -> dict[str, Any]:
    """All that a measurement must leave as it was."""
    hf, modules = model.original_model, list(named_modules(model).values())
    return {
        "training": [module.training for module in modules],
        "checkpointing": [getattr(module, "gradient_checkpointing", None) for module in modules],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in modules],
        "parameters": [(id(p), p.requires_grad, p.grad is None, p._version, p.dtype) for p in hf.parameters()],
        "config": hf.config.to_dict(),
        "generation": hf.generation_config.to_dict(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "precision": (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch generator": torch.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy generator": str(np.random.get_state()),
        "numpy": np.geterr(),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "bars": transformers.logging.is_progress_bar_enabled(),
    }


@contextmanager
def trained(model: TransformerBridge) -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(model.eval)
        yield model.train()


@contextmanager
def checkpointing(model: TransformerBridge) -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(model.eval)
        stack.callback(model.original_model.gradient_checkpointing_disable)
        model.original_model.gradient_checkpointing_enable()
        yield model.train()


@contextmanager
def put(what: Callable[[Any], object], value: Any, before: Any) -> Iterator[None]:
    what(value)
    try:
        yield
    finally:
        what(before)


@contextmanager
def no_cache(model: TransformerBridge) -> Iterator[None]:
    model.original_model.config.use_cache = False
    yield
    model.original_model.config.use_cache = True


STATES: dict[str, Callable[[TransformerBridge], Any]] = {
    "training": trained,
    "gradient checkpointing": checkpointing,
    "no gradients": lambda _: torch.no_grad(),
    "inference mode": lambda _: torch.inference_mode(),
    "autocast": lambda _: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": lambda _: put(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": lambda _: put(torch.set_default_device, "meta", None),
    "device context": lambda _: torch.device("meta"),
    "deterministic": lambda _: put(torch.use_deterministic_algorithms, True, False),
    "precision": lambda _: put(torch.set_float32_matmul_precision, "medium", "highest"),
    "frozen": lambda model: put(model.requires_grad_, False, True),
    "numpy raises": lambda _: np.errstate(all="raise"),
    "no cache": no_cache,
}


def check(name: str, family: str, clean: Clean, entered: Mapping[str, Callable[[TransformerBridge], Any]]) -> None:
    model, windows = clean.models[family], clean.windows[family]
    expected = clean.result(name, family)
    with ExitStack() as stack:
        for enter in entered.values():
            stack.enter_context(enter(model))
        before = state(model)
        found = MEASUREMENTS[name](model, windows)
        after = state(model)
    assert [key for key in before if before[key] != after[key]] == []
    assert same(found, expected)


@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("entered", STATES)
def test_each_state(entered: str, name: str, clean: Clean) -> None:
    """Each state on one family; the next test has all families."""
    families = list(CONFIGS)
    check(name, families[list(STATES).index(entered) % len(families)], clean, {entered: STATES[entered]})


@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_all_states_at_once(family: str, name: str, clean: Clean) -> None:
    check(name, family, clean, STATES)
