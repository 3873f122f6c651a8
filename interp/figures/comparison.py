"""Figures of head comparison: overlap of top heads between domains, universal heads, similarity of families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.figures.style import FAMILY_COLOURS, REFERENCE_COLOUR, apply_style
from interp.internal.similarity import FamilySimilarity

_NULLS = {
    "expected_all_heads": ("random sets", "line-ew-open"),
    "expected_within_layers": ("random sets, same layers", "diamond-open"),
}
SIGNIFICANT = 0.05


def overlap_by_model(pairs: pd.DataFrame, *, finding: str = "") -> go.Figure:
    """Jaccard of the top heads of every two domains, a column a model, beside what random sets give.

    Args:
        pairs: ``Overlap.pairs`` of several models stacked, with a column ``model``.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = go.Figure()
    strong = pairs["p_within_layers"] < SIGNIFICANT
    for chosen, name, symbol in ((strong, "p < 0.05 within layers", "circle"), (~strong, "not", "circle-open")):
        rows = pairs[chosen]
        fig.add_trace(
            go.Scatter(
                x=rows["model"],
                y=rows["jaccard"],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "color": "#0072B2", "size": 8},
                customdata=rows[["one", "other", "p_all_heads", "p_within_layers"]],
                hovertemplate="%{customdata[0]}, %{customdata[1]}: %{y:.2f}<br>p = %{customdata[2]:.3g}, "
                "within layers %{customdata[3]:.3g}",
            )
        )
    expected = pairs.groupby("model", sort=False)[list(_NULLS)].mean()
    for column, (name, symbol) in _NULLS.items():
        marker = {"symbol": symbol, "color": REFERENCE_COLOUR, "size": 12, "line": {"width": 2}}
        fig.add_trace(go.Scatter(x=expected.index, y=expected[column], mode="markers", name=name, marker=marker))
    fig.update_yaxes(range=[0, 1])
    caption = (
        f"{finding} Each dot: two domains of one model. p: permutation test of top sets, drawn from all heads and "
        f"within layers. {pairs['model'].nunique()} models."
    )
    return apply_style(
        fig, title="Do domains share their top heads?", y="Jaccard of top 20 % heads", caption=caption.strip()
    )


def universal_heads(universal: pd.DataFrame, *, finding: str = "") -> go.Figure:
    """Share of heads in the top set of every domain, with Wilson's interval, beside what random sets give.

    Args:
        universal: a row a model: ``model``, ``family``, ``value``, ``low``, ``high``, ``expected_all_heads``,
            ``expected_within_layers``; shares, 0 to 1.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = go.Figure()
    for family, rows in universal.groupby("family", sort=False):
        fig.add_trace(
            go.Scatter(
                x=rows["model"],
                y=100 * rows["value"],
                mode="markers",
                name=str(family),
                marker={"color": FAMILY_COLOURS.get(str(family), REFERENCE_COLOUR), "size": 9},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": 100 * (rows["high"] - rows["value"]),
                    "arrayminus": 100 * (rows["value"] - rows["low"]),
                },
            )
        )
    for column, (name, symbol) in _NULLS.items():
        marker = {"symbol": symbol, "color": REFERENCE_COLOUR, "size": 12, "line": {"width": 2}}
        fig.add_trace(
            go.Scatter(x=universal["model"], y=100 * universal[column], mode="markers", name=name, marker=marker)
        )
    fig.update_yaxes(rangemode="tozero")
    caption = f"{finding} Bars: 95 % Wilson intervals over the heads of a model. {len(universal)} models."
    return apply_style(fig, title="Universal heads", y="heads in every top set (%)", caption=caption.strip())


def similarity_heatmap(found: FamilySimilarity, *, finding: str = "") -> go.Figure:
    """Cosine of every two models, in the order of the clustering."""
    names = [found.models[i] for i in found.order]
    values = found.cosine[np.ix_(found.order, found.order)]
    fig = go.Figure(
        go.Heatmap(
            z=values,
            x=names,
            y=names,
            zmin=min(0.0, float(values.min())),
            zmax=1,
            colorscale="Viridis",
            colorbar={"title": "cosine"},
            hovertemplate="%{x}<br>%{y}<br>%{z:.3f}<extra></extra>",
        )
    )
    fig.update_yaxes(autorange="reversed", scaleanchor="x")
    kind = {"depth": "profiles over relative depth", "sorted": "sorted importance curves"}[found.representation]
    caption = (
        f"{finding} Cosine of {kind}. Within a family {found.within}, across {found.across}, difference "
        f"{found.difference}, permutation p = {found.p_value:.3g} (intervals: bootstrap over {len(names)} models). "
        "Order: average linkage on 1 - cosine."
    )
    return apply_style(fig, title="Similarity of head importance between models", caption=caption.strip())


def depth_profiles(found: FamilySimilarity, *, finding: str = "") -> go.Figure:
    """The compared profile of each model, its sum set to one, and what even importance gives."""
    n_points = found.profile.shape[1]
    x = (np.arange(n_points) + 0.5) / n_points
    fig = go.Figure()
    drawn: set[str] = set()
    for model, family, profile in zip(found.models, found.family, found.profile, strict=True):
        fig.add_trace(
            go.Scatter(
                x=x,
                y=profile / np.abs(profile).sum(),
                mode="lines",
                name=family,
                legendgroup=family,
                showlegend=family not in drawn,
                line={"color": FAMILY_COLOURS.get(family, REFERENCE_COLOUR)},
                hovertemplate=f"{model}: %{{y:.3f}}<extra></extra>",
            )
        )
        drawn.add(family)
    fig.add_hline(y=1 / n_points, line={"color": REFERENCE_COLOUR, "dash": "dot"}, annotation_text="even")
    depth = found.representation == "depth"
    lines = ", ".join(f"{model} {g:.2f}" for model, g in zip(found.models, found.gini, strict=True))
    return apply_style(
        fig,
        title="Importance over relative depth" if depth else "Sorted importance",
        x="relative depth (0 = first layer, 1 = last)" if depth else "share of heads passed, most important first",
        y="share of importance",
        caption=f"{finding} A line a model; the spread of a family's lines is that of its sizes. Gini: {lines}.",
    )
