"""What a notebook did before it changes no measurement, and no measurement changes the notebook.

Every public measurement of a model, in every state that a process or a model can be in: the result is that of a new
process, or it is refused; afterwards the state is as it was before.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import write_checkpoint
from restart import residual_before, run_from
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPTBigCodeConfig, GPTNeoXConfig, LlamaConfig, Olmo2Config, Olmo3Config, OlmoConfig

from interp.data.windows import Windows
from interp.engine.take_apart import RestartError
from interp.errors import InterpError
from interp.internal.ablation.cumulative import cumulative_ablation
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.reference import ablate_heads_plainly
from interp.internal.ablation.replacement import Ablation
from interp.internal.ablation.screening import screen_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.comparison.attention_targets import attention_targets
from interp.internal.lens.logit_attribution import logit_attribution
from interp.internal.lens.logit_lens import logit_lens
from interp.internal.lens.tuned_lens import train_tuned_lens, tuned_lens
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import substitute, substitute_sets
from interp.models.hooks import attached_hooks, logits, named_modules
from interp.models.loading import load_model
from interp.planted.shapes import SMALL_FAMILIES
from interp.statistical.compression import compress
from interp.statistical.depth import depth, split_further
from interp.statistical.extraction import extract
from interp.statistical.flags import memorized_flags
from interp.statistical.prefix import prefix_log_prob

# Of transformers 5, which has another name for it; the old one is what notebooks say.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing")


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
    "ablate_heads": lambda m, w: ablate_heads(m, w, "resample", metrics=("log_prob", "rate", "score")),
    "ablate_heads_plainly": ablate_heads_plainly,
    "ablate_sets": lambda m, w: ablate_sets(m, w, [[], HEADS], metrics=("log_prob", "score")),
    "cumulative_ablation": lambda m, w: cumulative_ablation(m, w, HEADS, n_random=1),
    "estimate_heads": lambda m, w: estimate_heads(m, w, Ablation("mean", reference=_others()), steps=2),
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
ENGINES = ("extract", "ablate_heads", "estimate_heads", "perturb", "train_tuned_lens")
"""One measurement of each way of running a model."""
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
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    shape = dict(
        vocab_size=2048, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16
    )
    root = tmp_path_factory.mktemp("checkpoints")
    return {family: write_checkpoint(config(**shape), root / family) for family, config in CONFIGS.items()}


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
def clean(checkpoints: dict[str, Path]) -> Clean:
    return Clean({family: load_model(path, device="cpu") for family, path in checkpoints.items()})


def state(model: TransformerBridge) -> dict[str, Any]:
    """All that a measurement must leave as it was."""
    hf, modules = model.original_model, list(named_modules(model).values())
    return {
        "training": [module.training for module in modules],
        "checkpointing": [getattr(module, "gradient_checkpointing", None) for module in modules],
        # Those of the libraries come and go; a hook of the measurement's own would be one more here.
        "hooks": [(m.name, len(m._forward_hooks)) for m in modules if isinstance(m, HookPoint)],
        "attached": attached_hooks(model),
        "parameters": [(id(p), p.requires_grad, p.grad is None, p._version, p.dtype) for p in hf.parameters()],
        "config": hf.config.to_dict(),
        "generation": hf.generation_config.to_dict(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "precision": (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        # Not that of `random`, which beartype draws from in these tests.
        "torch generator": torch.get_rng_state().tolist(),
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


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("entered", STATES)
def test_each_state(entered: str, name: str, clean: Clean) -> None:
    """Each state on one family; the next test has all families."""
    families = list(CONFIGS)
    check(name, families[list(STATES).index(entered) % len(families)], clean, {entered: STATES[entered]})


@pytest.mark.parametrize(
    ("family", "name"),
    [(f, name) for f in SMALL_FAMILIES for name in (MEASUREMENTS if f in {"Pythia", "OLMo3"} else ENGINES)],
)
def test_all_states_at_once(family: str, name: str, clean: Clean) -> None:
    check(name, family, clean, STATES)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_hooks_of_the_user_act_or_are_refused(name: str, clean: Clean) -> None:
    """One rule: they are part of the model, and provenance names them; a model that is taken apart is refused."""
    model, windows = clean.models["OpenLLaMA"], clean.windows["OpenLLaMA"]
    expected = clean.result(name, "OpenLLaMA")
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: 3 * z)]):
        if name in TAKEN_APART:
            with pytest.raises(RestartError, match=r"is hooked at blocks\.0\.attn\.hook_z"):
                MEASUREMENTS[name](model, windows)
            return
        found = MEASUREMENTS[name](model, windows)
    assert found.provenance.settings["hooks"] == ["blocks.0.attn.hook_z"]
    assert expected.provenance.settings["hooks"] == []
    assert not same(found, expected)
    assert same(MEASUREMENTS[name](model, windows), expected)


def test_loading_in_all_states_at_once(checkpoints: dict[str, Path], clean: Clean) -> None:
    """The model, and windows made meanwhile, are those of a new process; all that can be left alone is."""
    old, windows = clean.models["OLMo2"], clean.windows["OLMo2"]
    process = [enter for name, enter in STATES.items() if name != "frozen"]
    with ExitStack() as stack:
        for enter in process:
            stack.enter_context(enter(old))
        before = state(old)
        model = load_model(checkpoints["OLMo2"], device="cpu")
        made = Windows.from_tokens(windows.tokens, prefix_len=6, document=windows.document)
        after = state(old)
    assert [key for key in before if before[key] != after[key]] == []
    assert [p.dtype for p in model.parameters()] == [p.dtype for p in old.parameters()]
    for name in ("estimate_heads", "extract"):
        assert same(MEASUREMENTS[name](model, made), clean.result(name, "OLMo2"))


class Lora(torch.nn.Module):
    """A linear layer with an adapter."""

    def __init__(self, base: torch.nn.Module) -> None:
        super().__init__()
        self.base = base
        generator = torch.Generator().manual_seed(0)
        self.down, self.up = (
            torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((16, 4), (4, 16))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + x @ self.down @ self.up


def lora(model: TransformerBridge) -> None:
    part = model.blocks[1].attn.o
    part.set_original_component(Lora(part.original_component).eval())


def edited(model: TransformerBridge) -> None:
    """Through ``.data``, which torch does not count; in the bridge's own copy where it has one (Pythia)."""
    model.blocks[0].attn.v.original_component.weight.data.mul_(1.5)


def shifted(model: TransformerBridge) -> None:
    """A wrapper that does more than what it wraps."""
    model.blocks[1].mlp.hook_out.forward = lambda x: x.flip(-1)


def another_span(model: TransformerBridge) -> None:
    model.original_model.config.sliding_window = 2


CHANGES: dict[str, tuple[tuple[str, ...], Callable[[TransformerBridge], Any]]] = {
    "adapter": (("OpenLLaMA",), lora),
    "compatibility mode": (("Pythia", "OpenLLaMA"), lambda m: m.enable_compatibility_mode(disable_warnings=True)),
    "edited weights": (("Pythia",), edited),
    "a wrapper that does more": (("StarCoder",), shifted),
    "half precision": (("OLMo1",), lambda m: m.to(torch.bfloat16)),
    "half precision below the bridge": (("OLMo2",), lambda m: m.original_model.to(torch.bfloat16)),
    "double precision": (("OLMo3",), lambda m: m.to(torch.float64)),
    "another attention": (("OLMo2",), lambda m: m.original_model.set_attn_implementation("sdpa")),
    "another span": (("OLMo3",), another_span),
    "hook": (("OLMo3",), lambda m: m.add_hook("blocks.0.hook_mlp_out", lambda x, hook: 2 * x)),
    "hook at the end": (("OLMo1",), lambda m: m.add_hook("unembed.hook_out", lambda x, hook: 2 * x)),
    "permanent hook": (("OLMo2",), lambda m: m.add_perma_hook("blocks.0.attn.hook_z", lambda z, hook: 2 * z)),
    "torch hook": (("StarCoder",), lambda m: m.blocks[0].mlp.register_forward_hook(lambda *a: 2 * a[-1])),
    "hook on the whole": (("OpenLLaMA",), lambda m: m.original_model.register_forward_hook(doubled)),
    "hook at a position": (("Pythia",), lambda m: m.add_hook("blocks.0.attn.hook_z", at_a_position)),
}
"""What is done to a model between two measurements, and the families on which it is tried."""
HOOKED = {name for name in CHANGES if "hook" in name}


def doubled(module: torch.nn.Module, args: Any, out: Any) -> Any:
    out.logits = 2 * out.logits
    return out


def at_a_position(z: torch.Tensor, hook: object) -> torch.Tensor:
    z = z.clone()
    z[:, 7:, 0] = 0
    return z


def truth(model: TransformerBridge, windows: Windows) -> torch.Tensor:
    """Mean log-probability of a continuation token, from the whole model as it is."""
    with torch.no_grad():
        out = logits(model, windows.tokens)[:, 5:-1].double().log_softmax(-1)
    return out.gather(-1, windows.continuation[..., None])[..., 0].mean(dim=1)


LOG_PROBS: dict[str, Callable[[Any], Any]] = {
    "extract": lambda r: r.log_prob.mean(axis=1),
    "ablate_heads": lambda r: r.log_prob_clean,
    "ablate_heads_plainly": lambda r: r.log_prob_clean,
    "ablate_sets": lambda r: r.log_prob[0],
    "logit_lens": lambda r: r.log_prob[-1].mean(axis=1),
    "perturb without noise": lambda r: r.log_prob[0],
    "substitute": lambda r: r.log_prob,
}
"""Where a result has the log-probabilities of the model as it is."""
MEASUREMENTS_WITHOUT_NOISE = MEASUREMENTS | {"perturb without noise": lambda m, w: perturb(m, w, alphas=(0.0,))}


@pytest.mark.parametrize(("change", "family"), [(c, f) for c, (families, _) in CHANGES.items() for f in families])
def test_changed_model_is_measured_as_it_is(
    change: str, family: str, checkpoints: dict[str, Path], clean: Clean
) -> None:
    """A model is measured and then changed: each measurement gives what the whole model now gives, or refuses."""
    model, windows = load_model(checkpoints[family], device="cpu"), clean.windows[family]
    unchanged = truth(model, windows)
    for name in ("extract", "ablate_heads", "logit_lens"):
        MEASUREMENTS[name](model, windows)
    CHANGES[change][1](model)
    before, measured = state(model), 0
    for name, read in LOG_PROBS.items():
        try:
            result = MEASUREMENTS_WITHOUT_NOISE[name](model, windows)
        except InterpError:
            continue
        measured += 1
        expected = truth(model, windows)
        np.testing.assert_allclose(read(result), expected, atol=1e-4, err_msg=name)
        if change not in {"double precision", "another attention", "compatibility mode"}:
            assert (expected - unchanged).abs().max() > 1e-2
        assert result.provenance.settings["hooks"] == attached_hooks(model)
        assert bool(attached_hooks(model)) == (change in HOOKED)
    after = state(model)
    assert [key for key in before if before[key] != after[key]] == []
    assert (measured == 0) == ("half" in change), "only another number format is refused by all"
