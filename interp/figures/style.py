"""Style of all figures: one colour per family, one template, and a caption that says what is seen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from interp.errors import InterpError
from interp.wording import rests_on


class FigureError(InterpError, ValueError):
    """The figure cannot be drawn from the given data."""


FAMILY_COLOURS = {
    "Pythia": "#0072B2",
    "OpenLLaMA": "#E69F00",
    "StarCoder": "#009E73",
    "OLMo1": "#CC79A7",
    "OLMo2": "#D55E00",
    "OLMo3": "#56B4E9",
}
"""Okabe and Ito's palette, safe for common colour blindness."""

GROUP_COLOURS = {"memorized": "#D55E00", "unmemorized": "#0072B2", "matched": "#009E73"}
REFERENCE_COLOUR = "#767676"
"""Floors, controls and chance levels."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#767676")
"""For names without a colour of their own."""

DIVERGING = "RdBu_r"
"""For signed quantities, always with zero in the middle."""

RATE = "memorization rate (share with M = 1)"
STILL_MEMORIZED = "share of windows with M = 1"
FALL = "fall (nats per token)"
LAYERS = "layers passed (0 = embeddings)"


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: a family's or group's own, otherwise the next free colour of the palette."""
    known = FAMILY_COLOURS | GROUP_COLOURS
    names = list(dict.fromkeys(names))
    own = {name: known[name] for name in names if name in known}
    spare = [colour for colour in PALETTE if colour not in own.values()] or list(PALETTE)
    others = [name for name in names if name not in own]
    return own | {name: spare[i % len(spare)] for i, name in enumerate(others)}


def translucent(colour: str, opacity: float = 0.2) -> str:
    """A hex colour as an ``rgba`` string, for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def apply_style(
    fig: go.Figure,
    *,
    title: str,
    x: str | None = None,
    y: str | None = None,
    key: str = "",
    caption: str = "",
    intervals: pd.DataFrame | None = None,
) -> go.Figure:
    """Apply the suite's template to a figure and return it.

    Args:
        fig: any plotly figure.
        title: title of the figure.
        x: title of the x axis, with its unit. With several panels it is under the lowest of each column. Default:
            unchanged.
        y: the same for y, left of the first panel of each row.
        key: meaning of the marks; it follows the caption.
        caption: what is seen, with the windows and models it rests on.
        intervals: the drawn estimates, so that the caption can give the number of their documents.
    """
    said = [caption, key, "" if intervals is None else rests_on(intervals)]
    caption = " ".join(f"{text.strip().rstrip('.')}." for text in said if text.strip())
    fig.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        legend={"title": None, "traceorder": "normal"},
        margin={"l": 64, "r": 24, "t": 80 if fig.layout.annotations else 56, "b": fig.layout.margin.b or 64},
        height=fig.layout.height or 420,
    )
    below, left = _outer_axes(fig)
    # Titles of adjacent panels must not overlap.
    x = "<br>".join(textwrap.wrap(x, 34)) if x and len(below) > 1 else x
    for axis in fig.select_xaxes():
        axis.title.font = {"size": 13}
        axis.title.text = axis.title.text if x is None else x if axis.plotly_name in below else None
    for axis in fig.select_yaxes():
        axis.title.font = {"size": 13}
        axis.title.text = axis.title.text if y is None else y if axis.plotly_name in left else None
    if caption:
        fig.update_layout(meta={"caption": caption})
    return fig


def _outer_axes(fig: go.Figure) -> tuple[set[str], set[str]]:
    """Names of the x axes without a panel below them, and of the y axes without one to their left.

    An empty place of the grid is not a panel.
    """
    used = {getattr(trace, "xaxis", None) or "x" for trace in fig.data}
    below: dict[float, tuple[float, str]] = {}
    left: dict[float, tuple[float, str]] = {}
    for x in fig.select_xaxes():
        if x.plotly_name.replace("axis", "") not in used:
            continue
        y = fig.layout[f"yaxis{(x.anchor or 'y').removeprefix('y')}"]
        # A figure with one panel has no domains.
        column, row = (x.domain or (0.0,))[0], (y.domain or (0.0,))[0]
        below[column] = min(below.get(column, (row, x.plotly_name)), (row, x.plotly_name))
        left[row] = min(left.get(row, (column, y.plotly_name)), (column, y.plotly_name))
    return {name for _, name in below.values()}, {name for _, name in left.values()}
