"""Figures of corpus frequency: by position, with the boundary of the continuation marked, and its step."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.curves import panels
from interp.figures.rates import error_bars
from interp.figures.style import GROUP_COLOURS, REFERENCE_COLOUR, apply_style

_MEAN_LOG = "mean log10(1 + count)"


def draw_frequency(curves: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Mean log count of the n-gram that ends at each position, with 95 % bands: a panel for each n, a line a group.

    Args:
        curves: ``Frequency.curves``.
        caption: what is seen.
    """
    fig = panels(curves, x="position", by="n")
    fig.add_vline(x=-0.5, line={"color": REFERENCE_COLOUR, "dash": "dash", "width": 1})
    return apply_style(
        fig,
        title="Corpus frequency by position",
        x="position of the n-gram's last token (0: first of the continuation)",
        y=_MEAN_LOG,
        caption=caption,
        intervals=curves,
    )


def draw_boundary(steps: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """The step in mean log count from prefix to continuation by n and group, with 95 % intervals; 0 is no step."""
    fig = go.Figure()
    for group, rows in steps.groupby("group", sort=False):
        fig.add_scatter(
            x=rows["n"].astype(str),
            y=rows["value"],
            error_y=error_bars(rows),
            mode="markers",
            marker={"size": 8, "color": GROUP_COLOURS.get(str(group), REFERENCE_COLOUR)},
            offsetgroup=str(group),
            name=str(group),
        )
    fig.update_layout(scattermode="group", scattergap=0.5)
    fig.add_hline(y=0, line={"color": REFERENCE_COLOUR, "dash": "dash"})
    return apply_style(
        fig,
        title="Is the continuation more frequent than the prefix?",
        x="n of the n-grams",
        y=f"step of {_MEAN_LOG}",
        caption=caption,
        intervals=steps,
    )
