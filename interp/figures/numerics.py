"""Figure of numerics: changes with the number format and the batch size, by model."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import points
from interp.figures.marks import reference
from interp.figures.style import apply_style

_SHARES = {"flip_rate": "M = 1 flips", "other_text": "a different token", "near_ties": "a near tie"}


def draw_numerics(table: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Shares of windows whose flag flips, whose text differs, and that have a near tie, with 95 % intervals, by model.

    Args:
        table: ``Numerics.to_frame`` with the columns ``model`` and ``reference`` (name of the reference setting).
        caption: what the figure shows.
    """
    shares = table.assign(share=table["share"].map(_SHARES))
    shares["batches of"] = "batches of " + shares["batch_size"].astype(str)
    fig = points(shares, by="model", colour="dtype", symbol="batches of", panel="share", lying=True)
    reference(fig, 0.0, lying=True)
    fig.update_xaxes(tickformat=".0%", rangemode="tozero").update_xaxes(tickformat=".1%", col=1)
    return apply_style(
        fig,
        title="Number format and batch size",
        x="share of windows",
        y="",
        key=f"Compared with {table['reference'].iloc[0]}. Bars: 95 % intervals by document",
        caption=caption,
        intervals=table,
    )
