"""Figures of rates: dose-response curves, rates by group, and the histogram of scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots
from scipy.special import expit

from interp.figures.style import FAMILY_COLOURS, REFERENCE_COLOUR, apply_style, translucent
from interp.statistical.dose_response import DoseResponse
from interp.statistical.rates import Rates

_OTHER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#767676")


def colours_of(names: list[str]) -> dict[str, str]:
    """A colour for each name: a family's own, or the palette in order where the names are not families."""
    if set(names) <= set(FAMILY_COLOURS):
        return {name: FAMILY_COLOURS[name] for name in names}
    return {name: _OTHER_COLOURS[i % len(_OTHER_COLOURS)] for i, name in enumerate(names)}


def error_bars(frame: pd.DataFrame, *, scale: float = 1.0) -> dict[str, object]:
    """Plotly's error bars from ``value``, ``low`` and ``high``; no bar where there is no interval."""
    high, low = (frame["high"] - frame["value"]) * scale, (frame["value"] - frame["low"]) * scale
    return {"type": "data", "array": high, "arrayminus": low, "symmetric": False, "thickness": 1, "width": 2}


def draw_dose_response(result: DoseResponse, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Rate against the number of showings: one panel for each value of ``panel``, one curve for each of ``line``.

    Points are rates with their 95 % intervals, curves the logistic fit in log2(count), the diamond on the half-way
    line is the count at which half is memorized, and the dotted lines are the rates of windows never shown.
    """
    points, fits = result.rates.to_frame(), result.to_frame()
    panels, lines = list(points[panel].unique()), list(points[line].unique())
    colours = colours_of([str(name) for name in lines])
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=[str(p) for p in panels])
    for column, name in enumerate(panels, start=1):
        for label in lines:
            colour = colours[str(label)]
            rows = points[(points[panel] == name) & (points[line] == label)]
            shown, floor = rows[rows["count"] > 0], rows[rows["count"] == 0]
            if shown.empty:
                continue
            shared = {"legendgroup": str(label), "name": str(label)}
            fig.add_scatter(
                x=shown["count"],
                y=shown["value"],
                error_y=error_bars(shown),
                mode="markers",
                marker={"color": colour, "size": 6},
                showlegend=column == 1,
                row=1,
                col=column,
                **shared,
            )
            for fit in fits[(fits[panel] == name) & (fits[line] == label)].itertuples():
                doses = np.geomspace(shown["count"].min(), shown["count"].max(), 100)
                curve = expit(fit.intercept + fit.slope * np.log2(doses))
                hidden = {"showlegend": False, "hoverinfo": "skip", "row": 1, "col": column, **shared}
                fig.add_scatter(x=doses, y=curve, mode="lines", line={"color": colour, "width": 1.5}, **hidden)
                if not np.isnan(fit.value):
                    mark = {"color": colour, "size": 9, "symbol": "diamond-open"}
                    fig.add_scatter(x=[fit.value], y=[0.5], mode="markers", marker=mark, **hidden)
            for value in floor["value"]:
                fig.add_hline(y=value, line={"color": colour, "width": 1, "dash": "dot"}, row=1, col=column)
    fig.add_hline(y=0.5, line={"color": REFERENCE_COLOUR, "width": 1, "dash": "dash"})
    counts = sorted(points.loc[points["count"] > 0, "count"].unique())
    ticks = [f"{c:g}" if i % 2 == 0 else "" for i, c in enumerate(counts)]
    fig.update_xaxes(type="log", tickvals=counts, ticktext=ticks)
    fig.update_yaxes(range=[-0.03, 1.03])
    apply_style(
        fig, title="Memorization against repetition", x="times shown in training", caption=caption, intervals=points
    )
    return fig.update_yaxes(title_text="memorization rate (share with M = 1)", col=1)


def draw_rates(
    result: Rates, *, x: str, line: str, floor: float | None = None, title: str, caption: str = ""
) -> go.Figure:
    """Rates as points with 95 % intervals over the values of ``x``, one colour for each value of ``line``.

    Args:
        result: rates grouped by ``x`` and ``line``.
        x: column on the axis, taken as categories.
        line: column of the colours.
        floor: a control drawn as a dashed line, such as the rate of windows never shown.
        title: what is drawn.
        caption: what is seen.
    """
    frame = result.to_frame()
    lines = list(frame[line].unique())
    colours = colours_of([str(name) for name in lines])
    fig = go.Figure()
    for label in lines:
        rows = frame[frame[line] == label]
        fig.add_scatter(
            x=[rows[x].astype(str), [str(label)] * len(rows)],
            y=rows["value"],
            error_y=error_bars(rows),
            mode="markers",
            marker={"color": colours[str(label)], "size": 8},
            name=str(label),
        )
    if floor is not None:
        fig.add_hline(y=floor, line={"color": REFERENCE_COLOUR, "dash": "dash"}, annotation_text="never shown")
    fig.update_yaxes(rangemode="tozero")
    return apply_style(
        fig, title=title, x=x, y="memorization rate (share with M = 1)", caption=caption, intervals=frame
    )


def draw_score_histogram(result: Rates, *, panel: str, caption: str = "") -> go.Figure:
    """Share of windows in each bin of the score M, with 95 % intervals: one panel for each value of ``panel``."""
    frame = result.to_frame()
    panels = list(frame[panel].unique())
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    fig = make_subplots(
        rows=n_rows, cols=n_columns, shared_yaxes=True, shared_xaxes=True, subplot_titles=[str(p) for p in panels]
    )
    shades = sample_colorscale("Viridis", np.linspace(0.1, 0.9, frame["bin"].nunique()).tolist())
    for i, name in enumerate(panels):
        rows = frame[frame[panel] == name]
        fig.add_bar(
            x=rows["bin"].astype(str),
            y=rows["value"],
            error_y=error_bars(rows),
            marker={"color": shades},
            showlegend=False,
            row=i // n_columns + 1,
            col=i % n_columns + 1,
        )
    fig.update_layout(height=220 * n_rows + 130)
    apply_style(fig, title="Windows by score", caption=caption, intervals=frame)
    fig.update_xaxes(title_text="score M (share of right tokens)", row=n_rows)
    fig.update_yaxes(title_text="share of windows", col=1)
    return fig


def band(frame: pd.DataFrame, *, x: str, colour: str, name: str) -> list[go.Scatter]:
    """A line through ``value`` with the band from ``low`` to ``high``, for a continuous axis."""
    around = pd.concat([frame[x], frame[x][::-1]]), pd.concat([frame["high"], frame["low"][::-1]])
    return [
        go.Scatter(
            x=around[0],
            y=around[1],
            fill="toself",
            fillcolor=translucent(colour),
            line={"width": 0},
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        ),
        go.Scatter(x=frame[x], y=frame["value"], mode="lines", line={"color": colour}, legendgroup=name, name=name),
    ]
