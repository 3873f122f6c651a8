"""Marks, by values worked out by hand: where a bar ends, what is in the legend, which colour and dash a line has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from interp.figures.charts import head_maps, lines, points
from interp.figures.marks import add_curve, add_points, bars, hover, panels, reference
from interp.figures.style import FAMILY_COLOURS, GROUP_COLOURS, PALETTE, REFERENCE_COLOUR, apply_style, colours_of

TABLE = pd.DataFrame(
    {
        "model": ["a", "a", "b", "b"],
        "family": ["Pythia", "OLMo1", "Pythia", "OLMo1"],
        "value": [0.5, 0.25, 1.0, np.nan],
        "low": [0.25, 0.0, np.nan, np.nan],
        "high": [0.625, 0.5, np.nan, np.nan],
        "n": [8, 8, 4, 0],
        "n_documents": [6, 6, 2, 0],
    }
)


def test_a_bar_reaches_from_low_to_high_and_is_missing_without_an_interval() -> None:
    drawn = bars(TABLE)
    np.testing.assert_array_equal(drawn["array"], [0.125, 0.25, np.nan, np.nan])
    np.testing.assert_array_equal(drawn["arrayminus"], [0.25, 0.25, np.nan, np.nan])
    assert not drawn["symmetric"]


def test_hovering_says_the_interval_and_what_it_rests_on() -> None:
    said = hover(TABLE, "nats")
    assert said[0] == "0.5 [0.25, 0.625] nats<br>8 windows of 6 documents"
    assert said[2] == "1 (no interval) nats<br>4 windows of 2 documents, fewer than 5 of which give no interval"
    assert hover(TABLE[["value", "low", "high"]])[1] == "0.25 [0, 0.5]"
    assert hover(TABLE, shown="+.1f")[0].startswith("+0.5 [0.2, 0.6]")


@pytest.mark.parametrize(
    ("n", "columns", "rows"), [(0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2), (7, 3, 3)]
)
def test_panels_stand_in_rows_of_three_or_two_by_two(n: int, columns: int, rows: int) -> None:
    fig, places = panels([f"p{i}" for i in range(n)], height=200)
    assert len(places) == max(1, n)
    assert max(place["col"] for place in places) == columns
    assert max(place["row"] for place in places) == rows
    assert len({tuple(place.values()) for place in places}) == len(places)
    assert fig.layout.height == 200 * rows + 120
    assert [a.text for a in fig.layout.annotations] == [f"p{i}" for i in range(n)]


def test_a_colour_belongs_to_a_family_or_group_and_no_two_names_share_one() -> None:
    assert colours_of(["OLMo1", "memorized"]) == {
        "OLMo1": FAMILY_COLOURS["OLMo1"],
        "memorized": GROUP_COLOURS["memorized"],
    }
    mixed = colours_of(["other", "memorized", "else", "other"])
    assert list(mixed.values()).count(GROUP_COLOURS["memorized"]) == 1
    assert len(set(mixed.values())) == 3
    many = colours_of([f"n{i}" for i in range(10)])
    assert list(many.values()) == [*PALETTE, *PALETTE[:2]]
    # Every family and every group at once: more names than colours.
    every = colours_of([*FAMILY_COLOURS, *GROUP_COLOURS, "other"])
    assert every["other"] in PALETTE


def test_points_stand_beside_one_another_and_are_named_once() -> None:
    fig = points(TABLE.assign(panel=["p", "p", "q", "q"]), by="model", colour="family", panel="panel", lying=True)
    assert [(t.name, t.xaxis, t.showlegend) for t in fig.data] == [
        ("Pythia", "x", True),
        ("OLMo1", "x", True),
        ("Pythia", "x2", False),
        ("OLMo1", "x2", False),
    ]
    assert [list(t.x) for t in fig.data[:2]] == [[0.5], [0.25]]
    assert [list(t.y) for t in fig.data[:2]] == [["a"], ["a"]]
    assert list(fig.data[0].error_x.arrayminus) == [0.25]
    assert fig.data[0].error_y.array is None
    assert fig.layout.scattermode == "group"
    assert {t.orientation for t in fig.data} == {"h"}
    assert fig.data[0].offsetgroup != fig.data[1].offsetgroup
    assert (fig.layout.yaxis.autorange, fig.layout.yaxis.categoryarray) == ("reversed", ("a", "b"))


def test_what_the_axis_or_the_panel_says_is_not_in_the_legend() -> None:
    fig = points(TABLE, by=["family", "model"], colour="family")
    assert [[list(level) for level in t.x] for t in fig.data] == [
        [["Pythia", "Pythia"], ["a", "b"]],
        [["OLMo1", "OLMo1"], ["a", "b"]],
    ]
    assert not any(t.showlegend for t in fig.data)
    curves = TABLE.assign(x=0.0)
    assert not any(t.showlegend for t in lines(curves, x="x", colour="family", panel="family").data)


def test_a_symbol_has_a_grey_entry_and_may_share_the_place_of_its_colour() -> None:
    for apart, places in ((True, 4), (False, 2)):
        fig = points(TABLE, by="model", colour="family", symbol="model", apart=apart)
        drawn, key = fig.data[:4], fig.data[4:]
        assert len({t.offsetgroup for t in drawn}) == places
        assert [t.marker.symbol for t in drawn] == ["circle", "circle", "diamond-open", "diamond-open"]
        assert [(t.name, t.marker.color) for t in key] == [
            ("Pythia", FAMILY_COLOURS["Pythia"]),
            ("OLMo1", FAMILY_COLOURS["OLMo1"]),
            ("a", REFERENCE_COLOUR),
            ("b", REFERENCE_COLOUR),
        ]
        assert [t.showlegend for t in fig.data] == [False] * 4 + [True] * 4


def test_a_line_has_its_band_and_leaves_out_what_was_not_measured() -> None:
    curves = pd.DataFrame(
        {
            "group": ["memorized"] * 3 + ["matched"] * 3,
            "at": [2, 0, 1] * 2,
            "value": [3.0, 1.0, np.nan, 0.5, 0.5, 0.5],
            "low": [2.0, 0.5, np.nan, 0.25, 0.25, 0.25],
            "high": [4.0, 2.0, np.nan, 0.75, 0.75, 0.75],
        }
    )
    low, high, line, *_, matched = lines(curves, x="at", colour="group").data
    assert [list(t.x) for t in (low, high, line)] == [[0, 2]] * 3
    assert [list(t.y) for t in (low, high, line)] == [[0.5, 2.0], [2.0, 4.0], [1.0, 3.0]]
    assert high.fill == "tonexty"
    assert high.fillcolor == "rgba(213,94,0,0.2)"
    assert {t.legendgroup for t in (low, high, line)} == {"memorized"}
    assert (line.line.dash, matched.line.dash) == ("solid", "dot"), "matched windows are among the unmemorized"
    stepped = lines(curves, x="at", colour="group", step=True).data
    assert {t.line.shape for t in stepped} == {"hv"}


def test_a_dash_has_a_grey_entry() -> None:
    curves = TABLE.dropna().assign(x=0.0)
    *_, key = lines(curves, x="x", colour="model", dash="family").data
    assert (key.name, key.line.dash, key.line.color) == ("OLMo1", "dot", REFERENCE_COLOUR)


def test_a_reference_crosses_every_panel_and_is_labelled_once() -> None:
    fig = lines(TABLE.assign(x=0.0), x="x", colour="family", panel="model")
    reference(fig, 0.25, "floor")
    assert [(s.y0, s.y1, s.xref) for s in fig.layout.shapes] == [(0.25, 0.25, "x domain"), (0.25, 0.25, "x2 domain")]
    (label,) = (a for a in fig.layout.annotations if a.text == "floor")
    assert (label.y, label.yref) == (0.25, "y")
    upright = reference(points(TABLE, by="model", colour="family", lying=True), 0.5, lying=True)
    assert [(s.x0, s.x1) for s in upright.layout.shapes] == [(0.5, 0.5)]
    logarithmic = reference(go.Figure(go.Scatter(y=[1, 9])).update_yaxes(type="log"), 100.0, "hundred")
    assert (logarithmic.layout.shapes[0].y0, logarithmic.layout.annotations[0].y) == (100.0, 2.0)


def test_a_fit_goes_with_its_points() -> None:
    fig = go.Figure()
    add_points(fig, TABLE[:2], TABLE["n"][:2], name="Pythia", colour="#000000")
    add_curve(fig, [1.0, 2.0], [3.0, 4.0], name="Pythia", colour="#000000", dash="dash")
    marks, curve = fig.data
    assert (marks.showlegend, curve.showlegend) == (True, False)
    assert marks.legendgroup == curve.legendgroup == "Pythia"
    assert (list(curve.y), curve.line.dash) == ([3.0, 4.0], "dash")


def test_a_head_has_a_cell_of_its_panel() -> None:
    heads = pd.DataFrame({"model": ["a", "a", "b"], "layer": [0, 1, 0], "head": [0, 0, 3], "value": [1.0, 2.0, 3.0]})
    fig = head_maps(heads, {"a": "A", "b": "B"}, panel="model", said=["x", "y", "z"], colorbar={})
    first, second = fig.data
    assert (list(first.x), list(first.y), list(first.z), list(first.customdata)) == ([0, 0], [0, 1], [1, 2], ["x", "y"])
    assert (list(second.z), list(second.customdata)) == ([3.0], ["z"])
    assert (fig.layout.xaxis2.range, fig.layout.yaxis.range) == ((-0.5, 3.5), (-0.5, 1.5))


def test_a_caption_is_sentences_in_one_order() -> None:
    fig = apply_style(go.Figure(), title="t", key="Bars: b.", caption="Seen", intervals=TABLE[:2])
    assert fig.layout.meta["caption"] == "Seen. Bars: b. Each interval rests on 8 windows of 6 documents."
    assert apply_style(go.Figure(), title="t").layout.meta is None
    groups = TABLE[:3].assign(group=["memorized", "memorized", "matched"])
    told = apply_style(go.Figure(), title="t", intervals=groups).layout.meta["caption"]
    assert told.startswith(
        "Each interval rests on: memorized: 8 windows of 6 documents; matched: 4 windows of 2 documents"
    )


def test_titles_of_panels_beside_one_another_are_broken() -> None:
    wide = "a long title of an axis with its unit (nats a token)"
    one, _ = panels(["p"])
    two, places = panels(["p", "q"])
    for place in places:
        two.add_scatter(y=[1], **place)
    assert apply_style(one.add_scatter(y=[1]), title="t", x=wide).layout.xaxis.title.text == wide
    assert apply_style(two, title="t", x=wide).layout.xaxis.title.text == wide.replace("its unit", "its<br>unit")
