"""Figures of predicting memorization: AUC by set of factors, and calibration."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style
from interp.statistical.prediction import Prediction


def draw_auc(results: Mapping[str, Prediction], *, caption: str = "") -> go.Figure:
    """AUC of all factors, each alone, all but each, and shuffled outcomes, with 95 % intervals; the line is chance.

    Args:
        results: predictions by name, of a model usually.
        caption: what is seen.
    """
    colours = colours_of(list(results))
    fig = go.Figure()
    for name, result in results.items():
        frame = result.to_frame()
        fig.add_scatter(
            x=frame["value"],
            y=frame["factors"],
            error_x=error_bars(frame),
            mode="markers",
            marker={"size": 8, "color": colours[name]},
            offsetgroup=name,
            name=name,
        )
    fig.add_vline(x=0.5, line={"color": REFERENCE_COLOUR, "dash": "dash"})
    fig.update_layout(scattermode="group", scattergap=0.3, height=max(420, 26 * 10 * (1 + len(results) // 4)))
    fig.update_yaxes(autorange="reversed")
    return apply_style(
        fig,
        title="What predicts that a window is memorized",
        x="AUC on documents not learned from (0.5: chance)",
        y="",
        caption=caption,
    )


def draw_reliability(results: Mapping[str, Prediction], *, caption: str = "") -> go.Figure:
    """Observed rate against mean predicted probability, with 95 % intervals; on the diagonal a model is calibrated."""
    colours = colours_of(list(results))
    fig = go.Figure(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": REFERENCE_COLOUR, "dash": "dash"},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    for name, result in results.items():
        frame = result.reliability.to_frame()
        fig.add_scatter(
            x=frame["predicted"],
            y=frame["value"],
            error_y=error_bars(frame),
            mode="markers",
            marker={"size": 7, "color": colours[name]},
            name=name,
        )
    return apply_style(
        fig,
        title="Is the prediction calibrated?",
        x="predicted probability of M = 1 (mean of a tenth of the windows)",
        y="observed rate of M = 1",
        caption=caption,
    )
