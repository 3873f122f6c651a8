"""Figures of rates: dose-response curves, rates by group, and the histogram of scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from scipy.special import expit

from interp.figures.charts import points
from interp.figures.marks import add_curve, add_points, bars, hover, panels, reference
from interp.figures.style import RATE, apply_style, colours_of


def draw_dose_response(
    rates: pd.DataFrame, fits: pd.DataFrame, *, panel: str, line: str, caption: str = ""
) -> go.Figure:
    """Rate against the number of showings, with the logistic fit in log2 of that number.

    Args:
        rates: rates of each group at each ``count``: the table of ``DoseResponse.rates``.
        fits: curves of the groups: ``DoseResponse.to_frame``.
        panel: column of the panels.
        line: column of the colours.
        caption: what the figure shows.
    """
    names = list(rates[panel].unique())
    colours = colours_of(rates[line].astype(str))
    fig, places = panels([str(name) for name in names], shared_yaxes=True)
    for at, name in zip(places, names, strict=True):
        for label, rows in rates[rates[panel] == name].groupby(line, sort=False):
            colour = colours[str(label)]
            shown, floor = rows[rows["count"] > 0], rows[rows["count"] == 0]
            if shown.empty:
                continue
            add_points(fig, shown, shown["count"], name=str(label), colour=colour, at=at)
            doses = np.geomspace(shown["count"].min(), shown["count"].max(), 100)
            fitted = fits[(fits[panel] == name) & (fits[line] == label)][["value", "intercept", "slope"]]
            for half, intercept, slope in fitted.to_numpy():
                curve = expit(intercept + slope * np.log2(doses))
                add_curve(fig, doses, curve, name=str(label), colour=colour, at=at)
                add_curve(fig, [half], [0.5], name=str(label), colour=colour, symbol="diamond-open", at=at)
            for value in floor["value"]:
                reference(fig, value, colour=colour, at=at)
    reference(fig, 0.5, dash="dash")
    counts = sorted(rates.loc[rates["count"] > 0, "count"].unique())
    ticks = [f"{c:g}" if i % 2 == 0 else "" for i, c in enumerate(counts)]
    fig.update_xaxes(type="log", tickvals=counts, ticktext=ticks)
    fig.update_yaxes(range=[-0.03, 1.03])
    return apply_style(
        fig,
        title="Memorization against repetition",
        x="times shown in training",
        y=RATE,
        key="Bars: 95 % intervals by document. Curves: logistic in log2 of the count. Diamonds: half memorized. "
        "Dotted: never shown",
        caption=caption,
        intervals=rates,
    )


def draw_rates(rates: pd.DataFrame, *, x: str, line: str, caption: str = "") -> go.Figure:
    """Rates as points with 95 % intervals over the values of ``x``, with a colour for each value of ``line``.

    Args:
        rates: ``Rates.to_frame``.
        x: column of the categories.
        line: column of the colours.
        caption: what the figure shows.
    """
    fig = points(rates, by=x, colour=line)
    fig.update_yaxes(rangemode="tozero")
    bars_are = "Bars: 95 % intervals by document"
    return apply_style(fig, title="Memorization rate", x=x, y=RATE, key=bars_are, caption=caption, intervals=rates)


def draw_score_histogram(shares: pd.DataFrame, *, panel: str, caption: str = "") -> go.Figure:
    """Share of windows in each bin of the score M, with 95 % intervals.

    Args:
        shares: the table of ``score_histogram``.
        panel: column of the panels.
        caption: what the figure shows.
    """
    names = list(shares[panel].unique())
    fig, places = panels([str(name) for name in names], height=220, shared_yaxes=True, shared_xaxes=True)
    shades = sample_colorscale("Viridis", np.linspace(0.1, 0.9, shares["bin"].nunique()).tolist())
    for at, name in zip(places, names, strict=True):
        rows = shares[shares[panel] == name]
        fig.add_bar(
            x=rows["bin"].astype(str), y=rows["value"], error_y=bars(rows), marker={"color": shades}, showlegend=False,
            customdata=hover(rows), hovertemplate="M %{x}: %{customdata}<extra></extra>", **at,
        )  # fmt: skip
    return apply_style(
        fig,
        title="Windows by score",
        x="score M (share of correct tokens)",
        y="share of windows",
        key="Bars: 95 % intervals by document",
        caption=caption,
        intervals=shares,
    )
