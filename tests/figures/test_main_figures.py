"""Every result has a view for notebooks, and its main figure where it has one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import interp
from interp.brief import Brief
from interp.figures.main import draw
from interp.figures.style import FigureError
from interp.internal.comparison.agreement import agreement
from interp.results import Result
from interp.statistical.depth import split_further
from interp.statistical.prefix import prefix_log_prob
from interp.statistical.text_size import text_size

Make = Callable[[Any, Any, Any], Result]

HEADS = [(0, 0), (1, 1)]
MADE: dict[str, Make] = {
    "Extraction": lambda m, w, e: e,
    "Compression": lambda m, w, e: interp.compress(m, w),
    "Depth": lambda m, w, e: interp.depth(m, *split_further(w, prefix_len=16, continuation_len=16)),
    "Numerics": lambda m, w, e: interp.numerics("pythia-small-0.2m", w, dtypes=("bfloat16",), batch_sizes=(8,)),
    "HeadAblation": lambda m, w, e: interp.ablate_heads(m, w, heads=HEADS),
    "HeadEstimate": lambda m, w, e: interp.estimate_heads(m, w),
    "Screening": lambda m, w, e: interp.screen_heads(m, w),
    "CumulativeAblation": lambda m, w, e: interp.cumulative_ablation(m, w, HEADS, n_random=1),
    "LayerDecoding": lambda m, w, e: interp.logit_lens(m, w),
    "FirstLayer": lambda m, w, e: interp.logit_lens(m, w).first_layer(0.5),
    "LogitAttribution": lambda m, w, e: interp.logit_attribution(m, w),
    "AttentionTargets": lambda m, w, e: interp.attention_targets(m, w),
    "Perturbation": lambda m, w, e: interp.perturb(m, w, alphas=(0.0, 0.3)),
    "Substitution": lambda m, w, e: interp.substitute(m, w, positions=[2, 31], n_draws=1),
}
WITHOUT: dict[str, Make] = {
    "Flags": lambda m, w, e: next(interp.memorized_flags(m, [w])),
    "SetAblation": lambda m, w, e: interp.ablate_sets(m, w, [[], HEADS]),
    "PrefixLogProb": lambda m, w, e: prefix_log_prob(m, w),
    "TextSize": lambda m, w, e: text_size(m.tokenizer, w),
    "Agreement": lambda m, w, e: agreement(*np.random.default_rng(0).random((2, 2, 3, len(w))), documents=w.document),
}
FROM_TABLES = {
    *("Rates", "Matching", "Prediction", "Frequency", "Domains", "Scaling", "DoseResponse"),
    *("Overlap", "FamilySimilarity"),
}
"""Made from tables of many models or from an index: their figures are tested where they are made."""


def results() -> set[str]:
    for module in pkgutil.walk_packages(interp.__path__, "interp."):
        if module.name.startswith(("interp.statistical", "interp.internal")):
            importlib.import_module(module.name)
    return {one.__name__ for one in Result.__subclasses__()}


@pytest.fixture(scope="module")
def measured() -> tuple[Any, Any, Any]:
    model = interp.load_model("pythia-small-0.2m", device="cpu")
    windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=4)
    return model, windows, interp.extract(model, windows)


def test_every_result_is_tried() -> None:
    assert results() == {*MADE, *WITHOUT, *FROM_TABLES}
    # Two results hold arrays: they are equal only where they are one.
    assert all(one.__eq__ is object.__eq__ for one in Result.__subclasses__())


@pytest.mark.parametrize("name", [*MADE, *WITHOUT])
def test_a_notebook_shows_its_facts_and_first_rows(measured: tuple[Any, Any, Any], name: str) -> None:
    result = (MADE | WITHOUT)[name](*measured)
    page, table = result._repr_html_(), result.to_frame()
    assert f"<p>{name}" in page
    assert page.count("<tr") <= 1 + min(len(table), 5)
    assert all(f"<th>{column}</th>" in page for column in table.columns)
    assert len(page) < 8_000
    assert "<script" not in page
    if name in WITHOUT:
        with pytest.raises(FigureError, match=f"a {name} has no figure of its own"):
            result.figure()
        return
    fig = result.figure(caption="what is seen")
    assert len(fig.data) > 0
    assert fig.layout.meta["caption"].startswith("what is seen")
    assert fig.to_json() == draw(result, caption="what is seen").to_json()


def test_hostile_names_are_text(measured: tuple[Any, Any, Any]) -> None:
    model, windows, _ = measured
    named = interp.Windows.from_tokens(
        windows.tokens,
        prefix_len=32,
        document=["<script>alert(1)</script>"] * len(windows),
        tokenizer=windows.tokenizer,
    )
    page = interp.extract(model, named)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_what_is_no_result_has_no_figure() -> None:
    assert not hasattr(Brief, "figure")
