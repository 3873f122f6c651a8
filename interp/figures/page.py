"""A figure as its own page, with the caption below."""

from __future__ import annotations

import textwrap
from pathlib import Path

import plotly.graph_objects as go

from interp.files import PAGE_SUFFIXES, check_suffix, write_text


def captioned(fig: go.Figure) -> go.Figure:
    """A copy of a figure that shows its caption (from ``apply_style``) below the plot."""
    lines = textwrap.wrap((fig.layout.meta or {}).get("caption", ""), 120)
    if not lines:
        return go.Figure(fig)
    above, more = fig.layout.margin.b + 8, 24 + 18 * len(lines)
    drawn = go.Figure(fig).add_annotation(
        text="<br>".join(lines), x=0, y=0, xref="paper", yref="paper", yshift=-above,
        xanchor="left", yanchor="top", align="left", showarrow=False, font={"size": 12},
    )  # fmt: skip
    return drawn.update_layout(margin_b=above + more, height=fig.layout.height + more)


def write_page(fig: go.Figure, path: Path, *, plotlyjs: bool | str = True) -> Path:
    """Write a figure with its caption as HTML.

    Args:
        fig: any figure of the suite.
        path: path of the page. Folders are made.
        plotlyjs: True for a self-contained page (with 4.5 MB of script), or the address of a shared plotly script.

    Raises:
        OutputError: the suffix belongs to another format, such as ``.png``.
    """
    check_suffix(path, PAGE_SUFFIXES)
    page = captioned(fig).to_html(include_plotlyjs=plotlyjs, div_id=path.stem)
    return write_text(path, page)
