"""Figures of attention targets: the most important heads against the others, and correlations with importance."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import head_maps, points
from interp.figures.marks import add_control, bars, hover, reference
from interp.figures.style import GROUP_COLOURS, apply_style
from interp.internal.comparison.attention_targets import ENTROPY

_COLOURS = {"top": GROUP_COLOURS["memorized"], "other": GROUP_COLOURS["unmemorized"]}


def draw_attention_of_top(table: pd.DataFrame, *, title: str, caption: str = "") -> go.Figure:
    """Attention of the top heads to each target, beside that of the others and evenly spread attention.

    Args:
        table: result of ``AttentionTargets.top_against_rest`` for one model, with ``uniform``, the attention to each
            target when spread evenly over all positions up to the current one.
        title: title of the figure.
        caption: what the figure shows.
    """
    shares = table[table["target"] != ENTROPY]
    fig = go.Figure()
    for heads, rows in shares.groupby("heads", sort=False):
        fig.add_bar(
            x=rows["target"], y=rows["value"], name=f"{heads} heads", marker_color=_COLOURS[str(heads)],
            error_y=bars(rows), customdata=hover(rows), hovertemplate="%{customdata}",
        )  # fmt: skip
    evenly = shares.drop_duplicates("target")
    add_control(fig, evenly["target"], evenly["uniform"], name="spread evenly")
    fig.update_traces(marker_size=30, selector={"type": "scatter"}).update_layout(barmode="group")
    entropy = table[table["target"] == ENTROPY].set_index("heads")["value"]
    return apply_style(
        fig,
        title=title,
        x="target",
        y="share of attention",
        key=f"Entropy: top heads {entropy['top']:.2f}, others {entropy['other']:.2f} nats. Bars: 95 % intervals by "
        "document",
        caption=caption,
        intervals=shares,
    )


def draw_attention(table: pd.DataFrame, *, title: str, caption: str = "") -> go.Figure:
    """Attention of every head of a model to each target, layer by head, with its interval on hover.

    Args:
        table: result of ``AttentionTargets.to_frame``.
        title: title of the figure.
        caption: what the figure shows.
    """
    shares = table[table["target"] != ENTROPY]
    said = [f"{text}<br>evenly {even:.3g}" for text, even in zip(hover(shares), shares["uniform"], strict=True)]
    fig = head_maps(
        shares,
        {target: target for target in shares["target"].unique()},
        panel="target",
        said=said,
        colorscale="Blues",
        cmin=0,
        cmax=float(shares["value"].max()),
        colorbar={"title": {"text": "share of attention", "side": "right"}},
    )
    return apply_style(
        fig,
        title=title,
        x="head",
        y="layer",
        key="Mean attention over the positions that predict the continuation; 95 % intervals by document on hover",
        caption=caption,
        intervals=shares,
    )


def draw_attention_correlations(
    correlations: pd.DataFrame, *, over: Literal["all_heads", "within_layers"] = "within_layers", caption: str = ""
) -> go.Figure:
    """Spearman correlation of head importance with attention to each target: a colour per family, a symbol per size.

    Args:
        correlations: results of ``AttentionTargets.correlation``, stacked with columns ``family`` and ``size``.
        over: ``all_heads`` or ``within_layers``.
        caption: what the figure shows.
    """
    chosen = correlations[correlations["over"] == over]
    fig = points(chosen, by="target", colour="family", symbol="size")
    reference(fig, 0.0).update_yaxes(range=[-1.05, 1.05])
    heads = {"all_heads": "over all heads", "within_layers": "of heads of the same layer"}[over]
    return apply_style(
        fig,
        title=f"Importance and attention, {heads}",
        x="target",
        y="Spearman correlation",
        key="Bars: 95 % bootstrap intervals over heads. Dotted: no relation",
        caption=caption,
    )
