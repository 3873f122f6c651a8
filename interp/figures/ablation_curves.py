"""Figures beside the head map: cumulative ablation, the estimate against the sweep, agreement, logit shares."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.curves import panels, reference, rests_on
from interp.figures.style import DIVERGING, GROUP_COLOURS, REFERENCE_COLOUR, apply_style, translucent
from interp.wording import interval

IMPORTANT, RANDOM = GROUP_COLOURS["memorized"], REFERENCE_COLOUR
_COLUMNS = 3


def _grid(n: int, titles: list[str], **options: object) -> tuple[go.Figure, list[dict[str, int]]]:
    """A figure of n panels and the place of each."""
    columns = min(n, _COLUMNS)
    rows = -(-n // _COLUMNS)
    fig = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.3 / rows, **options)
    fig.update_layout(height=300 * rows + 120)
    return fig, [{"row": i // _COLUMNS + 1, "col": i % _COLUMNS + 1} for i in range(n)]


def head_maps(table: pd.DataFrame, *, metric: str = "log_prob", unit: str = "nats a token") -> go.Figure:
    """Importance of every head, a panel a model; of several models over that of the model's largest, in units on hover.

    One scale for all would show the models that lose most and leave the others white.

    Args:
        table: ``HeadAblation.to_frame`` of each model, stacked with a column ``model``.
        metric: whose ``importance_<metric>`` is drawn.
        unit: of that metric.
    """
    column = f"importance_{metric}"
    largest = table.groupby("model", sort=False)[column].agg(lambda v: float(v.abs().max()))
    names = list(largest.index)
    several = len(names) > 1
    limit = 1.0 if several else float(largest.iloc[0]) or 1.0
    told = [f"{name}<br><sup>1 = {v:.2g} {unit}</sup>" if several else str(name) for name, v in largest.items()]
    fig, places = _grid(len(names), told)
    for name, at in zip(names, places, strict=True):
        heads = table[table["model"] == name]
        scale = (largest[name] or 1.0) if several else 1.0
        text = [
            f"{v:+.3g} {interval(low, high)} {unit}<br>{n} windows, {n_documents} documents"
            for v, low, high, n, n_documents in heads[
                [column, f"{column}_low", f"{column}_high", "n_windows", "n_documents"]
            ].itertuples(index=False)
        ]
        fig.add_trace(
            go.Heatmap(
                x=heads["head"], y=heads["layer"], z=heads[column] / scale, customdata=text,
                hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>", xgap=1, ygap=1,
                coloraxis="coloraxis",
            ),
            **at,
        )  # fmt: skip
    bar = {
        "title": "over the<br>largest" if several else unit.replace(" a ", "<br>a "),
        "thickness": 12,
        "len": 300,
        "lenmode": "pixels",
        "y": 1,
        "yanchor": "top",
    }
    fig.update_layout(coloraxis={"colorscale": DIVERGING, "cmin": -limit, "cmax": limit, "colorbar": bar})
    empty = int(table[column].isna().sum())
    caption = "Intervals on hover: 95 % by document." + (
        f" {empty} of {len(table)} heads were not ablated and stay empty." if empty else ""
    )
    apply_style(fig, title=f"Head importance ({metric})", x="head", y="layer", caption=caption, intervals=table)
    return fig.update_layout(margin_t=90, title={"y": 1, "yanchor": "top", "pad": {"t": 16}})


def cumulative_curve(
    table: pd.DataFrame, *, metric: str = "rate", unit: str = "share of windows with M = 1"
) -> go.Figure:
    """What is left by number of heads ablated, most important first, beside random orders, a panel a model.

    Args:
        table: ``CumulativeAblation.to_frame`` of each model, stacked with a column ``model``.
        metric: ``rate`` or ``log_prob``.
        unit: of that metric.
    """
    names = list(table["model"].unique())
    fig, places = _grid(len(names), names, shared_yaxes=True)
    for i, (name, at) in enumerate(zip(names, places, strict=True)):
        curve = table[table["model"] == name]
        lines = (
            ("most important first", IMPORTANT, metric, f"{metric}_low", f"{metric}_high"),
            ("random order", RANDOM, f"random_{metric}", f"random_{metric}_min", f"random_{metric}_max"),
        )
        for label, colour, value, low, high in lines:
            band = {"x": curve["n_ablated"], "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            band |= {"showlegend": False, "legendgroup": label}
            fig.add_trace(go.Scatter(y=curve[low], **band), **at)
            fig.add_trace(go.Scatter(y=curve[high], fill="tonexty", fillcolor=translucent(colour), **band), **at)
            fig.add_trace(
                go.Scatter(
                    x=curve["n_ablated"], y=curve[value], mode="lines+markers", name=label, legendgroup=label,
                    line={"color": colour, "width": 2}, marker={"size": 5}, showlegend=i == 0,
                    customdata=curve[[low, high]],
                    hovertemplate="%{x} heads: %{y:.3g} [%{customdata[0]:.3g}, %{customdata[1]:.3g}]",
                ),
                **at,
            )  # fmt: skip
    caption = (
        "Bands: 95 % by document where the most important go first; lowest to highest of the random orders. "
        "The ranking was made on other windows."
    )
    return apply_style(fig, title="Heads ablated together", x="heads ablated", y=unit, caption=caption, intervals=table)


_LEFT = {
    "fall": ("fall (nats a token)", 0.0, "no effect"),
    "recited": ("share of windows with M = 1", 1.0, "all"),
}


def layers_ablated(curves: pd.DataFrame, quantity: Literal["fall", "recited"]) -> go.Figure:
    """What all heads of a layer carry together, by layer and group, a panel a model.

    Args:
        curves: ``group_curves`` over layers, stacked with a column ``model``.
        quantity: what its values are.
    """
    fig = panels(curves, x="layer")
    unit, level, label = _LEFT[quantity]
    reference(fig, level, label)
    return apply_style(fig, title="All heads of a layer ablated", x="layer", y=unit, caption=rests_on(curves))


def estimate_against_exact(table: pd.DataFrame) -> go.Figure:
    """Each head's estimated importance against that of the exact sweep, a panel a model, with the line of equality.

    Args:
        table: columns ``model``, ``layer``, ``head``, ``estimate`` and ``importance_log_prob``, each with its
            ``_low`` and ``_high``, ``n_windows`` and ``n_documents``.
    """
    names = list(table["model"].unique())
    fig, places = _grid(len(names), names)
    for name, at in zip(names, places, strict=True):
        heads = table[table["model"] == name]
        exact, guess = heads["importance_log_prob"], heads["estimate"]
        ends = [float(min(exact.min(), guess.min())), float(max(exact.max(), guess.max()))]
        equality = go.Scatter(x=ends, y=ends, mode="lines", line={"color": REFERENCE_COLOUR, "dash": "dot"})
        fig.add_trace(equality.update(showlegend=False, hoverinfo="skip"), **at)
        fig.add_trace(
            go.Scatter(
                x=exact, y=guess, mode="markers", showlegend=False, marker={"color": IMPORTANT, "size": 6},
                error_x=_errors(heads, "importance_log_prob"), error_y=_errors(heads, "estimate"),
                customdata=heads[["layer", "head"]],
                hovertemplate="layer %{customdata[0]}, head %{customdata[1]}<br>exact %{x:.3g}, estimate %{y:.3g}",
            ),
            **at,
        )  # fmt: skip
    return apply_style(
        fig,
        title="Gradient estimate against the exact sweep",
        x="exact fall (nats a token)",
        y="estimated fall (nats a token)",
        caption="Bars: 95 % bootstrap by document. Dotted: equality.",
        intervals=table,
    )


def agreement_by_pair(table: pd.DataFrame) -> go.Figure:
    """Rank correlation of importance maps, a row for each pair of methods, a point a model.

    Args:
        table: columns ``model``, ``one``, ``other``, ``spearman``, ``spearman_low``, ``spearman_high``, ``n_windows``
            and ``n_documents``.
    """
    pairs = list(dict.fromkeys(table["one"] + " / " + table["other"]))
    models = list(table["model"].unique())
    fig = go.Figure()
    for i, (model, rows) in enumerate(table.groupby("model", sort=False)):
        # Side by side within the row of a pair, so that no bar lies on another.
        row = [pairs.index(pair) for pair in rows["one"] + " / " + rows["other"]]
        fig.add_trace(
            go.Scatter(
                x=rows["spearman"], y=np.array(row) + 0.7 * ((i + 0.5) / len(models) - 0.5), mode="markers",
                error_x=_errors(rows, "spearman"), marker={"color": IMPORTANT, "size": 5}, showlegend=False,
                hovertemplate=f"{model!s}: %{{x:.2f}}<extra></extra>",
            )
        )  # fmt: skip
    fig.add_vline(x=0, line={"color": REFERENCE_COLOUR, "dash": "dot"}, annotation_text="no relation")
    fig.update_yaxes(tickvals=list(range(len(pairs))), ticktext=pairs, autorange="reversed", zeroline=False)
    fig.update_layout(height=160 + 9 * len(pairs) * min(len(models), 8))
    return apply_style(
        fig,
        title="How far ablation methods agree on heads",
        x="Spearman correlation over heads",
        y="",
        caption="A point a model, in the order of the other figures; bars: 95 % bootstrap by document.",
        intervals=table,
    )


def attribution_bars(
    table: pd.DataFrame, *, n_parts: int = 20, title: str = "Shares of the true token's logit"
) -> go.Figure:
    """The largest shares of the logit of the true token by part, with their intervals, and what all others sum to.

    Args:
        table: ``LogitAttribution.to_frame`` of one model.
        n_parts: parts drawn; the others are summed.
        title: above the figure.
    """
    parts = table[table["part"] != "logit"]
    order = parts["mean"].abs().sort_values(ascending=False).index
    drawn = parts.loc[order[:n_parts]]
    others = float(parts.loc[order[n_parts:], "mean"].sum())
    labels = [
        _label(part, layer, head) for part, layer, head in drawn[["part", "layer", "head"]].itertuples(index=False)
    ]
    fig = go.Figure(
        go.Bar(
            x=[*drawn["mean"], others], y=[*labels, f"{len(order[n_parts:])} others"], orientation="h",
            marker={"color": [*(IMPORTANT for _ in labels), REFERENCE_COLOUR]},
            error_x={
                "array": [*(drawn["high"] - drawn["mean"]), None],
                "arrayminus": [*(drawn["mean"] - drawn["low"]), None],
                "symmetric": False,
            },
        )
    )  # fmt: skip
    logit = float(table.loc[table["part"] == "logit", "mean"].item())
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(height=120 + 22 * (len(labels) + 1))
    caption = f"The shares sum to the mean logit, {logit:.3g}. Bars: 95 % bootstrap by document. Direct paths only."
    return apply_style(fig, title=title, x="share of the logit", y="", caption=caption, intervals=table)


def _label(part: str, layer: Any, head: Any) -> str:
    name = part.replace("_", " ")
    if pd.isna(layer):
        return name
    return f"{name} {layer}" if pd.isna(head) else f"{name} {layer}.{head}"


def _errors(table: pd.DataFrame, column: str) -> dict[str, object]:
    return {
        "array": table[f"{column}_high"] - table[column],
        "arrayminus": table[column] - table[f"{column}_low"],
        "symmetric": False,
        "thickness": 1,
        "width": 0,
    }
