"""Figure of depth: how far recitation goes on past the continuation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.rates import band, colours_of
from interp.figures.style import apply_style


def draw_depth(summary: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Share of memorized windows recited at least so many tokens further, with 95 % bands.

    Args:
        summary: what ``depth_summary`` returns, by ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what is seen.
    """
    known = summary[summary["value"].notna()]
    panels, lines = list(known[panel].unique()), list(known[line].unique())
    colours = colours_of([str(name) for name in lines])
    fig = make_subplots(rows=1, cols=max(1, len(panels)), shared_yaxes=True, subplot_titles=[str(p) for p in panels])
    for column, name in enumerate(panels, start=1):
        for label in lines:
            rows = known[(known[panel] == name) & (known[line] == label)].sort_values("at")
            shown = any(trace.name == str(label) for trace in fig.data)
            for trace in band(rows, x="at", colour=colours[str(label)], name=str(label)):
                if shown:
                    trace.showlegend = False
                fig.add_trace(trace, row=1, col=column)
    fig.update_yaxes(range=[0, 1.02])
    apply_style(
        fig,
        title="Recitation beyond the continuation",
        x="tokens beyond the continuation",
        caption=caption,
        intervals=known,
    )
    return fig.update_yaxes(title_text="share still exact (memorized windows)", col=1)
