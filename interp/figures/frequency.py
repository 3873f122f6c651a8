"""Figures of corpus frequency: by position, with the boundary of the continuation, and the step at it."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines, points
from interp.figures.marks import reference
from interp.figures.style import apply_style

_MEAN_LOG = "mean log10(1 + count)"


def draw_frequency(curves: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Mean log count of the n-gram that ends at each position, with 95 % bands: a panel per n, a line per group.

    Args:
        curves: ``Frequency.curves``.
        caption: what the figure shows.
    """
    fig = lines(
        curves.assign(ngram=curves["length"].map("{}-grams".format)), x="position", colour="group", panel="ngram"
    )
    reference(fig, -0.5, lying=True, dash="dash")
    return apply_style(
        fig,
        title="Corpus frequency by position",
        x="last token of the n-gram (0: first of the continuation)",
        y=_MEAN_LOG,
        key="Bands: 95 % intervals by document. Dashed: start of the continuation",
        caption=caption,
        intervals=curves,
    )


def draw_boundary(steps: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """The step in mean log count from prefix to continuation, by n and group, with 95 % intervals.

    Args:
        steps: ``Frequency.boundary``.
        caption: what the figure shows.
    """
    fig = reference(points(steps, by="length", colour="group"), 0.0)
    return apply_style(
        fig,
        title="Is the continuation more frequent than the prefix?",
        x="tokens of the n-gram",
        y=f"step of {_MEAN_LOG}",
        key="Bars: 95 % intervals by document. Dotted: no step",
        caption=caption,
        intervals=steps,
    )
