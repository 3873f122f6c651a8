"""Curves with their bands, a panel for each model or noise level: shared by the figures of lens and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.style import GROUP_COLOURS, REFERENCE_COLOUR, translucent
from interp.wording import interval, of_documents

_SPARE_COLOURS = ("#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("solid", "dot", "dash")
_COLUMNS = 3
_PANEL_HEIGHT = 300


def _colour(group: str, groups: Sequence[str]) -> str:
    others = [g for g in groups if g not in GROUP_COLOURS]
    return GROUP_COLOURS.get(group) or _SPARE_COLOURS[others.index(group) % len(_SPARE_COLOURS)]


def _dash(group: str, kind: str, kinds: Sequence[str]) -> str:
    # Matched windows are among the unmemorized, and their line may lie on the others'.
    return _DASHES[kinds.index(kind)] if len(kinds) > 1 else "dot" if group == "matched" else "solid"


def panels(curves: pd.DataFrame, *, x: str, by: str = "model", step: bool = False, dash: str = "") -> go.Figure:
    """A line and band a group, and a panel for each value of the column ``by`` if the table has it.

    Args:
        curves: ``group``, ``value``, ``low``, ``high`` and the column ``x``; points without a value are passed over.
        x: name of the column on the x axis.
        by: name of the column that the panels are told apart by.
        step: draw steps, for a share that changes only at the points.
        dash: name of a column that lines of one group and panel are told apart by; its first value is drawn solid.
    """
    named = list(curves[by].unique()) if by in curves else [""]
    n_columns = min(len(named), _COLUMNS)
    n_rows = -(-len(named) // _COLUMNS)
    fig = make_subplots(
        n_rows,
        n_columns,
        subplot_titles=[name if by == "model" else f"{by} = {name:g}" for name in named] if by in curves else None,
        shared_yaxes=True,
        vertical_spacing=0.3 / n_rows,
    )
    groups = list(curves["group"].unique())
    kinds = list(curves[dash].unique()) if dash else [""]
    for i, name in enumerate(named):
        at = {"row": i // _COLUMNS + 1, "col": i % _COLUMNS + 1}
        drawn = curves[curves[by] == name] if by in curves else curves
        for group, kind in product(groups, kinds):
            line = drawn[(drawn["group"] == group) & drawn["value"].notna()].sort_values(x)
            line = line[line[dash] == kind] if dash else line
            colour = _colour(group, groups)
            shape = "hv" if step else "linear"
            label = f"{group}, {kind}" if dash else group
            band = {"x": line[x], "mode": "lines", "line": {"width": 0, "shape": shape}, "hoverinfo": "skip"}
            band |= {"showlegend": False, "legendgroup": label}
            fig.add_trace(go.Scatter(y=line["low"], **band), **at)
            fig.add_trace(go.Scatter(y=line["high"], fill="tonexty", fillcolor=translucent(colour), **band), **at)
            fig.add_trace(
                go.Scatter(
                    x=line[x],
                    y=line["value"],
                    mode="lines" if step else "lines+markers",
                    line={"color": colour, "width": 2, "shape": shape, "dash": _dash(group, kind, kinds)},
                    marker={"size": 5},
                    name=label,
                    legendgroup=label,
                    showlegend=i == 0,
                    customdata=hover(line),
                    hovertemplate="%{y:.4g} %{customdata}",
                ),
                **at,
            )
    fig.update_layout(height=_PANEL_HEIGHT * n_rows + 120, hovermode="x")
    return fig


def hover(rows: pd.DataFrame) -> list[str]:
    """Interval of each row, and the windows and documents that it rests on."""
    columns = ["low", "high", "n_windows" if "n_windows" in rows else "n", "n_documents"]
    return [
        f"{interval(low, high, '.4g')}, {windows} windows of {documents} documents"
        for low, high, windows, documents in rows[columns].itertuples(index=False)
    ]


def reference(fig: go.Figure, y: float, label: str) -> go.Figure:
    """A dotted line across every panel: a floor, a ceiling or what chance gives."""
    fig.add_hline(y=y, line={"color": REFERENCE_COLOUR, "dash": "dot", "width": 1.5})
    # An annotation on a logarithmic axis is placed by the exponent, a shape by the value.
    at = math.log10(y) if fig.layout.yaxis.type == "log" else y
    fig.add_annotation(
        x=1, y=at, xref="x domain", yref="y", text=label, showarrow=False, xanchor="right", yanchor="bottom",
        font={"color": REFERENCE_COLOUR, "size": 11},
    )  # fmt: skip
    return fig


def rests_on(curves: pd.DataFrame) -> str:
    """Which windows and models the curves rest on, for the caption."""
    measured = curves[curves["value"].notna()]
    parts = []
    for group, rows in measured.groupby("group", sort=False):
        parts.append(f"{group}: {of_documents(rows['n'], rows['n_documents'])}")
    names = list(measured["model"].unique()) if "model" in measured else []
    # The panels say which they are.
    models = f" {len(names)} models." if len(names) > 3 else f" Models: {', '.join(names)}." if names else ""
    return f"Bands: 95 % bootstrap intervals by document. {'; '.join(parts)}.{models}"
