"""Figures of domains: rate, share of memorized windows, and structural share, by model."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import points
from interp.figures.marks import reference
from interp.figures.style import RATE, apply_style

_BARS = "Bars: 95 % intervals by document"


def draw_domain_rates(domains: pd.DataFrame, *, of: str = "model", caption: str = "") -> go.Figure:
    """Rate in each domain with 95 % intervals, with a row for each value of ``of``.

    Args:
        domains: ``Domains.to_frame``.
        of: column of the rows.
        caption: what the figure shows.
    """
    rates = domains[domains["quantity"] == "rate"]
    fig = points(rates, by=of, colour="domain", lying=True).update_xaxes(rangemode="tozero")
    return apply_style(fig, title="Memorization by domain", x=RATE, y="", key=_BARS, caption=caption, intervals=rates)


def draw_domain_shares(domains: pd.DataFrame, *, of: str = "model", caption: str = "") -> go.Figure:
    """Each domain's share of the memorized windows with 95 % intervals, with a row for each value of ``of``.

    The dashed lines are the domains' shares of all measured windows. Points on them mean that no domain is favoured.

    Args:
        domains: ``Domains.to_frame``.
        of: column of the rows.
        caption: what the figure shows.
    """
    shares, asked = (domains[domains["quantity"] == name] for name in ("share", "share of windows"))
    fig = points(shares, by=of, colour="domain", lying=True).update_xaxes(rangemode="tozero")
    for value in asked.groupby("domain")["value"].mean().round(6).unique():
        reference(fig, value, lying=True, dash="dash")
    key = f"{_BARS}. Dashed: shares of all measured windows"
    return apply_style(
        fig,
        title="Domains of memorized windows",
        x="share of the memorized windows",
        y="",
        key=key,
        caption=caption,
        intervals=shares,
    )


def draw_structural_share(
    domains: pd.DataFrame, *, of: str = "model", line: str = "model", caption: str = ""
) -> go.Figure:
    """Structural share of the memorized windows with 95 % intervals, beside that of all measured windows.

    Args:
        domains: ``Domains.to_frame``.
        of: column of the rows.
        line: column of the colours.
        caption: what the figure shows.
    """
    names = ("structural share", "structural share of windows")
    shares, asked = (domains[domains["quantity"] == name] for name in names)
    fig = points(shares, by=of, colour=line, lying=True).update_xaxes(rangemode="tozero")
    reference(fig, asked["value"].mean(), lying=True, dash="dash")
    return apply_style(
        fig,
        title="Structural text among memorized windows",
        x="structural share of the memorized windows",
        y="",
        key=f"{_BARS}. Dashed: share of all measured windows",
        caption=caption,
        intervals=shares,
    )
