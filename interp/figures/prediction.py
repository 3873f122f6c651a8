"""Figures of predicting memorization: AUC by set of factors, and calibration."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import points
from interp.figures.marks import add_curve, add_points, panels, reference
from interp.figures.style import REFERENCE_COLOUR, apply_style, colours_of


def draw_auc(table: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """AUC of all factors, each alone, all but each, and shuffled outcomes, with 95 % intervals and the chance level.

    Args:
        table: ``Prediction.to_frame`` with the columns ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what the figure shows.
    """
    fig = points(table, by="factors", colour=line, panel=panel, lying=True)
    reference(fig, 0.5, lying=True, dash="dash")
    return apply_style(
        fig,
        title="What predicts memorization",
        x="AUC on held-out documents",
        y="",
        key="Bars: 95 % intervals by document. Dashed: chance, 0.5",
        caption=caption,
        intervals=table,
    )


def draw_reliability(table: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Observed rate against mean predicted probability, with 95 % intervals. A calibrated model is on the diagonal.

    Args:
        table: ``Prediction.reliability.to_frame`` with the columns ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what the figure shows.
    """
    names, colours = list(table[panel].unique()), colours_of(table[line].astype(str))
    fig, places = panels([str(name) for name in names], shared_yaxes=True)
    for at, name in zip(places, names, strict=True):
        add_curve(fig, [0.0, 1.0], [0.0, 1.0], name="calibrated", colour=REFERENCE_COLOUR, dash="dash", at=at)
        for label, rows in table[table[panel] == name].groupby(line, sort=False):
            add_points(fig, rows, rows["predicted"], name=str(label), colour=colours[str(label)], at=at)
    return apply_style(
        fig,
        title="Is the prediction calibrated?",
        x="mean predicted probability of M = 1",
        y="observed rate of M = 1",
        key="Each point: a tenth of the windows. Bars: 95 % intervals by document. Dashed: calibrated",
        caption=caption,
        intervals=table,
    )
