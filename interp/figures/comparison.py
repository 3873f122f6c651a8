"""Figures of head comparison: overlap of top heads between domains, universal heads, similarity of families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import TWO_LEVELS, lines, points
from interp.figures.marks import add_control, reference
from interp.figures.style import PALETTE, apply_style
from interp.internal.comparison.similarity import Representation
from interp.wording import interval

_NULLS = {
    "expected_all_heads": ("random sets", "line-ew-open"),
    "expected_within_layers": ("random sets, same layers", "diamond-open"),
}
_SIGNIFICANT = 0.05
_MODEL = ["family", "size"]
"""Columns of an axis with two levels, size within family, for short labels and grouped families."""


def _places(table: pd.DataFrame) -> list[pd.Series]:
    return [table[level] for level in _MODEL]


def draw_overlap(pairs: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Jaccard index of the top heads of every two domains, with a column per model, beside random sets.

    Args:
        pairs: ``Overlap.pairs`` of several models, stacked in the order to draw, with columns ``model``, ``family`` and
            ``size``.
        caption: what the figure shows.
    """
    fig = go.Figure()
    # Drawn first, because they have every model and the axis takes its order from the first trace.
    expected = pairs.groupby(_MODEL, sort=False)[list(_NULLS)].mean().reset_index()
    for column, (name, symbol) in _NULLS.items():
        add_control(fig, _places(expected), expected[column], name=name, symbol=symbol)
    strong = pairs["p_within_layers"] < _SIGNIFICANT
    for chosen, name, symbol in ((strong, "p < 0.05 within layers", "circle"), (~strong, "p >= 0.05", "circle-open")):
        rows = pairs[chosen]
        fig.add_scatter(
            x=_places(rows), y=rows["jaccard"], mode="markers", name=name, showlegend=True,
            marker={"symbol": symbol, "color": PALETTE[0], "size": 8},
            customdata=rows[["one", "other", "p_all_heads", "p_within_layers"]],
            hovertemplate="%{customdata[0]}, %{customdata[1]}: %{y:.2f}<br>p = %{customdata[2]:.3g}, "
            "within layers %{customdata[3]:.3g}",
        )  # fmt: skip
    return apply_style(
        fig.update_yaxes(range=[0, 1.04]).update_layout(margin_b=TWO_LEVELS),
        title="Do domains share their top heads?",
        y="Jaccard index of top heads",
        key="Each dot: two domains of one model. p: permutation test of top sets, drawn from all heads and within "
        f"layers. {pairs['model'].nunique()} models",
        caption=caption,
    )


def draw_universal(universal: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Share of heads in the top set of every domain, with Wilson's interval, beside random sets.

    Args:
        universal: one row per model: ``family``, ``size``, ``value``, ``low``, ``high``, ``expected_all_heads``,
            ``expected_within_layers``; shares, 0 to 1.
        caption: what the figure shows.
    """
    fig = points(universal, by=_MODEL, colour="family")
    for column, (name, symbol) in _NULLS.items():
        add_control(fig, _places(universal), universal[column], name=name, symbol=symbol)
    return apply_style(
        fig.update_yaxes(rangemode="tozero", tickformat=".0%"),
        title="Universal heads",
        y="share of heads in every top set",
        key=f"Bars: 95 % Wilson intervals over the heads of a model. {len(universal)} models",
        caption=caption,
    )


def draw_similarity(pairs: pd.DataFrame, means: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Cosine of every two models.

    Args:
        pairs: ``FamilySimilarity.to_frame``: ``one``, ``other`` and ``cosine``, with models in the order of the
            clustering.
        means: means over these pairs ``within`` and ``across`` families, and their ``difference`` (column ``pairs``),
            with ``value``, ``low``, ``high`` and ``p``.
        caption: what the figure shows.
    """
    names = list(dict.fromkeys([*pairs["one"], *pairs["other"]]))
    cosines = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for one, other, cosine in pairs[["one", "other", "cosine"]].itertuples(index=False):
        cosines.loc[one, other] = cosines.loc[other, one] = cosine
    fig = go.Figure(
        go.Heatmap(
            z=cosines.to_numpy(), x=names, y=names, colorscale="Viridis",
            # Cosines of profiles are high between any two models, so the scale starts a tenth below the lowest.
            zmin=float(np.floor(10 * pairs["cosine"].min()) / 10), zmax=1,
            colorbar={"title": {"text": "cosine", "side": "right"}, "thickness": 12},
            hovertemplate="%{x}<br>%{y}<br>%{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    fig.update_yaxes(autorange="reversed", scaleanchor="x")
    # The names of the rows would cover the caption.
    fig.update_xaxes(showticklabels=False, constrain="domain").update_layout(height=160 + 22 * len(names))
    named = {"within": "within families", "across": "across families"}
    said = ", ".join(
        f"{named.get(pair, pair)} {value:.3g} {interval(low, high)}"
        for pair, value, low, high in means[["pairs", "value", "low", "high"]].itertuples(index=False)
    )
    return apply_style(
        fig,
        title="Similarity of head importance between models",
        x="models, in the order of the rows",
        y="",
        key=f"Mean cosine {said} (95 % bootstrap intervals over models or families), permutation p = "
        f"{means['p'].iloc[0]:.3g}. {len(names)} models, {int(pairs['compared'].sum())} pairs compared. Order: average "
        "linkage on 1 - cosine",
        caption=caption,
    )


def draw_profiles(profiles: pd.DataFrame, representation: Representation, *, caption: str = "") -> go.Figure:
    """Shares of importance over depth or over heads with bands, with a panel per family and a line per size.

    Args:
        profiles: ``importance_profile`` of each model, stacked with columns ``model``, ``family`` and ``size``.
        representation: the representation drawn.
        caption: what the figure shows.
    """
    fig = lines(profiles, x="at", colour="family", panel="family", dash="size")
    reference(fig, 1 / profiles["at"].nunique(), "even")
    title, x = {
        "depth": ("Importance over relative depth", "relative depth (0 = first layer, 1 = last)"),
        "sorted": ("Sorted importance", "share of heads, largest first"),
    }[representation]
    return apply_style(
        fig,
        title=title,
        x=x,
        y="share of importance",
        key="Memorized windows. Bands: 95 % intervals by document",
        caption=caption,
        intervals=profiles,
    )


def draw_concentration(gini: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Gini coefficient of head importance of each model, with its interval, and the value for even importance.

    Args:
        gini: one row per model: ``family``, ``size``, ``value``, ``low``, ``high``, ``n``, ``n_documents``.
        caption: what the figure shows.
    """
    fig = reference(points(gini, by=_MODEL, colour="family"), 0.0, "all heads equal")
    return apply_style(
        fig.update_yaxes(range=[-0.03, 1]),
        title="Concentration of importance",
        y="Gini coefficient of head importance",
        key="Memorized windows. Bars: 95 % intervals by document. 1: one head has all importance",
        caption=caption,
        intervals=gini,
    )
