"""What a notebook shows of a result is a line or two, and two results can be compared."""

import copy
import importlib
import pkgutil
import re
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd
import pytest
import torch

import interp
from interp.brief import Brief
from interp.engine.take_apart import take_apart
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.screening import screen_heads
from interp.internal.comparison.attention_targets import attention_targets
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import substitute
from interp.models.registry import registry
from interp.statistical.compression import compress
from interp.statistical.domains import domains
from interp.statistical.dose_response import dose_response
from interp.statistical.prefix import prefix_log_prob
from interp.statistical.rates import rates
from interp.statistical.text_size import text_size

LONGEST = 400
HEAVY = re.compile(r"\b(ndarray|Tensor|DataFrame|Module|Figure|Windows|Provenance)\b")


def dataclasses_of_the_suite():
    for module in pkgutil.walk_packages(interp.__path__, "interp."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.name:
                yield value


def test_every_dataclass_that_holds_much_has_a_short_repr():
    """New ones are found by what their fields are said to be."""
    found = list(dataclasses_of_the_suite())
    public = [c for c in found if not c.__name__.startswith("_")]
    holding = [c for c in public if any(HEAVY.search(str(f.type)) for f in fields(c))]
    assert len(holding) > 40
    for kind in holding:
        assert kind.__repr__ is Brief.__repr__, kind


@pytest.mark.parametrize("kind", [c for c in dataclasses_of_the_suite() if issubclass(c, Brief)])
def test_no_field_can_flood_a_cell(kind, monkeypatch):
    """Whatever the fields hold, also where a class has no headline."""
    monkeypatch.setattr(kind, "found", Brief.found)
    heavy = [np.zeros((999, 99)), torch.zeros(999, 9), pd.DataFrame({"a": ["text"] * 999}), "x" * 5000, ["y"] * 5000]
    for value in [*heavy, dict.fromkeys(range(5000)), {"deep": heavy}, heavy, None, object(), 1.23456789]:
        blank = object.__new__(kind)
        for field in fields(kind):
            object.__setattr__(blank, field.name, value)
        assert len(repr(blank)) <= LONGEST
        assert repr(blank).count("\n") <= 1


@pytest.fixture
def results(models, windows):
    """What is measured of one model, and what is made of it."""
    model = models["OLMo2"]
    extraction = interp.extract(model, windows)
    scores = extraction.to_frame().assign(model="m", family="f", n_params=1, count=1)
    return {
        "windows": windows,
        "extraction": extraction,
        "ablation": ablate_heads(model, windows),
        "screening": screen_heads(model, windows),
        "attention": attention_targets(model, windows),
        "perturbation": perturb(model, windows),
        "decoding": interp.logit_lens(model, windows),
        "substitution": substitute(model, windows, n_draws=1),
        "compression": compress(model, windows),
        "prefix": prefix_log_prob(model, windows),
        "size": text_size(model.tokenizer, windows),
        "rates": rates(scores, by=("domain",)),
        "domains": domains(scores, structural=("code",)),
        "dose": dose_response(scores.assign(count=[1, 2] * 6), by=("model",)),
        "decoder": take_apart(model),
        "spec": registry()["pythia-160m"],
        "provenance": extraction.provenance,
    }


def test_results_say_what_they_are_in_two_lines(results):
    for name, result in results.items():
        said = repr(result)
        assert len(said) <= LONGEST, name
        assert said.count("\n") <= 1, name
        assert "array(" not in said, name
        assert "tensor(" not in said, name
    assert repr(results["windows"]).startswith(
        "Windows: 12 windows of 6 documents (random tokens), 32 + 32 tokens\n  holds tokens 12 x 64, window 12"
    )
    assert "memorized 0 % [0, " in repr(results["extraction"])
    assert "12 windows of 6 documents" in repr(results["ablation"])
    layer, head = results["ablation"].top(1)[0]
    assert f"most important heads: {layer}.{head} {results['ablation'].importance()[layer, head]:+.3g}," in repr(
        results["ablation"]
    )
    assert "2 rates, 0 to 0" in repr(results["rates"])
    assert "EleutherAI/pythia-160m" in repr(results["spec"])


def test_comparing_results_does_not_raise(results):
    """Equal are those that are one object; of facts alone, those that are the same."""
    for name, result in results.items():
        assert (result == copy.copy(result)) is (name in {"provenance", "spec"}), name
