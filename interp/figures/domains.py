"""Figures of domains: rate, share of memorized windows, and structural share, by model."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style
from interp.statistical.domains import Domains


def draw_domain_rates(result: Domains, *, of: str = "model", caption: str = "") -> go.Figure:
    """Rate in each domain, a row for each value of ``of``, with 95 % intervals."""
    frame = result.rates.to_frame()
    return apply_style(
        _points(frame, of, "domain"),
        title="Memorization by domain",
        x="memorization rate (share with M = 1)",
        y="",
        caption=caption,
        intervals=frame,
    )


def draw_domain_shares(result: Domains, *, of: str = "model", caption: str = "") -> go.Figure:
    """Each domain's share of the memorized windows, a row for each value of ``of``, with 95 % intervals.

    The dashed lines are the domains' shares of the windows asked about: points on them say that no domain is favoured.
    """
    frame = result.shares.to_frame()
    fig = _points(frame, of, "domain")
    for value in result.windows.to_frame().groupby("domain")["value"].mean().round(6).unique():
        fig.add_vline(x=value, line={"color": REFERENCE_COLOUR, "dash": "dash", "width": 1})
    return apply_style(
        fig,
        title="Domains of memorized windows",
        x="share of the memorized windows",
        y="",
        caption=caption,
        intervals=frame,
    )


def draw_structural_share(result: Domains, *, of: str = "model", line: str = "model", caption: str = "") -> go.Figure:
    """Structural share of the memorized windows, a row for each value of ``of`` and a colour for each of ``line``, with
    95 % intervals.

    The dashed line is the structural share of the windows asked about.
    """
    frame = result.structural.to_frame()
    fig = _points(frame, of, line)
    floor = result.structural_windows.to_frame()["value"].mean()
    fig.add_vline(
        x=floor, line={"color": REFERENCE_COLOUR, "dash": "dash"}, annotation_text="share of the windows asked about"
    )
    return apply_style(
        fig,
        title="Structural text among memorized windows",
        x="structural share",
        y="",
        caption=caption,
        intervals=frame,
    )


def _points(frame: pd.DataFrame, of: str, line: str) -> go.Figure:
    """Points with intervals, those of one ``of`` below one another."""
    lines = list(frame[line].astype(str).unique())
    colours = colours_of(lines)
    fig = go.Figure()
    for name in lines:
        rows = frame[frame[line].astype(str) == name]
        fig.add_scatter(
            x=rows["value"],
            y=rows[of].astype(str),
            error_x=error_bars(rows),
            mode="markers",
            orientation="h",
            marker={"size": 7, "color": colours[name]},
            offsetgroup=name,
            name=name,
        )
    n_points = frame[of].nunique() * (len(lines) if of != line else 1)
    fig.update_layout(scattermode="group", scattergap=0.3, height=200 + 10 * max(n_points, 4 * frame[of].nunique()))
    return fig.update_xaxes(rangemode="tozero").update_yaxes(autorange="reversed")
