"""Figures of domains: rate, share of memorized windows, and structural share, by model."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style
from interp.statistical.domains import Domains


def draw_domain_rates(result: Domains, *, x: str = "model", caption: str = "") -> go.Figure:
    """Rate in each domain by the values of ``x``, with 95 % intervals."""
    frame = result.rates.to_frame()
    return apply_style(
        _points(frame, x, "domain"),
        title="Memorization by domain",
        x=x,
        y="memorization rate (share with M = 1)",
        caption=caption,
    )


def draw_domain_shares(result: Domains, *, x: str = "model", caption: str = "") -> go.Figure:
    """Each domain's share of the memorized windows by the values of ``x``, with 95 % intervals.

    The dashed lines are the domains' shares of the windows asked about: points on them say that no domain is favoured.
    """
    frame = result.shares.to_frame()
    fig = _points(frame, x, "domain")
    for value in result.windows.to_frame().groupby("domain")["value"].mean().round(6).unique():
        fig.add_hline(y=value, line={"color": REFERENCE_COLOUR, "dash": "dash", "width": 1})
    return apply_style(
        fig, title="Domains of memorized windows", x=x, y="share of the memorized windows", caption=caption
    )


def draw_structural_share(result: Domains, *, x: str = "model", line: str = "model", caption: str = "") -> go.Figure:
    """Structural share of the memorized windows by ``x``, a colour for each value of ``line``, with 95 % intervals.

    The dashed line is the structural share of the windows asked about.
    """
    fig = _points(result.structural.to_frame(), x, line)
    floor = result.structural_windows.to_frame()["value"].mean()
    fig.add_hline(
        y=floor, line={"color": REFERENCE_COLOUR, "dash": "dash"}, annotation_text="share of the windows asked about"
    )
    return apply_style(fig, title="Structural text among memorized windows", x=x, y="structural share", caption=caption)


def _points(frame: pd.DataFrame, x: str, line: str) -> go.Figure:
    """Points with intervals, those of one ``x`` side by side."""
    lines = list(frame[line].astype(str).unique())
    colours = colours_of(lines)
    fig = go.Figure()
    for name in lines:
        rows = frame[frame[line].astype(str) == name]
        fig.add_scatter(
            x=rows[x].astype(str),
            y=rows["value"],
            error_y=error_bars(rows),
            mode="markers",
            marker={"size": 8, "color": colours[name]},
            offsetgroup=name,
            name=name,
        )
    fig.update_layout(scattermode="group", scattergap=0.3)
    return fig.update_yaxes(rangemode="tozero")
