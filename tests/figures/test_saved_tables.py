"""Every figure is drawn from a table: one that was saved and read again gives the same figure."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import interp.figures
from interp.results import read_table, write_table
from interp.statistical.rates import SCORE_BINS

MODELS = {"model": ["a", "b"]}
GROUPS = {"group": ["memorized", "matched"]}
SIZES = {"size": ["1m", "2m"], "family": ["Pythia", "OLMo1"]}
CELLS = {"layer": [0, 1], "head": [0, 1]}


def rows(**columns: list[Any]) -> pd.DataFrame:
    """A row for every combination, with an estimate."""
    table = pd.DataFrame(list(product(*columns.values())), columns=list(columns))
    value = np.random.default_rng(0).uniform(0.2, 0.8, len(table))
    return table.assign(value=value, low=value - 0.1, high=value + 0.1, n=20, n_documents=9)


def modelled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=table["family"] + "-" + table["size"])


def attribution() -> pd.DataFrame:
    table = rows(part=["embedding", "head", "mlp", "logit"])
    layers = {"layer": [None, 0, 1, None], "head": [None, 1, None, None]}
    return table.assign(**{name: pd.array(values, dtype="Int64") for name, values in layers.items()})


def doses() -> tuple[pd.DataFrame, pd.DataFrame]:
    fits = rows(**SIZES).assign(intercept=-3.0, slope=1.5, value=4.0)
    return rows(**SIZES, count=[0, 1, 4, 16]), fits


def scaled() -> tuple[pd.DataFrame, pd.DataFrame]:
    rates = rows(family=["Pythia", "OLMo1"], n_params=[1e6, 1e7]).assign(model="m")
    return rates, rows(family=["Pythia", "OLMo1"], fit=["linear", "logistic"]).assign(intercept=0.1)


def similarities() -> tuple[pd.DataFrame, pd.DataFrame]:
    pairs = pd.DataFrame(
        {"one": ["a", "a", "b"], "other": ["b", "c", "c"], "cosine": [0.9, 0.5, 0.7], "compared": True}
    )
    return pairs, rows(pairs=["within", "across", "difference"]).assign(p=0.1)


def domains() -> pd.DataFrame:
    names = ["rate", "share", "share of windows", "structural share", "structural share of windows"]
    return rows(quantity=names, model=["a", "b"], domain=["code", "prose"])


def binned() -> pd.DataFrame:
    table = rows(model=["a", "b"], bin=list(SCORE_BINS))
    return table.assign(bin=pd.Categorical(table["bin"], categories=SCORE_BINS, ordered=True))


def moves() -> pd.DataFrame:
    table = rows(from_bin=["0", "1"], to_bin=["0", "1"]).assign(family="Pythia", from_model="s", to_model="l")
    return table.assign(n_windows=[5, 2, 1, 9], n=[7, 7, 10, 10])


def cumulative() -> pd.DataFrame:
    table = rows(**MODELS, metric=["rate", "log_prob"], n_ablated=[0, 1, 2])
    return table.assign(random_mean=0.9, random_min=0.8, random_max=1.0)


def overlaps() -> pd.DataFrame:
    table = modelled(rows(**SIZES, one=["code"], other=["prose"])).assign(jaccard=0.4, **NULLS)
    return table.assign(p_all_heads=0.01, p_within_layers=0.2)


def formats() -> pd.DataFrame:
    shares = ["flip_rate", "other_text", "near_ties"]
    table = rows(**MODELS, dtype=["float32", "float16"], batch_size=[64, 7], share=shares)
    return table.assign(reference="float32 in batches of 64")


def case(*tables: pd.DataFrame, **how: Any) -> tuple[tuple[pd.DataFrame, ...], dict[str, Any]]:
    return tables, how


NULLS = {"expected_all_heads": 0.1, "expected_within_layers": 0.2}
SWEPT = {"metric": ["log_prob"], "by": ["ablation", "gradient"]}
TARGETS = {"target": ["rare", "entropy"]}
ENDS = {"set": ["first 1", "last 1"], "n_positions": [1, 2]}
DEPTH = {"depth": [0.0, 1.0]}
SPLIT = {"panel": "size", "line": "family"}
CASES = {
    "draw_heads": case(rows(**MODELS, **CELLS, **SWEPT)),
    "draw_estimate": case(rows(**MODELS, **CELLS, **SWEPT)),
    "draw_cumulative": case(cumulative()),
    "draw_layers_ablated": case(rows(**MODELS, **GROUPS, layer=[0, 1]).assign(quantity="fall")),
    "draw_agreement": case(rows(**SIZES, one=["zero"], other=["mean"], statistic=["spearman", "jaccard"])),
    "draw_attribution": case(attribution(), title="t"),
    "draw_attention": case(rows(**TARGETS, **CELLS).assign(uniform=0.1), title="t"),
    "draw_attention_of_top": case(rows(**TARGETS, heads=["top", "other"]).assign(uniform=0.1), title="t"),
    "draw_attention_correlations": case(rows(**SIZES, **TARGETS, over=["all_heads", "within_layers"])),
    "draw_overlap": case(overlaps()),
    "draw_universal": case(rows(**SIZES).assign(**NULLS)),
    "draw_similarity": case(*similarities()),
    "draw_profiles": case(rows(**SIZES, at=[0.25, 0.75]), representation="depth"),
    "draw_concentration": case(rows(**SIZES)),
    "draw_ratio_distribution": case(rows(**SIZES, ratio=[0.0, 0.5, 1.0]), **SPLIT),
    "draw_compression": case(
        rows(**MODELS, domain=["code"], quantity=["ratio", "ratio_every_longer", "within_limit"]), line="domain"
    ),
    "draw_text_size": case(rows(compressor=["zlib", "lzma"], domain=["code"], **GROUPS)),
    "draw_depth": case(rows(**SIZES, at=[0, 8]), **SPLIT),
    "draw_domain_rates": case(domains()),
    "draw_domain_shares": case(domains()),
    "draw_structural_share": case(domains()),
    "draw_frequency": case(rows(**GROUPS, length=[1, 2], position=[-1, 0, 1])),
    "draw_boundary": case(rows(**GROUPS, length=[1, 2])),
    "draw_layers": case(rows(**MODELS, **GROUPS, **DEPTH, lens=["plain", "tuned"]), quantity="rank", d_vocab=9),
    "draw_layer_by_position": case(rows(**GROUPS, **DEPTH, position=[0, 1]), quantity="kl", group="matched"),
    "draw_decided": case(rows(**GROUPS, **DEPTH), threshold=0.5),
    "draw_recovery": case(rows(**GROUPS, **DEPTH, alpha=[0.0, 0.5]), quantity="cosine"),
    "draw_scores_by_noise": case(rows(**MODELS, **GROUPS, alpha=[0.0, 0.5], statistic=["rate"]), statistic="rate"),
    "draw_carried": case(rows(**MODELS, **GROUPS, position=[0, 1])),
    "draw_carried_together": case(rows(**MODELS, **GROUPS, **ENDS), quantity="fall", groups="memorized"),
    "draw_numerics": case(formats()),
    "draw_auc": case(rows(**SIZES, factors=["all", "count alone"]), **SPLIT),
    "draw_reliability": case(rows(**SIZES, predicted=[0.2, 0.8]), **SPLIT),
    "draw_dose_response": case(*doses(), **SPLIT),
    "draw_rates": case(rows(**SIZES), x="size", line="family"),
    "draw_score_histogram": case(binned(), panel="model"),
    "draw_scaling": case(*scaled(), floor=0.0),
    "draw_family_ratios": case(rows(family=["OLMo1"], other_family=["Pythia"], other_model=["p"]), other="Pythia"),
    "draw_transitions": case(moves(), family="Pythia"),
}
WITHOUT_INTERVALS = {"draw_overlap", "draw_similarity"}
ON_HOVER = {"draw_heads", "draw_attention", "draw_layer_by_position", "draw_transitions"}


def public() -> dict[str, Callable[..., Any]]:
    """What the modules of figures define and name without an underscore, and that gives a figure."""
    found = {}
    for module in pkgutil.iter_modules(interp.figures.__path__, "interp.figures."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            own = function.__module__ == module.name and not name.startswith("_")
            if own and inspect.signature(function).return_annotation == "go.Figure":
                found[name] = function
    return found


DRAWN = {name: function for name, function in public().items() if name.startswith("draw_")}


def test_every_figure_has_one_verb_and_is_tried_here() -> None:
    others = public().keys() - DRAWN.keys()
    assert others == {"apply_style", "captioned", "draw", "points", "lines", "head_maps", "reference"}, (
        "what figures are made of"
    )
    assert DRAWN.keys() == CASES.keys()
    for name, function in DRAWN.items():
        assert inspect.signature(function).parameters["caption"].default == "", name


@pytest.mark.parametrize("name", CASES)
def test_a_saved_table_gives_the_same_figure(name: str, tmp_path: Path) -> None:
    tables, how = CASES[name]
    saved = [write_table(table, tmp_path / f"{i}.parquet", []) for i, table in enumerate(tables)]
    fig = DRAWN[name](*tables, **how)
    assert DRAWN[name](*map(read_table, saved), **how).to_json() == fig.to_json()


@pytest.mark.parametrize("name", CASES)
def test_axes_are_titled_intervals_drawn_and_the_caption_is_the_callers(name: str) -> None:
    tables, how = CASES[name]
    fig: go.Figure = DRAWN[name](*tables, **how, caption="seen")
    caption = fig.layout.meta["caption"]
    assert caption.startswith("seen. ")
    assert (name in WITHOUT_INTERVALS) or "95 %" in caption
    if name != "draw_transitions":
        assert any(axis.title.text for axis in (*fig.select_xaxes(), *fig.select_yaxes()))
    bars = [
        t
        for t in fig.data
        if any(getattr(t, f"error_{axis}", None) and t[f"error_{axis}"].array is not None for axis in "xy")
    ]
    bands = [t for t in fig.data if getattr(t, "fill", None) == "tonexty"]
    assert bool(bars or bands) == (name not in WITHOUT_INTERVALS | ON_HOVER)
