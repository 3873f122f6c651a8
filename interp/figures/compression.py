"""Figures of compression: how short a prefix brings a memorized continuation back."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.rates import colours_of, error_bars
from interp.figures.style import GROUP_COLOURS, REFERENCE_COLOUR, apply_style, translucent

_RATIO = "compression ratio (shortest prefix / whole prefix)"


def draw_ratio_distribution(shares: pd.DataFrame, *, panel: str, line: str, caption: str = "") -> go.Figure:
    """Share of memorized windows whose ratio is at most x, with 95 % bands: a panel for each ``panel``, a curve for
    each ``line``.

    Args:
        shares: what ``ratio_distribution`` returns, by ``panel`` and ``line``.
        panel: column of the panels.
        line: column of the colours.
        caption: what is seen.
    """
    panels, lines = list(shares[panel].unique()), list(shares[line].unique())
    colours = colours_of([str(name) for name in lines])
    fig = make_subplots(rows=1, cols=max(1, len(panels)), shared_yaxes=True, subplot_titles=[str(p) for p in panels])
    labelled = set()
    for column, name in enumerate(panels, start=1):
        for label in lines:
            rows = shares[(shares[panel] == name) & (shares[line] == label)].sort_values("ratio")
            if rows.empty:
                continue
            colour, group = colours[str(label)], {"legendgroup": str(label)}
            edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False}
            place = {"row": 1, "col": column}
            fig.add_scatter(x=rows["ratio"], y=rows["low"], **edge, **group, **place)
            fig.add_scatter(
                x=rows["ratio"], y=rows["high"], fill="tonexty", fillcolor=translucent(colour, 0.12),
                **edge, **group, **place,
            )  # fmt: skip
            fig.add_scatter(
                x=rows["ratio"],
                y=rows["value"],
                mode="lines",
                line={"color": colour, "shape": "hv"},
                name=str(label),
                hovertext=f"{rows['n'].iloc[0]} windows of {rows['n_clusters'].iloc[0]} documents",
                showlegend=label not in labelled,
                **group,
                **place,
            )
            labelled.add(label)
    fig.add_vline(x=0.5, line={"color": REFERENCE_COLOUR, "dash": "dash", "width": 1})
    fig.update_xaxes(range=[0, 1.02]).update_yaxes(range=[0, 1.02])
    apply_style(fig, title="How much of the prefix is needed", caption=caption, intervals=shares)
    fig.update_xaxes(title_text=_RATIO, col=(len(panels) + 1) // 2)
    return fig.update_yaxes(title_text="share of memorized windows", col=1)


def draw_compression(summary: pd.DataFrame, *, line: str, caption: str = "") -> go.Figure:
    """Mean ratio of each model with 95 % intervals; filled for the shortest prefix, open for the one from which every
    longer one works.

    Args:
        summary: what ``compression_summary`` returns, by ``model`` and ``line``.
        line: column of the colours, such as ``domain``.
        caption: what is seen.
    """
    colours = colours_of([str(name) for name in summary[line].unique()])
    fig = go.Figure()
    symbols = {"ratio": "circle", "ratio_every_longer": "circle-open"}
    for quantity, symbol in symbols.items():
        for label, rows in summary[summary["quantity"] == quantity].groupby(line, sort=False):
            fig.add_scatter(
                x=rows["value"],
                y=rows["model"].astype(str),
                error_x=error_bars(rows),
                mode="markers",
                orientation="h",  # lines of one model stand below one another
                marker={"color": colours[str(label)], "size": 7, "symbol": symbol},
                name=f"{label}, {'shortest' if quantity == 'ratio' else 'every longer works'}",
                offsetgroup=str(label),
                legendgroup=str(label),
            )
    fig.add_vline(x=0.5, line={"color": REFERENCE_COLOUR, "dash": "dash"}, annotation_text="0.5")
    fig.update_xaxes(range=[0, 1.02]).update_yaxes(autorange="reversed")
    fig.update_layout(scattermode="group", scattergap=0.25, height=160 + 40 * summary["model"].nunique())
    return apply_style(
        fig, title="Compression ratio of memorized windows", x=_RATIO, y="", caption=caption, intervals=summary
    )


def draw_text_size(sizes: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Compressed size of the text by domain and group, with 95 % intervals, a panel for each compressor.

    Args:
        sizes: columns ``compressor``, ``domain``, ``group``, ``value``, ``low``, ``high``, ``n``,
            ``n_documents``; bits a token.
        caption: what is seen.
    """
    compressors, groups = list(sizes["compressor"].unique()), list(sizes["group"].unique())
    spare = colours_of([str(group) for group in groups])
    fig = make_subplots(rows=1, cols=len(compressors), shared_yaxes=True, subplot_titles=compressors)
    for column, compressor in enumerate(compressors, start=1):
        for group in groups:
            rows = sizes[(sizes["compressor"] == compressor) & (sizes["group"] == group)]
            fig.add_scatter(
                x=rows["domain"].astype(str),
                y=rows["value"],
                error_y=error_bars(rows),
                mode="markers",
                marker={"color": GROUP_COLOURS.get(str(group), spare[str(group)]), "size": 9},
                offsetgroup=str(group),
                legendgroup=str(group),
                name=str(group),
                showlegend=column == 1,
                row=1,
                col=column,
            )
    fig.update_layout(scattermode="group", scattergap=0.4)
    fig.update_yaxes(rangemode="tozero")
    apply_style(fig, title="How predictable the text is by itself", x="", caption=caption, intervals=sizes)
    return fig.update_yaxes(title_text="compressed size (bits a token)", col=1)
