"""Figure of direct logit attribution: the share of each part of the model in the true token's logit."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from interp.figures.marks import bars, hover
from interp.figures.style import GROUP_COLOURS, REFERENCE_COLOUR, apply_style

_SHOWN = 20
"""Number of parts that are drawn. The others are summed."""


def draw_attribution(table: pd.DataFrame, *, title: str, caption: str = "") -> go.Figure:
    """The largest shares of the true token's logit by part, with their intervals, and the sum of all others.

    Args:
        table: ``LogitAttribution.to_frame`` of one model.
        title: title of the figure.
        caption: what the figure shows.
    """
    parts, logit = table[table["part"] != "logit"], table.loc[table["part"] == "logit", "value"].item()
    order = parts["value"].abs().sort_values(ascending=False).index
    drawn, others = parts.loc[order[:_SHOWN]], parts.loc[order[_SHOWN:]]
    labels = [_label(*part) for part in drawn[["part", "layer", "head"]].itertuples(index=False)]
    fig = go.Figure(
        go.Bar(
            x=drawn["value"], y=labels, orientation="h", marker={"color": GROUP_COLOURS["memorized"]},
            error_x=bars(drawn), customdata=hover(drawn), hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    if len(others):
        rest, marker = f"{len(others)} others", {"color": REFERENCE_COLOUR}
        fig.add_bar(x=[others["value"].sum()], y=[rest], orientation="h", marker=marker)
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(height=140 + 22 * (len(labels) + 1), showlegend=False)
    return apply_style(
        fig,
        title=title,
        x="share of the true token's logit",
        y="",
        key=f"The shares sum to the mean logit, {logit:.3g}. Direct paths only. Bars: 95 % intervals by document",
        caption=caption,
        intervals=table,
    )


def _label(part: str, layer: Any, head: Any) -> str:
    name = part.replace("_", " ")
    if pd.isna(layer):
        return name
    return f"{name} {layer}" if pd.isna(head) else f"{name} {layer}.{head}"
