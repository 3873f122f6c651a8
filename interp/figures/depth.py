"""Figure of depth: how many tokens a model reproduces beyond the continuation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines
from interp.figures.style import apply_style


def draw_depth(summary: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Share of memorized windows with at least each depth, with 95 % bands.

    Args:
        summary: result of ``depth_summary``, by ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what the figure shows.
    """
    fig = lines(summary, x="at", colour=line, panel=panel).update_yaxes(range=[0, 1.02])
    return apply_style(
        fig,
        title="Memorization beyond the continuation",
        x="tokens beyond the continuation",
        y="share of memorized windows still correct",
        key="Bands: 95 % intervals by document",
        caption=caption,
        intervals=summary[summary["value"].notna()],
    )
