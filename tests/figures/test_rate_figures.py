from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.figures.rates import draw_dose_response, draw_rates, draw_score_histogram
from interp.figures.scaling import draw_family_ratios, draw_scaling, draw_transitions
from interp.figures.style import FAMILY_COLOURS
from interp.statistical.dose_response import dose_response
from interp.statistical.rates import SCORE_BINS, rates, score_histogram
from interp.statistical.scaling import family_ratios, scaling, transitions


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for family, gain in (("Pythia", 1.0), ("OLMo2", 2.0)):
        for size, n_params in (("0.2m", 2e5), ("0.5m", 5e5), ("1.2m", 1.2e6)):
            count = np.tile([0.0, 1, 4, 16, 64], 20)
            chance = np.where(count > 0, 1 / (1 + 16 / (gain * np.maximum(count, 1))), 0.0)
            score = np.where(rng.random(100) < chance, 1.0, rng.integers(0, 31, size=100) / 32)
            parts.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "size": size,
                        "model": f"{family}-{size}",
                        "n_params": n_params,
                        "window": np.arange(100),
                        "document": [f"d{i // 2}" for i in range(100)],
                        "domain": ["code", "prose"] * 50,
                        "count": count,
                        "score": score,
                        "memorized": score == 1,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def test_dose_response_draws_every_rate_with_its_interval(scores: pd.DataFrame) -> None:
    result = dose_response(scores, by=("family", "size"), n_resamples=20)
    fig = draw_dose_response(
        result.rates.to_frame(), result.to_frame(), panel="size", line="family", caption="windows of two families"
    )
    points = [trace for trace in fig.data if trace.mode == "markers" and trace.error_y.array is not None]
    assert len(points) == 6
    frame = result.rates.to_frame()
    row = frame[(frame["family"] == "Pythia") & (frame["size"] == "0.2m") & (frame["count"] > 0)]
    drawn = next(t for t in points if t.name == "Pythia" and t.xaxis == "x")
    assert list(drawn.y) == row["value"].tolist()
    assert np.allclose(np.array(drawn.y) + np.array(drawn.error_y.array), row["high"])
    assert drawn.marker.color == FAMILY_COLOURS["Pythia"]
    assert fig.layout.meta["caption"].startswith("windows of two families. Bars: 95 %")
    assert fig.layout.meta["caption"].endswith("Each interval rests on 20 windows of 20 documents.")
    # Each family once in the legend.
    assert sorted(t.name for t in fig.data if t.showlegend) == ["OLMo2", "Pythia"]


def test_histogram_and_rates_draw_all_groups(scores: pd.DataFrame) -> None:
    fig = draw_score_histogram(score_histogram(scores, by=("model",)).to_frame(), panel="model")
    assert len(fig.data) == 6
    assert list(fig.data[0].x) == list(SCORE_BINS)
    fig = draw_rates(rates(scores, by=("domain", "family")).to_frame(), x="domain", line="family")
    assert [t.name for t in fig.data] == ["OLMo2", "Pythia"]


def test_scaling_draws_points_and_both_fits(scores: pd.DataFrame) -> None:
    result = scaling(scores, n_resamples=20)
    fig = draw_scaling(result.rates.to_frame(), result.to_frame(), floor=0.0)
    assert len(fig.data) == 6
    line = next(t for t in fig.data if t.mode == "lines" and t.line.dash == "solid" and t.legendgroup == "OLMo2")
    fit = result.to_frame().set_index(["family", "fit"]).loc[("OLMo2", "linear")]
    assert line.y[0] == pytest.approx(fit["intercept"] + fit["value"] * np.log10(2e5))


def test_ratios_leave_the_reference_out(scores: pd.DataFrame) -> None:
    fig = draw_family_ratios(family_ratios(scores, n_params=5e5, n_resamples=20), other="Pythia")
    assert list(fig.data[0].y) == ["OLMo2"]


def test_sankey_keeps_every_window(scores: pd.DataFrame) -> None:
    fig = draw_transitions(transitions(scores).to_frame(), family="Pythia")
    # Two steps of 100 windows.
    assert sum(fig.data[0].link.value) == 200
    # A ribbon's share rests on all windows of its bin, not on those that moved.
    moves = transitions(scores).to_frame()
    least, most = moves.loc[moves["family"] == "Pythia", "n"].agg(["min", "max"])
    assert f"{least} to {most} windows" in fig.layout.meta["caption"]
    with pytest.raises(ValueError, match="no moves of 'OLMo9'"):
        draw_transitions(transitions(scores).to_frame(), family="OLMo9")


def test_each_curve_is_that_of_its_own_group_and_meets_its_diamond(scores: pd.DataFrame) -> None:
    result = dose_response(scores, by=("family", "size"), n_resamples=20)
    fig = draw_dose_response(result.rates.to_frame(), result.to_frame(), panel="size", line="family")
    sizes = {"x": "0.2m", "x2": "0.5m", "x3": "1.2m"}
    diamonds = [trace for trace in fig.data if trace.marker.symbol == "diamond-open"]
    found = {(trace.name, sizes[trace.xaxis]): (trace.x[0], trace.y[0]) for trace in diamonds}
    halves = zip(result.groups.itertuples(index=False), result.half, strict=True)
    assert found == {(group.family, group.size): (half.value, 0.5) for group, half in halves}
    assert len(found) == 6
    for curve in (trace for trace in fig.data if trace.mode == "lines"):
        half, _ = found[curve.name, sizes[curve.xaxis]]
        assert np.interp(np.log(half), np.log(curve.x), curve.y) == pytest.approx(0.5, abs=0.01)
    entries = [trace.name for trace in fig.data if trace.showlegend is not False]
    assert sorted(entries) == ["OLMo2", "Pythia"]
    # The rate of windows never shown of each group, and one half across all panels.
    assert [shape.y0 for shape in fig.layout.shapes].count(0.5) == 3
    assert [shape.y0 for shape in fig.layout.shapes].count(0.0) == 6
