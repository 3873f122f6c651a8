"""Figures of ablation draw what the tables say, with intervals and a reference in view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.figures.ablation import draw_agreement, draw_cumulative, draw_estimate, draw_heads, draw_layers_ablated
from interp.figures.attribution import draw_attribution


def heads(model: str) -> pd.DataFrame:
    value = np.array([0.5, -0.25, 0.0, 0.1])
    which = pd.DataFrame({"model": model, "layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "metric": "log_prob"})
    which = which.assign(n=7, n_documents=[6, 6, 5, 6])
    exact = which.assign(by="ablation", value=value, low=value - 0.1, high=value + 0.2)
    guess = which.assign(by="gradient", value=value * 2, low=value * 2 - 0.1, high=value * 2 + 0.1)
    return pd.concat([exact, guess])


def test_head_maps_are_symmetric_and_each_over_its_own_largest() -> None:
    small = heads("b").assign(value=lambda t: t["value"] / 100)
    fig = draw_heads(pd.concat([heads("a"), small]))
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (-1, 1)
    for map_ in fig.data:
        np.testing.assert_allclose(map_.z, [1.0, -0.5, 0.0, 0.2])
    assert "1 = 0.5 nats per token" in fig.layout.annotations[0].text
    assert "1 = 0.005 nats per token" in fig.layout.annotations[1].text
    assert "+0.5 [0.4, 0.7] nats per token<br>7 windows of 6 documents" in fig.data[0].customdata[0]
    assert fig.layout.meta["caption"].endswith("Each interval rests on 7 windows of 5 to 6 documents.")


def test_cumulative_curve_shows_both_orders_with_bands() -> None:
    table = pd.DataFrame({"model": "a", "metric": "rate", "n_ablated": [0, 1], "n": 9, "n_documents": 4})
    for name in ("value", "low", "high", "random_mean", "random_min", "random_max"):
        table[name] = [1.0, 0.5]
    fig = draw_cumulative(table)
    assert {trace.name for trace in fig.data if trace.name} == {"most important first", "random order"}
    assert sum(trace.fill == "tonexty" for trace in fig.data) == 2
    assert "9 windows of 4 documents, fewer than 5 of which give no interval" in fig.layout.meta["caption"]


def test_estimate_against_exact_has_bars_and_equality() -> None:
    line, points = draw_estimate(heads("a")).data
    assert list(line.x) == list(line.y) == [-0.5, 1.0]
    assert list(points.error_x.array) == pytest.approx([0.2] * 4)
    assert list(points.error_y.arrayminus) == pytest.approx([0.1] * 4)


def test_agreement() -> None:
    """A row a pair; the models of a row stand beside one another, within it."""
    rows = [
        {"model": model, "one": "zero", "other": other, "statistic": "spearman", "value": value,
         "low": value - 0.3, "high": value + 0.2, "n": 5, "n_documents": 5}
        for model, values in (("a", (0.5, 0.1)), ("b", (0.4, 0.2)))
        for other, value in zip(("mean", "resample"), values, strict=True)
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(family=lambda t: t["model"], size="1b")
    fig = draw_agreement(table)
    assert list(fig.layout.yaxis.categoryarray) == ["zero / mean", "zero / resample"]
    first, second, *key = fig.data
    assert (list(first.x), list(second.x)) == ([0.5, 0.1], [0.4, 0.2])
    assert list(first.y) == list(second.y) == ["zero / mean", "zero / resample"]
    assert first.offsetgroup != second.offsetgroup
    assert [trace.name for trace in key] == ["a", "b", "1b"]
    for trace in (first, second):
        np.testing.assert_allclose(trace.error_x.arrayminus, 0.3)


def test_attribution_sums_to_the_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame(
        {
            "part": ["embedding", "head", "mlp", "bias", "logit"],
            "layer": pd.array([None, 2, 3, None, None], dtype="Int64"),
            "head": pd.array([None, 1, None, None, None], dtype="Int64"),
            "value": [0.5, 3.0, -1.0, 0.25, 2.75],
            "low": [0.4, 2.0, -1.5, 0.2, 2.5],
            "high": [0.6, 4.0, -0.5, 0.3, 3.0],
            "n": 5,
            "n_documents": 5,
        }
    )
    monkeypatch.setattr("interp.figures.attribution._SHOWN", 2)
    fig = draw_attribution(table, title="t")
    bars, others = fig.data
    assert [*bars.y, *others.y] == ["head 2.1", "mlp 3", "2 others"]
    assert sum([*bars.x, *others.x]) == pytest.approx(2.75)
    assert list(bars.error_x.array) == [1.0, 0.5]
    assert "2.75" in fig.layout.meta["caption"]


def test_layers_ablated_has_the_clean_model_in_view() -> None:
    rows = [
        {"model": "a", "group": group, "layer": layer, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 5,
         "n_documents": 4}
        for group, values in (("memorized", (3.0, 1.0)), ("unmemorized", (0.5, 0.2)))
        for layer, value in enumerate(values)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    fig = draw_layers_ablated(table.assign(quantity="fall"))
    line = next(t for t in fig.data if t.name == "memorized")
    assert (list(line.x), list(line.y)) == ([0, 1], [3.0, 1.0])
    assert fig.layout.shapes[0].y0 == 0.0
    assert draw_layers_ablated(table.assign(quantity="memorized")).layout.shapes[0].y0 == 1.0
    assert "memorized: 5 windows of 4 documents" in fig.layout.meta["caption"]
