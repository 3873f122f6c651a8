"""Figure of depth: how far recitation goes on past the continuation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines
from interp.figures.style import apply_style


def draw_depth(summary: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Share of memorized windows recited at least so many tokens further, with 95 % bands.

    Args:
        summary: what ``depth_summary`` returns, by ``panel`` and ``line``.
        panel: column that panels are by.
        line: column that colours are by.
        caption: what is seen.
    """
    fig = lines(summary, x="at", colour=line, panel=panel).update_yaxes(range=[0, 1.02])
    return apply_style(
        fig,
        title="Recitation beyond the continuation",
        x="tokens beyond the continuation",
        y="share of memorized windows still exact",
        key="Bands: 95 % intervals by document",
        caption=caption,
        intervals=summary[summary["value"].notna()],
    )
