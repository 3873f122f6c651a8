"""Provenance says what was measured: equal where nothing differs, another where anything does, in every measurement."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from conftest import write_checkpoint
from transformer_lens.model_bridge import TransformerBridge
from transformers import LlamaConfig

import interp
from interp.data.windows import WindowError, Windows
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
from interp.models.loading import load_model
from interp.models.measuring import StateError
from interp.results import Provenance, read_provenance, write_table
from interp.statistical.compression import compress
from interp.statistical.depth import depth
from interp.statistical.extraction import extract
from interp.statistical.flags import memorized_flags
from interp.statistical.prefix import prefix_log_prob

Measure = Callable[[TransformerBridge, Windows], Any]

OTHERS = Windows.from_tokens(torch.randint(0, 2048, (24, 10), generator=torch.Generator().manual_seed(9)), prefix_len=5)
HEADS = [(0, 1), (1, 1)]


def trained(model: TransformerBridge, windows: Windows) -> Any:
    return train_tuned_lens(model, OTHERS, tested=windows, n_steps=1)


def read_through(model: TransformerBridge, windows: Windows) -> Any:
    return tuned_lens(model, windows, trained(model, windows))


def further(model: TransformerBridge, windows: Windows) -> Any:
    return depth(model, windows, windows.tokens[:, :3])


def flags(model: TransformerBridge, windows: Windows) -> Any:
    (found,) = memorized_flags(model, [windows])
    return found


MEASURES: dict[str, Measure] = {
    "ablate_heads": partial(ablate_heads, heads=HEADS),
    "ablate_heads_plainly": ablate_heads_plainly,
    "ablate_sets": partial(ablate_sets, sets=[HEADS]),
    "attention_targets": attention_targets,
    "compress": compress,
    "cumulative_ablation": partial(cumulative_ablation, ranking=HEADS, n_random=1),
    "depth": further,
    "estimate_heads": estimate_heads,
    "extract": extract,
    "logit_attribution": logit_attribution,
    "logit_lens": logit_lens,
    "memorized_flags": flags,
    "perturb": partial(perturb, alphas=(0.1,)),
    "prefix_log_prob": prefix_log_prob,
    "screen_heads": screen_heads,
    "substitute": partial(substitute, positions=[1], n_draws=1),
    "substitute_sets": partial(substitute_sets, sets={"first": [0]}, n_draws=1),
    "train_tuned_lens": lambda model, windows: train_tuned_lens(model, windows, tested=OTHERS, n_steps=1),
    "tuned_lens": read_through,
}


def measuring_functions() -> Iterator[str]:
    """Public functions of the two levels that take a model and windows, and give a result."""
    for module in pkgutil.walk_packages(interp.__path__, "interp."):
        if module.name.startswith(("interp.statistical.", "interp.internal.")):
            for name, value in vars(__import__(module.name, fromlist=["_"])).items():
                if inspect.isfunction(value) and value.__module__ == module.name and not name.startswith("_"):
                    result = str(inspect.signature(value).return_annotation)
                    parameters = list(inspect.signature(value).parameters)
                    if parameters[:1] == ["model"] and {"windows", "stream", "training"} & set(parameters):
                        yield f"{name} -> {result}"


def test_no_measurement_is_left_out() -> None:
    """What takes a model and windows is in the list, or helps one that is."""
    helpers = {"decode_points", "exact_runs", "head_ablation", "refuse_not_finite", "sweep_heads", "texts_at_once"}
    helpers |= {"check_lens", "check_windows", "windows_at_once", "write_flags"}
    found = {entry.split(" -> ")[0] for entry in measuring_functions()}
    assert found - helpers == set(MEASURES)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As little as has layers, heads and a tokenizer: here nothing is asked of the numbers."""
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "hidden_size": 8}
    config = LlamaConfig(vocab_size=2048, intermediate_size=8, max_position_embeddings=32, **shape)
    return write_checkpoint(config, tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def own(tiny: Path) -> TransformerBridge:
    return load_model(tiny, device="cpu")


@pytest.fixture
def few() -> Windows:
    ids = torch.randint(0, 2048, (4, 10), generator=torch.Generator().manual_seed(3))
    return Windows.from_tokens(ids, prefix_len=5, document=["a", "a", "b", "b"], tokenizer=None)


def weights(model: TransformerBridge, windows: Windows) -> Windows:
    list(model.original_model.parameters())[3].data.view(-1)[0] += 1e-3
    return windows


def revision(model: TransformerBridge, windows: Windows) -> Windows:
    model.cfg.model_revision = "step1000"
    return windows


def tokenizer(model: TransformerBridge, windows: Windows) -> Windows:
    model.tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    return windows


def no_tokenizer(model: TransformerBridge, windows: Windows) -> Windows:
    model.tokenizer = None
    return windows


def text(model: TransformerBridge, windows: Windows) -> Windows:
    ids = windows.tokens.clone()
    ids[2, 8] = (ids[2, 8] + 1) % 2048
    return replace(windows, tokens=ids)


def text_in_place(model: TransformerBridge, windows: Windows) -> Windows:
    windows.tokens[2, 8] = (windows.tokens[2, 8] + 1) % 2048
    return windows


def documents(model: TransformerBridge, windows: Windows) -> Windows:
    return replace(windows, document=np.array(["a", "b", "b", "b"], dtype=object))


def window_ids(model: TransformerBridge, windows: Windows) -> Windows:
    return replace(windows, window=windows.window + 1)


def prefix(model: TransformerBridge, windows: Windows) -> Windows:
    return replace(windows, prefix_len=6)


CHANGES = [weights, revision, tokenizer, no_tokenizer, text, text_in_place, documents, window_ids, prefix]


def made(measure: Measure, model: TransformerBridge, windows: Windows) -> dict[str, Any]:
    return {**asdict(measure(model, windows).provenance), "time": ""}


@pytest.mark.parametrize("name", MEASURES)
def test_provenance_changes_with_whatever_changes_the_numbers(name: str, own: TransformerBridge, few: Windows) -> None:
    measure = MEASURES[name]
    before = made(measure, own, few)
    assert made(measure, own, few) == before
    seen = [before]
    for change in CHANGES:
        few = change(own, few)
        seen.append(made(measure, own, few))
        assert seen[-1] not in seen[:-1], change.__name__
    assert before["tokenizer"] != "no tokenizer" == seen[-1]["tokenizer"]
    assert before["measurement"] == name


@pytest.mark.parametrize("name", MEASURES)
def test_windows_of_another_tokenizer_are_refused_in_every_measurement(
    name: str, own: TransformerBridge, few: Windows
) -> None:
    foreign = replace(few, tokenizer="0123456789abcdef")
    with pytest.raises(WindowError, match="another tokenizer"):
        MEASURES[name](own, foreign)


def test_another_dtype_is_another_provenance_or_refused(tiny: Path, few: Windows) -> None:
    found = [
        extract(load_model(tiny, device="cpu", dtype=dtype), few).provenance
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert [p.dtype for p in found] == ["float32", "bfloat16"]
    assert found[0].weights != found[1].weights
    model = load_model(tiny, device="cpu")
    model.original_model.half()
    with pytest.raises(StateError):
        extract(model, few)


def test_what_else_is_measured_on_is_told_by_its_content(own: TransformerBridge, few: Windows) -> None:
    others = replace(OTHERS, source="other text")
    changed = replace(others, tokens=others.tokens.flip(0))
    cases: list[Callable[[Windows], Any]] = [
        lambda w: ablate_heads(own, few, Ablation("mean", reference=w), heads=HEADS),
        lambda w: estimate_heads(own, few, Ablation("resample", reference=w)),
        lambda w: attention_targets(own, few, corpus=w),
        lambda w: substitute(own, few, positions=[1], n_draws=1, corpus=w),
        lambda w: substitute_sets(own, few, {"first": [0]}, n_draws=1, corpus=w),
    ]
    for case in cases:
        one, other = (case(w).provenance for w in (others, changed))
        assert others.digest in str(one.settings)
        assert changed.digest in str(other.settings)


def test_settings_of_every_kind_are_told(own: TransformerBridge, few: Windows) -> None:
    pairs = [
        [ablate_heads(own, few, heads=heads) for heads in (HEADS, HEADS[:1])],
        [ablate_sets(own, few, [heads]) for heads in (HEADS, HEADS[:1])],
        [cumulative_ablation(own, few, heads, n_random=1) for heads in (HEADS, HEADS[::-1])],
        [depth(own, few, few.tokens[:, span]) for span in (slice(0, 3), slice(1, 4))],
        [tuned_lens(own, few, trained(own, w)) for w in (few, few)],
    ]
    same = [one.provenance.settings == other.provenance.settings for one, other in pairs]
    assert same == [False, False, False, False, True]


def test_a_lens_of_other_weights_is_refused(own: TransformerBridge, few: Windows) -> None:
    lens = trained(own, few)
    assert tuned_lens(own, few, lens).provenance.settings["lens"] == lens.digest
    moved = replace(lens, weight=lens.weight + 1e-3)
    assert tuned_lens(own, few, moved).provenance.settings["lens"] == moved.digest != lens.digest
    weights(own, few)
    with pytest.raises(ValueError, match="trained on other weights"):
        tuned_lens(own, few, lens)


def test_numbers_of_numpy_in_the_settings_do_not_lose_the_result(
    own: TransformerBridge, few: Windows, tmp_path: Path
) -> None:
    result = extract(own, few, batch_size=int(np.int64(2)))
    made = Provenance.of("extract", own, few, seed=np.int64(3), at=np.arange(2), path=Path("a"))
    write_table(result.to_frame(), tmp_path / "t.parquet", made)
    assert read_provenance(tmp_path / "t.parquet") == [made]
    assert made.settings == {"prefix_len": 5, "hooks": [], "seed": 3, "at": [0, 1], "path": "a"}


def test_tables_of_older_versions_are_read(own: TransformerBridge, few: Windows, tmp_path: Path) -> None:
    old = Provenance("extract", "m", "text", 4, {"prefix_len": 8}, "float32", "cpu")
    write_table(few.to_frame(), tmp_path / "old.parquet", old)
    (found,) = read_provenance(tmp_path / "old.parquet")
    assert (found.weights, found.windows_digest, found.model_revision) == ("", "", "")
    told = extract(own, few).provenance.differences(found)
    assert "weights (" in told
    assert "not none recorded)" in told
    assert extract(own, few).provenance.differences(extract(own, few).provenance) == ""
