"""Figures of scaling: rate against size by family, ratios between families, and transitions between score bins."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from scipy.special import expit

from interp.figures.charts import points
from interp.figures.marks import add_curve, add_points, hover, reference
from interp.figures.style import RATE, FigureError, apply_style, colours_of, translucent
from interp.statistical.rates import SCORE_BINS

_BARS = "Bars: 95 % intervals by document"


def draw_scaling(
    rates: pd.DataFrame, fits: pd.DataFrame, *, floor: float | None = None, caption: str = ""
) -> go.Figure:
    """Rate against parameters with a colour per family: rates with 95 % intervals, the line and the logistic curve.

    Args:
        rates: rates of each ``family``, ``model`` and ``n_params``: the table of ``Scaling.rates``.
        fits: ``Scaling.to_frame``.
        floor: rate of windows that were never shown, drawn as a dotted line.
        caption: what the figure shows.
    """
    colours = colours_of(rates["family"].astype(str))
    fig = go.Figure()
    for family, rows in rates.groupby("family", sort=False):
        colour, sizes = colours[str(family)], np.geomspace(rows["n_params"].min(), rows["n_params"].max(), 50)
        add_points(
            fig, rows, rows["n_params"], name=str(family), colour=colour, text=rows["model"],
            hovertemplate="%{text}<br>%{customdata}",
        )  # fmt: skip
        for fit in fits[fits["family"] == family].to_dict("records"):
            curve, logistic = fit["intercept"] + fit["value"] * np.log10(sizes), fit["fit"] == "logistic"
            curve, dash = (expit(curve), "dash") if logistic else (curve, "solid")
            add_curve(fig, sizes, curve, name=str(family), colour=colour, dash=dash)
    if floor is not None:
        reference(fig, floor, "never shown")
    fig.update_xaxes(type="log").update_yaxes(rangemode="tozero")
    return apply_style(
        fig,
        title="Memorization against size",
        x="parameters (log scale)",
        y=RATE,
        key=f"{_BARS}. Solid: linear fit. Dashed: logistic fit",
        caption=caption,
        intervals=rates,
    )


def draw_family_ratios(ratios: pd.DataFrame, *, other: str, caption: str = "") -> go.Figure:
    """Each family's rate over that of the family ``other`` at one size, with 95 % intervals. At 1 they are equal.

    Args:
        ratios: result of ``family_ratios``.
        other: family in the denominator.
        caption: what the figure shows.

    Raises:
        FigureError: the ratios lack this family.
    """
    rows = ratios[ratios["other_family"] == other].sort_values("value")
    if rows.empty:
        raise FigureError(f"no ratios over {other!r}; there are ratios over {sorted(set(ratios['other_family']))}")
    fig = reference(points(rows, by="family", colour="family", lying=True), 1.0, lying=True, dash="dash")
    return apply_style(
        fig,
        title=f"Memorization at one size, over {other}",
        x=f"rate / rate of {rows['other_model'].iloc[0]}",
        y="",
        key=f"{_BARS}. Dashed: equal",
        caption=caption,
        intervals=rows,
    )


def draw_transitions(moves: pd.DataFrame, *, family: str, caption: str = "") -> go.Figure:
    """Sankey diagram of a family's windows, with a column of score bins per size. Ribbon widths are numbers of windows.

    Args:
        moves: the table of ``transitions``.
        family: family to draw.
        caption: what the figure shows.

    Raises:
        FigureError: the moves lack this family.
    """
    frame = moves[moves["family"] == family]
    if frame.empty:
        raise FigureError(f"no moves of {family!r}; there are moves of {sorted(moves['family'].unique())}")
    # The ribbon's own windows. Its share rests on all windows of the bin that it leaves.
    windows, shares = frame["n_windows"].to_list(), frame.drop(columns="n_windows")
    models = list(dict.fromkeys([*frame["from_model"], *frame["to_model"]]))
    shades = sample_colorscale("Viridis", np.linspace(0.1, 0.9, len(SCORE_BINS)).tolist(), colortype="tuple")
    hexes = ["#" + "".join(f"{round(255 * c):02x}" for c in shade) for shade in shades]
    # Nodes are (model, bin).
    sources = list(zip(frame["from_model"].astype(str), frame["from_bin"].astype(str), strict=True))
    targets = list(zip(frame["to_model"].astype(str), frame["to_bin"].astype(str), strict=True))
    used = sorted({*sources, *targets}, key=lambda node: (models.index(node[0]), -SCORE_BINS.index(node[1])))
    place = {node: i for i, node in enumerate(used)}
    fig = go.Figure(
        go.Sankey(
            arrangement="snap",
            node={
                "label": [f"M {'in ' if name[0] in '([' else '= '}{name}" for _, name in used],
                "color": [hexes[SCORE_BINS.index(name)] for _, name in used],
                "x": [0.001 + 0.998 * models.index(model) / max(1, len(models) - 1) for model, _ in used],
                "y": _heights(used, _sizes(sources, windows) | _sizes(targets, windows)),
                "pad": 12,
            },
            link={
                "source": [place[node] for node in sources],
                "target": [place[node] for node in targets],
                "value": windows,
                "color": [translucent(hexes[SCORE_BINS.index(name)], 0.35) for _, name in sources],
                "customdata": hover(shares, shown=".1%"),
                "hovertemplate": "%{value} windows of those with %{source.label}<br>%{customdata}<extra></extra>",
            },
        )
    )
    for i, model in enumerate(models):
        fig.add_annotation(
            x=i / max(1, len(models) - 1), y=1.06, text=model, showarrow=False, xref="paper", yref="paper"
        )
    return apply_style(
        fig,
        title=f"How windows of {family} move between score bins",
        key="Hover over a ribbon for its share of the bin that it leaves, with the 95 % interval by document",
        caption=caption,
        intervals=shares,
    )


def _sizes(nodes: list[tuple[str, str]], windows: list[int]) -> Counter[tuple[str, str]]:
    sizes: Counter[tuple[str, str]] = Counter()
    for node, n in zip(nodes, windows, strict=True):
        sizes[node] += n
    return sizes


def _heights(used: list[tuple[str, str]], sizes: Counter[tuple[str, str]]) -> list[float]:
    """Vertical middle of each node, 0 at the top: a model's bins stacked in order, in proportion to their windows."""
    heights, above = [], dict.fromkeys({model for model, _ in used}, 0.0)
    for model, name in used:
        share = sizes[(model, name)] / sum(n for (other, _), n in sizes.items() if other == model)
        heights.append(min(0.999, max(0.001, above[model] + share / 2)))
        above[model] += share
    return heights
