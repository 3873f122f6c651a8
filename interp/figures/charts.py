"""The three kinds of most figures: points by category, lines along an axis, maps of heads.

The legend has one entry per colour, and a grey one per symbol or dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from interp.figures.marks import PANEL_HEIGHT, Place, add_points, hover, is_new, panels
from interp.figures.style import REFERENCE_COLOUR, colours_of, translucent

SYMBOLS = ("circle", "diamond-open", "square", "cross-open", "triangle-up", "star-open")
TWO_LEVELS = 84
"""Margin below an axis of two levels, in pixels."""
DASHES = ("solid", "dot", "dash", "dashdot")


def _split(table: pd.DataFrame, panel: str, **options: Any) -> tuple[go.Figure, list[tuple[Place, pd.DataFrame]]]:
    """A figure with a panel for each value of a column, and the rows of each. One panel if the column is missing."""
    table = table.reset_index(drop=True)
    if not panel:
        fig, (place,) = panels([""], **options)
        return fig, [(place, table)]
    values = list(table[panel].unique())
    titles = [value if isinstance(value, str) else f"{panel} = {value:g}" for value in values]
    fig, places = panels(titles, **options)
    return fig, [(place, table[table[panel] == value]) for place, value in zip(places, values, strict=False)]


def _add_key(fig: go.Figure, marks: Mapping[str, Mapping[str, str]]) -> None:
    """Add entries to the legend by name: a line or a point of that colour, symbol or dash."""
    for name, mark in marks.items():
        line = {"mode": "lines", "line": {"width": 2, **mark}}
        drawn = line if "dash" in mark else {"mode": "markers", "marker": mark}
        fig.add_scatter(x=[None], y=[None], name=name, legendgroup=name, showlegend=True, hoverinfo="skip", **drawn)


def points(
    table: pd.DataFrame,
    *,
    by: str | Sequence[str],
    colour: str,
    panel: str = "",
    symbol: str = "",
    apart: bool = True,
    lying: bool = False,
) -> go.Figure:
    """Estimates by category as points with bars, side by side within a category.

    Args:
        table: ``value``, ``low``, ``high`` and the columns named here.
        by: column of the categories. Several columns give an axis with several levels.
        colour: column that colours are by.
        panel: column of the panels.
        symbol: column of the symbols.
        apart: whether points of one colour with different symbols are also side by side.
        lying: whether categories are on y, from the top, and values on x.
    """
    levels = [by] if isinstance(by, str) else list(by)
    colours = colours_of(table[colour].astype(str))
    kinds = [str(kind) for kind in table[symbol].unique()] if symbol else [""]
    symbols = {kind: SYMBOLS[i % len(SYMBOLS)] for i, kind in enumerate(kinds)}
    beside = 1 if colour in levels else len(colours) * (len(kinds) if apart else 1)
    height = table[levels[0]].nunique() * max(24, 7 * beside + 12) + 60 if lying else PANEL_HEIGHT
    fig, drawn = _split(table, panel, height=height, shared_yaxes=True)
    for at, rows in drawn:
        kind_of = rows[symbol] if symbol else pd.Series("", index=rows.index)
        for (name, kind), part in rows.groupby([rows[colour], kind_of], sort=False, observed=True):
            across = [part[level].astype(str) for level in levels]
            options = {"orientation": "h"} if lying else {}
            if colour not in levels:
                options["offsetgroup"] = f"{name} {kind}" if apart else str(name)
            add_points(
                fig, part, across if len(across) > 1 else across[0], name=str(name), colour=colours[str(name)],
                symbol=symbols[str(kind)], lying=lying, at=at, **options,
            )  # fmt: skip
    if colour in levels:
        # The axis already shows this.
        fig.update_traces(showlegend=False)
    else:
        fig.update_layout(scattermode="group", scattergap=0.3)
    if symbol:
        fig.update_traces(showlegend=False)
        _add_key(fig, {name: {"color": of} for name, of in colours.items()})
        _add_key(fig, {kind: {"color": REFERENCE_COLOUR, "symbol": of} for kind, of in symbols.items()})
    if len(levels) > 1:
        fig.update_layout(margin_b=TWO_LEVELS)
    else:
        order = {"categoryorder": "array", "categoryarray": list(table[levels[0]].astype(str).unique())}
        fig.update_yaxes(autorange="reversed", **order) if lying else fig.update_xaxes(**order)
    return fig


def lines(
    table: pd.DataFrame,
    *,
    x: str,
    colour: str,
    panel: str = "",
    dash: str = "",
    step: bool = False,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Estimates along a continuous axis as lines with bands.

    Args:
        table: ``value``, ``low``, ``high`` and the columns named here; rows without a value are passed over.
        x: column of the continuous axis.
        colour: column that colours are by.
        panel: column of the panels.
        dash: column of the dashes. Its first value is solid.
        step: whether to draw steps, for a share that changes only at the points.
        colours: colour of each name. Default: ``colours_of``.
    """
    colours = colours or colours_of(table[colour].astype(str))
    kinds = [str(kind) for kind in table[dash].unique()] if dash else [""]
    # Matched windows are also unmemorized, so the two lines may coincide.
    dashes = {kind: DASHES[i % len(DASHES)] for i, kind in enumerate(kinds)}
    fig, drawn = _split(table, panel, shared_yaxes=True)
    shape = "hv" if step else "linear"
    for at, rows in drawn:
        rows = rows[rows["value"].notna()].sort_values(x, kind="stable")
        kind_of = rows[dash] if dash else pd.Series("", index=rows.index)
        for name in [name for name in table[colour].unique() if (rows[colour] == name).any()]:
            for kind, line in rows[rows[colour] == name].groupby(kind_of, sort=False, observed=True):
                group = {"legendgroup": str(name), **at}
                band = {"x": line[x], "mode": "lines", "line": {"width": 0, "shape": shape}, "hoverinfo": "skip"}
                filled = {"fill": "tonexty", "fillcolor": translucent(colours[str(name)])}
                fig.add_scatter(y=line["low"], showlegend=False, **band, **group)
                fig.add_scatter(y=line["high"], showlegend=False, **filled, **band, **group)
                drawn_as = "dot" if name == "matched" and not dash else dashes[str(kind)]
                fig.add_scatter(
                    x=line[x], y=line["value"], name=str(name), showlegend=is_new(fig, str(name)), **group,
                    mode="lines" if step or len(line) > 24 else "lines+markers", marker={"size": 5},
                    line={"color": colours[str(name)], "width": 2, "shape": shape, "dash": drawn_as},
                    customdata=hover(line), hovertemplate="%{customdata}",
                )  # fmt: skip
    if colour == panel:
        # The panels already show this.
        fig.update_traces(showlegend=False)
    if len(kinds) > 1:
        _add_key(fig, {kind: {"color": REFERENCE_COLOUR, "dash": of} for kind, of in dashes.items()})
    return fig.update_layout(hovermode="x")


def head_maps(
    table: pd.DataFrame, titles: Mapping[str, str], *, panel: str, said: Sequence[str], **colour_axis: Any
) -> go.Figure:
    """Heat maps with a cell per head, layer by head, and a panel for each value of a column. One colour scale.

    Args:
        table: ``layer``, ``head``, ``value`` and the column of the panels.
        titles: title of each panel, by the column's value.
        panel: column of the panels.
        said: hover text of each row.
        colour_axis: plotly's colour axis for all panels.
    """
    fig, places = panels(list(titles.values()), shared_yaxes=False)
    told = pd.Series(said, index=table.index)
    for at, name in zip(places, titles, strict=True):
        heads = table[table[panel] == name]
        fig.add_heatmap(
            x=heads["head"], y=heads["layer"], z=heads["value"], customdata=told[heads.index], xgap=1, ygap=1,
            hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>", coloraxis="coloraxis",
            hoverongaps=False, **at,
        )  # fmt: skip
        # Cells reach the edges: an axis with a margin would show layers that do not exist.
        for update, column in ((fig.update_xaxes, "head"), (fig.update_yaxes, "layer")):
            n = int(heads[column].max()) + 1
            update(dtick=max(1, n // 8), range=[-0.5, n - 0.5], showgrid=False, zeroline=False, **at)
    bar = {"thickness": 12, "len": 260, "lenmode": "pixels", "y": 1, "yanchor": "top"} | colour_axis.pop("colorbar")
    return fig.update_layout(coloraxis={**colour_axis, "colorbar": bar})
