"""Elements of all figures: panels, points with bars, curves with bands, controls, reference lines.

A table holds an estimate in the columns ``value``, ``low`` and ``high``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.style import REFERENCE_COLOUR
from interp.wording import interval, of_documents, resting

Place = dict[str, int]
"""Row and column of a panel."""

PANEL_HEIGHT = 300
_COLUMNS = 3
_AROUND = 120
"""Pixels of a figure's height for its title and lowest axis."""


def bars(rows: pd.DataFrame) -> dict[str, Any]:
    """Plotly's error bars from ``low`` to ``high``. No bar if there is no interval."""
    above, below = rows["high"] - rows["value"], rows["value"] - rows["low"]
    return {"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1, "width": 2}


def hover(rows: pd.DataFrame, unit: str = "", shown: str = ".4g") -> list[str]:
    """Each estimate with its interval and, if known, the number of windows and documents it rests on."""
    rests = resting(rows)
    unit = f" {unit}" if unit else ""
    said = [
        f"{value:{shown}} {interval(low, high, shown.lstrip('+'))}{unit}"
        for value, low, high in rows[["value", "low", "high"]].astype(float).itertuples(index=False)
    ]
    if rests is None:
        return said
    return [f"{text}<br>{of_documents([n], [d])}" for text, n, d in zip(said, *rests, strict=True)]


def panels(titles: Sequence[str], *, height: int = PANEL_HEIGHT, **shared: Any) -> tuple[go.Figure, list[Place]]:
    """An empty figure with a panel for each title (three in a row or two by two), and the place of each."""
    n_columns = 2 if len(titles) == 4 else min(_COLUMNS, max(1, len(titles)))
    n_rows = -(-max(1, len(titles)) // n_columns)
    fig = make_subplots(
        n_rows, n_columns, subplot_titles=titles, vertical_spacing=min(0.3, 80 / height) / n_rows, **shared
    )
    fig.update_layout(height=height * n_rows + _AROUND)
    return fig, [{"row": i // n_columns + 1, "col": i % n_columns + 1} for i in range(max(1, len(titles)))]


def is_new(fig: go.Figure, name: str) -> bool:
    """Whether the legend has no entry of this name yet."""
    return not any(trace.name == name and trace.showlegend for trace in fig.data)


def add_points(
    fig: go.Figure,
    rows: pd.DataFrame,
    across: pd.Series | Sequence[pd.Series],
    *,
    name: str,
    colour: str,
    symbol: str = "circle",
    lying: bool = False,
    at: Place | None = None,
    **options: Any,
) -> None:
    """Add estimates as points with bars, at the places ``across``. ``lying`` puts the values on x."""
    value, other = ("x", "y") if lying else ("y", "x")
    fig.add_scatter(
        **{value: rows["value"], other: across, f"error_{value}": bars(rows)},
        mode="markers",
        marker={"color": colour, "size": 7, "symbol": symbol},
        name=name,
        legendgroup=name,
        customdata=hover(rows),
        **{"showlegend": is_new(fig, name), "hovertemplate": "%{customdata}"} | options,
        **(at or {}),
    )


def add_curve(
    fig: go.Figure,
    x: Iterable[float],
    y: Iterable[float],
    *,
    name: str,
    colour: str,
    dash: str = "solid",
    symbol: str = "",
    at: Place | None = None,
) -> None:
    """Add a curve without a band (such as a fit), or marks on it. It is hidden together with the points of its name."""
    drawn = (
        {"mode": "markers", "marker": {"color": colour, "size": 9, "symbol": symbol}}
        if symbol
        else {"mode": "lines", "line": {"color": colour, "width": 1.5, "dash": dash}}
    )
    hidden = {"showlegend": False, "hoverinfo": "skip"}
    fig.add_scatter(x=x, y=y, name=name, legendgroup=name, **drawn, **hidden, **(at or {}))


def add_control(
    fig: go.Figure, x: Any, y: Any, *, name: str, symbol: str = "line-ew-open", at: Place | None = None
) -> None:
    """Add grey marks for chance or an even spread."""
    marker = {"symbol": symbol, "color": REFERENCE_COLOUR, "size": 12, "line": {"width": 2}}
    fig.add_scatter(x=x, y=y, mode="markers", name=name, marker=marker, showlegend=is_new(fig, name), **(at or {}))


def reference(
    fig: go.Figure,
    level: float,
    label: str = "",
    *,
    lying: bool = False,
    dash: str = "dot",
    colour: str = REFERENCE_COLOUR,
    at: Place | None = None,
) -> go.Figure:
    """Add a line across every panel, or the one at ``at``: a floor, a ceiling or the chance level.

    Args:
        fig: the figure, with its panels drawn.
        level: value on the y axis, or with ``lying`` on the x axis.
        label: text at the end of the line in the first panel. For a line on the x axis, the caption explains it.
        lying: whether the level is on the x axis.
        dash: dash of the line.
        colour: colour of the line.
        at: the only panel with the line.
    """
    line = {"line": {"color": colour, "dash": dash, "width": 1.5}, **(at or {})}
    if lying:
        return fig.add_vline(x=level, **line)
    fig.add_hline(y=level, **line)
    if label:
        # An annotation on a logarithmic axis is placed by the exponent, a shape by the value.
        place = math.log10(level) if fig.layout.yaxis.type == "log" else level
        fig.add_annotation(
            text=label, showarrow=False, x=1, y=place, xref="x domain", yref="y", xanchor="right", yanchor="bottom",
            bgcolor="rgba(255,255,255,0.7)", borderpad=1, font={"color": colour, "size": 11},
        )  # fmt: skip
    return fig
