"""Figures of layer decoding: every value and interval of the table is drawn, and the floor is in view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.figures.lens import draw_decided, draw_layer_by_position, draw_layers
from interp.internal.lens.layer_decoding import QUANTITIES, LayerDecoding
from interp.internal.lens.logit_lens import logit_lens

GROUPS = {"memorized": np.arange(12) < 6, "unmemorized": np.arange(12) >= 6}


@pytest.fixture(scope="module")
def decodings(models: dict[str, TransformerBridge], windows: Windows) -> dict[str, LayerDecoding]:
    return {name: logit_lens(models[name], windows, after_attention=True) for name in ("Pythia", "OLMo2")}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_value_is_drawn(decodings: dict[str, LayerDecoding], quantity: str) -> None:
    curves = pd.concat([d.curves(quantity, groups=GROUPS).assign(model=name) for name, d in decodings.items()])
    fig = draw_layers(curves, quantity, d_vocab=2048)
    drawn = {(t.legendgroup, t.xaxis): t for t in fig.data if t.name}
    assert len(drawn) == 4
    measured = curves[(curves["model"] == "Pythia") & (curves["group"] == "memorized")].dropna(subset="value")
    np.testing.assert_array_equal(drawn["memorized", "x"].y, measured["value"])
    assert len(drawn["memorized", "x"].y) == 5, "points that parallel blocks do not have are not drawn"
    assert len(drawn["memorized", "x2"].y) == 9
    bands = [t for t in fig.data if t.legendgroup == "memorized" and t.xaxis == "x" and not t.name]
    np.testing.assert_array_equal(bands[0].y, measured["low"])
    np.testing.assert_array_equal(bands[1].y, measured["high"])
    assert "6 windows of 3 documents" in fig.layout.meta["caption"]


def test_floor_in_view(decodings: dict[str, LayerDecoding]) -> None:
    fig = draw_layers(decodings["OLMo2"].curves("probability"), "probability", d_vocab=2048)
    assert fig.layout.shapes[0].y0 == 1 / 2048
    assert isinstance(fig, go.Figure)
    assert fig.layout.yaxis.title.text == "mean probability"


def test_rank_at_random() -> None:
    """Three tokens: the geometric mean of 1, 2, 3 is the cube root of 6."""
    curves = pd.DataFrame(
        {"group": ["a"], "depth": [0.0], "value": 2.0, "low": 1.0, "high": 3.0, "n": 1, "n_documents": 1}
    )
    fig = draw_layers(curves, "rank", d_vocab=3)
    assert fig.layout.shapes[0].y0 == pytest.approx(6 ** (1 / 3))


def test_decided(decodings: dict[str, LayerDecoding]) -> None:
    holding = decodings["OLMo2"].first_layer(0.5).holding(GROUPS)
    fig = draw_decided(holding, threshold=0.5)
    assert "share of tokens without p > 0.5" in fig.layout.meta["caption"]
    assert {t.name for t in fig.data if t.name} == {"memorized", "unmemorized"}


def test_layer_by_position(decodings: dict[str, LayerDecoding]) -> None:
    decoding = decodings["Pythia"]
    fig = draw_layer_by_position(
        decoding.curves_by_position("probability", groups=GROUPS), "probability", group="memorized"
    )
    heatmap = fig.data[0]
    assert len(heatmap.z) == 5 * 32, "points that parallel blocks do not have are not drawn"
    cells = {(x, y): z for x, y, z in zip(heatmap.x, heatmap.y, heatmap.z, strict=True)}
    np.testing.assert_allclose(cells[7, 4], decoding.probability[-1, :6, 7].mean(), rtol=1e-5)


def test_two_lenses_in_one_panel(decodings: dict[str, LayerDecoding]) -> None:
    """A colour a group and a dash a lens; each line has its own values."""
    plain, tuned = (d.curves("probability", groups=GROUPS) for d in decodings.values())
    both = pd.concat([plain.assign(lens="plain", model="m"), tuned.assign(lens="tuned", model="m")])
    fig = draw_layers(both, "probability", d_vocab=2048)
    first, second = (t for t in fig.data if t.name == "memorized")
    np.testing.assert_array_equal(second.y, tuned[tuned["group"] == "memorized"]["value"])
    assert (first.line.dash, second.line.dash) == ("solid", "dot")
    assert first.line.color == second.line.color
    # The legend has an entry a group and an entry a lens.
    assert [t.name for t in fig.data if t.showlegend] == [*GROUPS, "plain", "tuned"]
    held = pd.concat([decodings["OLMo2"].first_layer().holding(GROUPS).assign(lens=kind) for kind in ("a", "b")])
    assert [t.name for t in draw_decided(held, threshold=0.5).data if t.showlegend] == [*GROUPS, "a", "b"]


def test_axis_titles_stand_outside_the_grid_only(decodings: dict[str, LayerDecoding]) -> None:
    """Five panels in rows of three: x titles under the lowest of each column, y titles left of each row."""
    curve = decodings["OLMo2"].curves("probability")
    fig = draw_layers(pd.concat([curve.assign(model=f"m{i}") for i in range(5)]), "probability", d_vocab=2048)
    assert [axis.title.text is not None for axis in fig.select_xaxes()] == [False, False, True, True, True, False]
    assert [axis.title.text is not None for axis in fig.select_yaxes()] == [True, False, False, True, False, False]
