"""The look of every figure: one colour a family, one template, a sentence under each that says what is seen."""

from __future__ import annotations

import plotly.graph_objects as go

FAMILY_COLOURS = {
    "Pythia": "#0072B2",
    "OpenLLaMA": "#E69F00",
    "StarCoder": "#009E73",
    "OLMo1": "#CC79A7",
    "OLMo2": "#D55E00",
    "OLMo3": "#56B4E9",
}
"""Okabe and Ito's palette, told apart with every common colour blindness."""

GROUP_COLOURS = {"memorized": "#D55E00", "unmemorized": "#0072B2", "matched": "#009E73"}
REFERENCE_COLOUR = "#767676"
"""Floors, controls and chance levels."""

DIVERGING = "RdBu_r"
"""For signed quantities, always with zero in the middle."""


def apply_style(
    fig: go.Figure, *, title: str, x: str | None = None, y: str | None = None, caption: str = ""
) -> go.Figure:
    """Apply the suite's template to a figure and return it.

    Args:
        fig: any plotly figure.
        title: what is drawn.
        x: title of every x axis, with its unit; left as it is unless given.
        y: the same for y.
        caption: what is seen, with the windows and models it rests on.
    """
    fig.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        legend={"title": None},
        margin={"l": 64, "r": 24, "t": 56, "b": 64},
    )
    if x is not None:
        fig.update_xaxes(title_text=x)
    if y is not None:
        fig.update_yaxes(title_text=y)
    if caption:
        fig.update_layout(meta={"caption": caption})
    return fig


def translucent(colour: str, opacity: float = 0.2) -> str:
    """A hex colour as an ``rgba`` string, for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
