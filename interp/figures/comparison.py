"""Figures of head comparison: overlap of top heads between domains, universal heads, similarity of families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.style import FAMILY_COLOURS, REFERENCE_COLOUR, apply_style, translucent
from interp.internal.comparison.similarity import FamilySimilarity, Representation
from interp.wording import interval, of_documents

_NULLS = {
    "expected_all_heads": ("random sets", "line-ew-open"),
    "expected_within_layers": ("random sets, same layers", "diamond-open"),
}
SIGNIFICANT = 0.05
_DASHES = "dot", "dash", "solid", "dashdot"


def overlap_by_model(pairs: pd.DataFrame, *, finding: str = "") -> go.Figure:
    """Jaccard of the top heads of every two domains, a column a model, beside what random sets give.

    Args:
        pairs: ``Overlap.pairs`` of several models stacked in the order in which they are to stand, with columns
            ``model``, ``family`` and ``size``.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = go.Figure()
    # These first: they hold every model, and the axis takes its order from what comes first.
    expected = pairs.groupby(["family", "size"], sort=False)[list(_NULLS)].mean().reset_index()
    for column, (name, symbol) in _NULLS.items():
        marker = {"symbol": symbol, "color": REFERENCE_COLOUR, "size": 12, "line": {"width": 2}}
        fig.add_trace(go.Scatter(x=_places(expected), y=expected[column], mode="markers", name=name, marker=marker))
    strong = pairs["p_within_layers"] < SIGNIFICANT
    for chosen, name, symbol in ((strong, "p < 0.05 within layers", "circle"), (~strong, "p >= 0.05", "circle-open")):
        rows = pairs[chosen]
        fig.add_trace(
            go.Scatter(
                x=_places(rows),
                y=rows["jaccard"],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "color": "#0072B2", "size": 8},
                customdata=rows[["one", "other", "p_all_heads", "p_within_layers"]],
                hovertemplate="%{customdata[0]}, %{customdata[1]}: %{y:.2f}<br>p = %{customdata[2]:.3g}, "
                "within layers %{customdata[3]:.3g}",
            )
        )
    fig.update_yaxes(range=[0, 1.04])
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
        universal: a row a model: ``model``, ``family``, ``size``, ``value``, ``low``, ``high``, ``expected_all_heads``,
            ``expected_within_layers``; shares, 0 to 1.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = _points_by_family(universal, scale=100.0)
    for column, (name, symbol) in _NULLS.items():
        marker = {"symbol": symbol, "color": REFERENCE_COLOUR, "size": 12, "line": {"width": 2}}
        fig.add_trace(
            go.Scatter(x=_places(universal), y=100 * universal[column], mode="markers", name=name, marker=marker)
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
            # Cosines of profiles are high between any two models: from a tenth below the lowest on.
            zmin=float(np.floor(10 * values.min()) / 10),
            zmax=1,
            colorscale="Viridis",
            colorbar={"title": "cosine"},
            hovertemplate="%{x}<br>%{y}<br>%{z:.3f}<extra></extra>",
        )
    )
    fig.update_yaxes(autorange="reversed", scaleanchor="x")
    fig.update_xaxes(showticklabels=False)  # the names of the rows, which would lie over the caption
    kind = {"depth": "profiles over relative depth", "sorted": "sorted importance curves"}[found.representation]
    within, across, difference = (
        f"{e.value:.3g} {interval(e.low, e.high)}" for e in (found.within, found.across, found.difference)
    )
    caption = (
        f"{finding} Cosine of {kind}. Within a family {within}, across {across}, difference {difference}, "
        f"permutation p = {found.p_value:.3g} ({len(names)} models, {int(np.triu(found.compared, 1).sum())} pairs "
        f"compared; 95 % bootstrap intervals, over {found.within.n_clusters} families or models). "
        "Order: average linkage on 1 - cosine."
    )
    return apply_style(fig, title="Similarity of head importance between models", caption=caption.strip())


def importance_profiles(profiles: pd.DataFrame, representation: Representation, *, finding: str = "") -> go.Figure:
    """Shares of importance over depth or over heads with their bands, a panel a family and a line a size.

    Args:
        profiles: ``importance_profile`` of each model, stacked with columns ``model``, ``family`` and ``size``.
        representation: which one it is.
        finding: a sentence on what is seen, in front of the caption.
    """
    families = list(profiles["family"].unique())
    sizes = list(profiles["size"].unique())
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    fig = make_subplots(
        rows, columns, subplot_titles=families, shared_yaxes=True, shared_xaxes=True, vertical_spacing=0.3 / rows
    )
    for i, family in enumerate(families):
        at = {"row": i // columns + 1, "col": i % columns + 1}
        colour = FAMILY_COLOURS.get(family, REFERENCE_COLOUR)
        for size, line in profiles[profiles["family"] == family].groupby("size", sort=False):
            band = {"x": line["at"], "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            fig.add_trace(go.Scatter(y=line["low"], **band), **at)
            fig.add_trace(go.Scatter(y=line["high"], fill="tonexty", fillcolor=translucent(colour, 0.15), **band), **at)
            fig.add_trace(
                go.Scatter(
                    x=line["at"],
                    y=line["value"],
                    mode="lines",
                    name=str(size),
                    legendgroup=str(size),
                    showlegend=i == 0,
                    line={"color": colour, "dash": _DASHES[sizes.index(size) % len(_DASHES)], "width": 2},
                    customdata=line[["low", "high"]],
                    hovertemplate="%{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]",
                ),
                **at,
            )
    even = 1 / profiles["at"].nunique()
    fig.add_hline(y=even, line={"color": REFERENCE_COLOUR, "dash": "dot", "width": 1.5})
    fig.add_annotation(
        x=1, y=even, xref="x domain", yref="y", text="even", showarrow=False, xanchor="right", yanchor="bottom",
        font={"color": REFERENCE_COLOUR, "size": 11},
    )  # fmt: skip
    fig.update_layout(height=280 * rows + 120)
    apply_style(
        fig,
        title="Importance over relative depth" if representation == "depth" else "Sorted importance",
        caption=f"{finding} Bands: 95 % bootstrap intervals by document, {_rests_on(profiles)}.".strip(),
    )
    x = "relative depth (0 = first layer, 1 = last)" if representation == "depth" else "share of heads, largest first"
    fig.update_xaxes(title_text=x, row=rows)
    fig.update_yaxes(title_text="share of importance", col=1)
    return fig


def concentration_by_model(gini: pd.DataFrame, *, finding: str = "") -> go.Figure:
    """Gini coefficient of head importance of each model, with its interval, and what even importance gives.

    Args:
        gini: a row a model: ``model``, ``family``, ``size``, ``value``, ``low``, ``high``, ``n``, ``n_documents``.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = _points_by_family(gini, scale=1.0)
    fig.add_hline(y=0, line={"color": REFERENCE_COLOUR, "dash": "dot"}, annotation_text="all heads alike")
    fig.update_yaxes(range=[-0.03, 1])
    caption = f"{finding} Bars: 95 % bootstrap intervals by document, {_rests_on(gini)}. One head with all: 1."
    return apply_style(fig, title="Concentration of importance", y="Gini of head importance", caption=caption.strip())


def _rests_on(table: pd.DataFrame) -> str:
    return of_documents(table["n"], table["n_documents"], kind="memorized windows")


def _places(table: pd.DataFrame) -> list[pd.Series]:
    """An axis of two levels, size within family: short labels, and families stand together."""
    return [table["family"], table["size"]]


def _points_by_family(table: pd.DataFrame, *, scale: float) -> go.Figure:
    """A point and its interval for each model, by family and size."""
    fig = go.Figure()
    for family, rows in table.groupby("family", sort=False):
        fig.add_trace(
            go.Scatter(
                x=_places(rows),
                y=scale * rows["value"],
                mode="markers",
                name=str(family),
                showlegend=False,
                marker={"color": FAMILY_COLOURS.get(str(family), REFERENCE_COLOUR), "size": 9},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": scale * (rows["high"] - rows["value"]),
                    "arrayminus": scale * (rows["value"] - rows["low"]),
                },
            )
        )
    return fig
