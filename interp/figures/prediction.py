"""Figures of predicting memorization: AUC by set of factors, and calibration."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style


def draw_auc(table: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """AUC of all factors, each alone, all but each, and shuffled outcomes, with 95 % intervals; dashed is chance.

    Args:
        table: rows of ``Prediction.to_frame()`` with the columns ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what is seen.
    """
    panels, lines = list(table[panel].unique()), [str(name) for name in table[line].unique()]
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=[str(name) for name in panels])
    for place, label, rows in _parts(table, panel, line):
        fig.add_scatter(
            x=rows["value"],
            y=rows["factors"],
            error_x=error_bars(rows),
            mode="markers",
            orientation="h",  # lines of one set of factors stand below one another
            marker={"size": 6, "color": colours_of(lines)[label]},
            offsetgroup=label,
            legendgroup=label,
            name=label,
            showlegend=not any(trace.name == label for trace in fig.data),
            row=1,
            col=place,
        )
    fig.add_vline(x=0.5, line={"color": REFERENCE_COLOUR, "dash": "dash"})
    fig.update_layout(
        scattermode="group", scattergap=0.3, height=160 + table["factors"].nunique() * max(30, 10 * len(lines))
    )
    apply_style(fig, title="What predicts that a window is memorized", caption=caption, intervals=table).update_layout(
        margin_t=80
    )
    fig.update_xaxes(title_text="AUC on documents not learned from (0.5: chance)", col=(len(panels) + 1) // 2)
    return fig.update_yaxes(autorange="reversed")


def draw_reliability(table: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Observed rate against mean predicted probability, with 95 % intervals; on the diagonal a model is calibrated.

    Args:
        table: rows of ``Prediction.reliability.to_frame()`` with the columns ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what is seen.
    """
    panels, lines = list(table[panel].unique()), [str(name) for name in table[line].unique()]
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=[str(name) for name in panels])
    for place in range(1, len(panels) + 1):
        fig.add_scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": REFERENCE_COLOUR, "dash": "dash"},
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=place,
        )
    for place, label, rows in _parts(table, panel, line):
        fig.add_scatter(
            x=rows["predicted"],
            y=rows["value"],
            error_y=error_bars(rows),
            mode="markers",
            marker={"size": 7, "color": colours_of(lines)[label]},
            legendgroup=label,
            name=label,
            showlegend=not any(trace.name == label for trace in fig.data),
            row=1,
            col=place,
        )
    apply_style(fig, title="Is the prediction calibrated?", caption=caption, intervals=table)
    x = "predicted probability of M = 1 (mean of a tenth of the windows)"
    fig.update_xaxes(title_text=x, col=(len(panels) + 1) // 2)
    return fig.update_yaxes(title_text="observed rate of M = 1", col=1)


def _parts(table: pd.DataFrame, panel: str, line: str) -> list[tuple[int, str, pd.DataFrame]]:
    """Column of the panel, name of the line, and rows of each."""
    parts = []
    for place, name in enumerate(table[panel].unique(), start=1):
        inside = table[table[panel] == name]
        parts += [(place, str(label), inside[inside[line] == label]) for label in inside[line].unique()]
    return parts
