"""Figures of comparison and attention targets: values and intervals are drawn, and so is what chance gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.comparisons.heads import _family_rows
from interp.data.windows import Windows
from interp.figures.attention import draw_attention_correlations, draw_attention_of_top
from interp.figures.comparison import draw_concentration, draw_overlap, draw_profiles, draw_similarity, draw_universal
from interp.internal.comparison.attention_targets import TARGETS, attention_targets
from interp.internal.comparison.overlap import overlap
from interp.internal.comparison.profiles import importance_profile
from interp.internal.comparison.similarity import N_POINTS, Representation, family_similarity

RNG = np.random.default_rng(0)
MAPS = {f"{family}-{n}": RNG.random((n, n)) for family in ("Pythia", "OLMo2") for n in (4, 6)}
FAMILY = {name: name.split("-")[0] for name in MAPS}


def test_overlap_figures() -> None:
    found = overlap(
        {"code": MAPS["Pythia-6"], "prose": RNG.random((6, 6)), "legal": RNG.random((6, 6))}, n_permutations=50
    )
    pairs = [found.pairs.assign(model=f"pythia-{size}", family="Pythia", size=size) for size in ("6b", "1b")]
    fig = draw_overlap(pd.concat([*pairs, pairs[0].assign(family="OLMo2")]))
    drawn = [y for trace in fig.data[2:] for y in trace.y]
    assert sorted(drawn) == sorted([*found.pairs["jaccard"]] * 3)
    assert fig.data[0].y[0] == pytest.approx(found.pairs["expected_all_heads"].iloc[0])
    # The order of the axis is that of its first trace, which must hold every model.
    assert [list(level) for level in fig.data[0].x] == [["Pythia", "Pythia", "OLMo2"], ["6b", "1b", "6b"]]
    e = found.universal_share
    table = pd.DataFrame(
        [{"model": "pythia", "family": "Pythia", "size": "6b", "value": e.value, "low": e.low, "high": e.high}
         | {f"expected_{null}": value for null, value in found.universal_expected.items()}]
    )  # fmt: skip
    fig = draw_universal(table)
    assert fig.data[0].y[0] == e.value
    assert fig.data[0].error_y.array[0] == pytest.approx(e.high - e.value)


def test_similarity_figures() -> None:
    found = family_similarity(MAPS, FAMILY, n_permutations=20)
    fig = draw_similarity(found.to_frame(), pd.DataFrame(_family_rows(found)))
    assert list(fig.data[0].x) == [found.models[i] for i in found.order]
    at = {name: i for i, name in enumerate(fig.data[0].x)}
    one, other = found.models.index("Pythia-4"), found.models.index("OLMo2-6")
    assert fig.data[0].z[at["Pythia-4"]][at["OLMo2-6"]] == found.cosine[one, other]
    assert f"permutation p = {found.p_value:.3g}" in fig.layout.meta["caption"]
    assert f"within families {found.within.value:.3g} (no interval)" in fig.layout.meta["caption"]


@pytest.mark.parametrize("representation", ["depth", "sorted"])
def test_profile_figure(representation: Representation) -> None:
    tables = []
    for family in ("Pythia", "OLMo2"):
        for size in (4, 6):
            falls = RNG.random((size, size, 20))
            table = importance_profile(falls, np.arange(20), representation=representation, n_resamples=50)
            tables.append(table.assign(model=f"{family}-{size}", family=family, size=f"{size}m"))
    profiles = pd.concat(tables)
    fig = draw_profiles(profiles, representation)
    lines = [t for t in fig.data if t.name == "OLMo2"]
    assert [(t.xaxis, t.line.dash) for t in lines] == [("x2", "solid"), ("x2", "dot")]
    np.testing.assert_array_equal(lines[1].y, tables[3]["value"])
    # The panels say the family: the legend says the sizes alone.
    assert [t.name for t in fig.data if t.showlegend] == ["4m", "6m"]
    bands = [t for t in fig.data if not t.name and t.xaxis == "x2"]
    np.testing.assert_array_equal(bands[2].y, tables[3]["low"])
    np.testing.assert_array_equal(bands[3].y, tables[3]["high"])
    assert {shape.y0 for shape in fig.layout.shapes} == {1 / N_POINTS}
    assert "20 windows of 20 documents" in fig.layout.meta["caption"]


def test_concentration_figure() -> None:
    table = pd.DataFrame(
        [
            {"model": name, "family": family, "size": "1b", "value": 0.5, "low": 0.4, "high": 0.7, "n": n,
             "n_documents": 3}
            for name, family, n in (("a", "Pythia", 9), ("b", "OLMo2", 8))
        ]
    )  # fmt: skip
    fig = draw_concentration(table)
    assert [list(level) for level in fig.data[1].x] == [["OLMo2"], ["1b"]]
    assert fig.data[0].error_y.array[0] == pytest.approx(0.2)
    assert "8 to 9 windows of 3 documents" in fig.layout.meta["caption"]


def test_attention_figures(models: dict[str, TransformerBridge], windows: Windows) -> None:
    found = attention_targets(models["OLMo1"], windows)
    importance = RNG.random((4, 4))
    table = found.top_against_rest(importance)
    uniform = dict(zip(TARGETS, np.nanmean(found.uniform, axis=1), strict=True))
    fig = draw_attention_of_top(table.assign(uniform=table["target"].map(uniform)), title="t")
    top = table[(table["heads"] == "top") & (table["target"] != "entropy")]
    np.testing.assert_array_equal(next(t for t in fig.data if t.name == "top heads").y, top["value"])
    assert list(fig.data[-1].y) == [uniform[t] for t in TARGETS]
    correlations = found.correlation(importance, n_resamples=50).assign(model="m", family="OLMo1", size="1b")
    fig = draw_attention_correlations(correlations)
    assert "same layer" in fig.layout.title.text
    assert len(fig.data[0].y) == 5
