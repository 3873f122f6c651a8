"""Figures of head ablation: the map of heads, heads and layers together, the estimate, agreement of methods."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import head_maps, lines, points
from interp.figures.marks import add_curve, add_points, bars, hover, panels, reference
from interp.figures.style import (
    DIVERGING,
    FALL,
    GROUP_COLOURS,
    REFERENCE_COLOUR,
    STILL_MEMORIZED,
    FigureError,
    apply_style,
)
from interp.internal.ablation.choices import Metric

UNITS: dict[Metric, str] = {"log_prob": "nats per token", "rate": "share of windows", "score": "mean M"}
_COLOUR = GROUP_COLOURS["memorized"]


def draw_heads(table: pd.DataFrame, *, metric: Metric = "log_prob", title: str = "", caption: str = "") -> go.Figure:
    """Importance of every head, layer by head, with its interval on hover. Red heads carry the continuation.

    Each of several models has a panel, scaled to its largest importance: a common scale would leave most models white.

    Args:
        table: ``HeadAblation.to_frame``; several models stacked with a column ``model``.
        metric: the quantity whose fall is drawn.
        title: title of the figure.
        caption: what the figure shows.

    Raises:
        FigureError: the sweep did not measure this metric.
    """
    unit = UNITS[metric]
    rows = table[(table["metric"] == metric) & (table.get("by", "ablation") == "ablation")].reset_index(drop=True)
    if rows.empty:
        raise FigureError(f"{metric} was not measured; ablate with metrics=({metric!r},) to draw it")
    rows = rows if "model" in rows else rows.assign(model="")
    largest = {str(name): float(v.abs().max()) or 1.0 for name, v in rows.groupby("model", sort=False)["value"]}
    several = len(largest) > 1
    titles = {name: f"{name}<br><sup>1 = {v:.2g} {unit}</sup>" if several else name for name, v in largest.items()}
    # Symmetric around zero, so that white always means no effect.
    limit = 1.0 if several else next(iter(largest.values()))
    drawn = rows.assign(value=rows["value"] / rows["model"].map(largest)) if several else rows
    fig = head_maps(
        drawn,
        titles,
        panel="model",
        said=hover(rows, unit, "+.3g"),
        colorscale=DIVERGING,
        cmin=-limit,
        cmax=limit,
        colorbar={"title": {"text": "over the largest" if several else unit, "side": "right"}},
    )
    methods = f"Fall under {' and '.join(rows['method'].unique())} ablation. " if "method" in rows else ""
    empty = int(rows["value"].isna().sum())
    left_out = f" {empty} of {len(rows)} heads were not ablated and stay empty." if empty else ""
    apply_style(
        fig,
        title=title or f"Head importance ({unit})",
        x="head",
        y="layer",
        key=f"{methods}95 % intervals by document on hover.{left_out}",
        caption=caption,
        intervals=rows,
    )
    return fig.update_layout(margin_t=100, title={"y": 1, "yanchor": "top", "pad": {"t": 16}}) if several else fig


def draw_cumulative(table: pd.DataFrame, *, metric: Metric = "rate", caption: str = "") -> go.Figure:
    """What is left by number of ablated heads, most important first, beside random orders, with a panel per model.

    Args:
        table: ``CumulativeAblation.to_frame`` of each model, stacked with a column ``model``.
        metric: ``rate`` or ``log_prob``.
        caption: what the figure shows.
    """
    table = table[table["metric"] == metric]
    chance = table.assign(value=table["random_mean"], low=table["random_min"], high=table["random_max"])
    orders = {"most important first": table, "random order": chance}
    colours = dict(zip(orders, (_COLOUR, REFERENCE_COLOUR), strict=True))
    curves = pd.concat([curve.assign(order=order) for order, curve in orders.items()])
    return apply_style(
        lines(curves, x="n_ablated", colour="order", panel="model", colours=colours),
        title="Heads ablated together",
        x="heads ablated",
        y={"rate": STILL_MEMORIZED, "log_prob": "log-probability (nats per token)"}[metric],
        key="Bands: 95 % intervals by document for the most important first, lowest to highest for the random "
        "orders. The ranking was made on other windows",
        caption=caption,
        intervals=table,
    )


_LEFT = {"fall": (FALL, 0.0, "no effect"), "memorized": (STILL_MEMORIZED, 1.0, "all")}


def draw_layers_ablated(curves: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """What all heads of a layer carry together, by layer and group, with a panel per model.

    Args:
        curves: ``group_curves`` over layers of one ``quantity``, ``fall`` or ``memorized``, stacked with a column
            ``model``.
        caption: what the figure shows.
    """
    unit, level, label = _LEFT[str(curves["quantity"].iloc[0])]
    return apply_style(
        reference(lines(curves, x="layer", colour="group", panel="model"), level, label),
        title="All heads of a layer ablated",
        x="layer",
        y=unit,
        key="Bands: 95 % intervals by document",
        caption=caption,
        intervals=curves,
    )


def draw_estimate(table: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Each head's estimated against its exact importance, with a panel per model and the line of equality.

    Args:
        table: rows of ``HeadAblation.to_frame`` and of ``HeadEstimate.to_frame``, with a column ``by`` (``ablation``,
            ``gradient``) and a column ``model``.
        caption: what the figure shows.
    """
    names = list(table["model"].unique())
    fig, places = panels(names)
    for at, name in zip(places, names, strict=True):
        heads = table[(table["model"] == name) & (table["metric"] == "log_prob")]
        exact, guess = (
            heads[heads["by"] == by].sort_values(["layer", "head"], ignore_index=True)
            for by in ("ablation", "gradient")
        )
        both = pd.concat([exact["value"], guess["value"]])
        ends = [float(both.min()), float(both.max())]
        add_curve(fig, ends, ends, name="equality", colour=REFERENCE_COLOUR, dash="dot", at=at)
        add_points(
            fig, guess, exact["value"], name="heads", colour=_COLOUR, at=at, error_x=bars(exact), showlegend=False,
            text=[f"layer {layer}, head {head}" for layer, head in guess[["layer", "head"]].itertuples(index=False)],
            hovertemplate="%{text}<br>exact %{x:.3g}, estimate %{customdata}<extra></extra>",
        )  # fmt: skip
    return apply_style(
        fig,
        title="Gradient estimate against the exact sweep",
        x=f"exact {FALL}",
        y=f"estimated {FALL}",
        key="Bars: 95 % intervals by document. Dotted: equality",
        caption=caption,
        intervals=table,
    )


def draw_agreement(table: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Rank correlation of importance maps, with a row per pair of methods and a point per model.

    Args:
        table: columns ``family``, ``size``, ``one``, ``other``, ``statistic`` (``spearman`` is drawn) and those of an
            estimate.
        caption: what the figure shows.
    """
    rows = table[table["statistic"] == "spearman"]
    rows = rows.assign(pair=rows["one"] + " / " + rows["other"])
    fig = reference(points(rows, by="pair", colour="family", symbol="size", lying=True), 0.0, lying=True)
    return apply_style(
        fig,
        title="Agreement of ablation methods on heads",
        x="Spearman correlation over heads",
        y="",
        key="Bars: 95 % intervals by document. Dotted: no relation",
        caption=caption,
        intervals=table,
    )
