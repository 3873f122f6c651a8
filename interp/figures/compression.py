"""Figures of compression: how short a prefix still triggers a memorized continuation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines, points
from interp.figures.marks import reference
from interp.figures.style import apply_style

_RATIO = "compression ratio (shortest prefix / whole prefix)"
_QUANTITIES = {"ratio": "shortest", "ratio_every_longer": "every longer works"}


def draw_ratio_distribution(shares: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Share of memorized windows whose ratio is at most x, with 95 % bands.

    Args:
        shares: result of ``ratio_distribution``, by ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what the figure shows.
    """
    fig = lines(shares, x="ratio", colour=line, panel=panel, step=True)
    reference(fig, 0.5, lying=True, dash="dash")
    fig.update_xaxes(range=[0, 1.02]).update_yaxes(range=[0, 1.02])
    return apply_style(
        fig,
        title="How much of the prefix is needed",
        x=_RATIO,
        y="share of memorized windows",
        key="Bands: 95 % intervals by document. Dashed: half of the prefix",
        caption=caption,
        intervals=shares,
    )


def draw_compression(summary: pd.DataFrame, *, line: str, caption: str = "") -> go.Figure:
    """Mean ratio of each model with 95 % intervals: of the shortest prefix, and of that from which every longer works.

    Args:
        summary: result of ``compression_summary``, by ``model`` and ``line``.
        line: column of the colours, such as ``domain``.
        caption: what the figure shows.
    """
    rows = summary[summary["quantity"].isin(_QUANTITIES)]
    rows = rows.assign(quantity=rows["quantity"].map(_QUANTITIES))
    fig = points(rows, by="model", colour=line, symbol="quantity", apart=False, lying=True)
    reference(fig, 0.5, lying=True, dash="dash").update_xaxes(range=[0, 1.02])
    return apply_style(
        fig,
        title="Compression ratio of memorized windows",
        x=_RATIO,
        y="",
        key="Bars: 95 % intervals by document. Dashed: half of the prefix",
        caption=caption,
        intervals=rows,
    )


def draw_text_size(sizes: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Compressed size of the text by domain and group, with 95 % intervals, a panel for each compressor.

    Args:
        sizes: columns ``compressor``, ``domain``, ``group``, ``value``, ``low``, ``high``, ``n``,
            ``n_documents``; in bits per token.
        caption: what the figure shows.
    """
    fig = points(sizes, by="domain", colour="group", panel="compressor").update_yaxes(rangemode="tozero")
    return apply_style(
        fig,
        title="How predictable the text is by itself",
        x="domain",
        y="compressed size (bits per token)",
        key="Bars: 95 % intervals by document",
        caption=caption,
        intervals=sizes,
    )
