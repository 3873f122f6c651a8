"""Figures of scaling: rate against size by family, ratios between families, and how windows move between score bins."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from scipy.special import expit

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style, translucent
from interp.statistical.rates import SCORE_BINS, Rates, ScoresError
from interp.statistical.scaling import Scaling
from interp.wording import interval


def draw_scaling(result: Scaling, *, floor: float | None = None, caption: str = "") -> go.Figure:
    """Rate against parameters, a colour a family: rates with 95 % intervals, the fitted line (solid) and the logistic
    curve (dashed).

    Args:
        result: finished fits.
        floor: rate of windows that were never shown, drawn as a dotted line.
        caption: what is seen.
    """
    points = result.rates.to_frame()
    fits = {
        "linear": (result.linear_intercept, result.linear_slope),
        "logistic": (result.logistic_intercept, result.logistic_slope),
    }
    colours = colours_of(list(points["family"].unique()))
    fig = go.Figure()
    for family, rows in points.groupby("family", sort=False):
        colour = colours[str(family)]
        fig.add_scatter(
            x=rows["n_params"],
            y=rows["value"],
            error_y=error_bars(rows),
            mode="markers",
            text=rows["model"],
            marker={"color": colour, "size": 8},
            name=str(family),
            legendgroup=str(family),
        )
        if family not in result.families:
            continue
        sizes = np.geomspace(rows["n_params"].min(), rows["n_params"].max(), 50)
        for fit, dash in (("linear", "solid"), ("logistic", "dash")):
            intercepts, slopes = fits[fit]
            which = result.families.index(str(family))
            curve = intercepts[which] + slopes[which].value * np.log10(sizes)
            curve = expit(curve) if fit == "logistic" else curve
            fig.add_scatter(
                x=sizes,
                y=curve,
                mode="lines",
                line={"color": colour, "width": 1.5, "dash": dash},
                legendgroup=str(family),
                showlegend=False,
                hoverinfo="skip",
            )
    if floor is not None:
        fig.add_hline(y=floor, line={"color": REFERENCE_COLOUR, "dash": "dot"}, annotation_text="never shown")
    fig.update_xaxes(type="log")
    fig.update_yaxes(rangemode="tozero")
    return apply_style(
        fig,
        title="Memorization against size",
        x="parameters (log scale)",
        y="memorization rate (share with M = 1)",
        caption=caption,
        intervals=points,
    )


def draw_family_ratios(ratios: pd.DataFrame, *, reference: str, caption: str = "") -> go.Figure:
    """Each family's rate over that of ``reference`` at one size, with 95 % intervals; at 1 they are equal.

    Raises:
        ScoresError: no family of that name among the ratios.
    """
    rows = ratios[ratios["other_family"] == reference].sort_values("value")
    if rows.empty:
        raise ScoresError(f"no ratios over {reference!r}; there are those over {sorted(set(ratios['other_family']))}")
    colours = colours_of([str(name) for name in rows["family"]])
    fig = go.Figure(
        go.Scatter(
            x=rows["value"],
            y=rows["family"],
            mode="markers",
            error_x=error_bars(rows),
            text=rows["model"],
            marker={"size": 9, "color": list(colours.values())},
        )
    )
    fig.add_vline(x=1, line={"color": REFERENCE_COLOUR, "dash": "dash"})
    return apply_style(
        fig,
        title=f"Memorization at one size, over {reference}",
        x=f"rate / rate of {rows['other_model'].iloc[0]}",
        y="",
        caption=caption,
        intervals=rows,
    )


def draw_transitions(moves: Rates, *, family: str, caption: str = "") -> go.Figure:
    """Sankey of a family's windows: a column of score bins for each size, ribbons as wide as the windows that move.

    Hovering a ribbon gives its share of the bin it leaves, with the 95 % interval.

    Raises:
        ScoresError: no family of that name among the moves.
    """
    frame = moves.to_frame()
    frame = frame[frame["family"] == family]
    if frame.empty:
        raise ScoresError(f"no moves of {family!r}; there are those of {sorted(moves.groups['family'].unique())}")
    models = list(dict.fromkeys([*frame["from_model"], *frame["to_model"]]))
    shades = sample_colorscale("Viridis", np.linspace(0.1, 0.9, len(SCORE_BINS)).tolist(), colortype="tuple")
    hexes = ["#" + "".join(f"{round(255 * c):02x}" for c in shade) for shade in shades]
    # Nodes are (model, bin).
    sources = list(zip(frame["from_model"].astype(str), frame["from_bin"].astype(str), strict=True))
    targets = list(zip(frame["to_model"].astype(str), frame["to_bin"].astype(str), strict=True))
    windows = frame["n_windows"].to_list()
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
                "customdata": [
                    f"{value:.1%} {interval(low, high, '.1%')}"
                    for value, low, high in frame[["value", "low", "high"]].to_numpy()
                ],
                "hovertemplate": "%{value} windows: %{customdata} of %{source.label}<extra></extra>",
            },
        )
    )
    for i, model in enumerate(models):
        fig.add_annotation(
            x=i / max(1, len(models) - 1), y=1.06, text=model, showarrow=False, xref="paper", yref="paper"
        )
    return apply_style(fig, title=f"How windows of {family} move between score bins", caption=caption, intervals=frame)


def _sizes(nodes: list[tuple[str, str]], windows: list[int]) -> Counter[tuple[str, str]]:
    sizes: Counter[tuple[str, str]] = Counter()
    for node, n in zip(nodes, windows, strict=True):
        sizes[node] += n
    return sizes


def _heights(used: list[tuple[str, str]], sizes: Counter[tuple[str, str]]) -> list[float]:
    """Vertical middle of each node, 0 above: bins of a model stacked in order, in proportion to their windows."""
    heights, above = [], dict.fromkeys({model for model, _ in used}, 0.0)
    for model, name in used:
        share = sizes[(model, name)] / sum(n for (other, _), n in sizes.items() if other == model)
        heights.append(min(0.999, max(0.001, above[model] + share / 2)))
        above[model] += share
    return heights
