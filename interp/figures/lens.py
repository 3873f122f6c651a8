"""Figures of layer decoding: quantities by layer and group, and the layer where tokens are decided."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines
from interp.figures.marks import hover, reference
from interp.figures.style import LAYERS, apply_style
from interp.internal.lens.layer_decoding import Quantity

_TITLE = {
    "probability": ("Probability of the true token by layer", "mean probability"),
    "log_prob": ("Log-probability of the true token by layer", "mean log-probability (nats)"),
    "rank": ("Rank of the true token by layer", "rank + 1 (geometric mean)"),
    "entropy": ("Entropy of the decoded distribution by layer", "mean entropy (nats)"),
    "kl": ("Divergence of each layer from the final layer", "mean KL(final || layer) (nats)"),
}
_BANDS = "Bands: 95 % intervals by document"


def _lines(curves: pd.DataFrame, *, step: bool = False) -> go.Figure:
    """Lines with a panel per model and a dash per lens, if there are several."""
    panel, lens = ("model" if "model" in curves else ""), ("lens" if "lens" in curves else "")
    return lines(curves, x="depth", colour="group", panel=panel, dash=lens, step=step)


def draw_layers(curves: pd.DataFrame, quantity: Quantity, *, d_vocab: int, caption: str = "") -> go.Figure:
    """A decoded quantity by layer and group, with the value of a uniform guess.

    Args:
        curves: result of ``LayerDecoding.curves(quantity)``. Several models stacked with a column ``model`` have a
            panel each. Several lenses with a column ``lens`` have a line each, the first solid.
        quantity: the quantity drawn.
        d_vocab: size of the vocabulary, for the floor.
        caption: what the figure shows.
    """
    fig = _lines(curves)
    if quantity == "rank":
        fig.update_yaxes(type="log")
    level, label = {
        "probability": (1 / d_vocab, f"uniform guess, 1/{d_vocab}"),
        "log_prob": (-math.log(d_vocab), "uniform guess"),
        # log(rank + 1) of a rank drawn uniformly has mean log(d_vocab!) / d_vocab.
        "rank": (math.exp(math.lgamma(d_vocab + 1) / d_vocab), "rank at random"),
        "entropy": (math.log(d_vocab), f"uniform, log {d_vocab}"),
        "kl": (0.0, "the final layer itself"),
    }[quantity]
    reference(fig, level, label)
    title, y = _TITLE[quantity]
    return apply_style(fig, title=title, x=LAYERS, y=y, key=_BANDS, caption=caption, intervals=curves)


def draw_layer_by_position(curves: pd.DataFrame, quantity: Quantity, *, group: str, caption: str = "") -> go.Figure:
    """A decoded quantity by layer and continuation token, for one group of one model, with intervals on hover.

    Args:
        curves: result of ``LayerDecoding.curves_by_position(quantity)``.
        quantity: the quantity drawn.
        group: the group to draw.
        caption: what the figure shows.
    """
    rows = curves[(curves["group"] == group) & curves["value"].notna()]
    title, unit = _TITLE[quantity]
    share = {"zmin": 0, "zmax": 1} if quantity == "probability" else {}
    fig = go.Figure(
        go.Heatmap(
            x=rows["position"], y=rows["depth"], z=rows["value"], customdata=hover(rows), colorscale="Viridis",
            colorbar={"title": {"text": unit, "side": "right"}, "thickness": 12},
            hovertemplate="layer %{y}, token %{x}<br>%{customdata}<extra></extra>", **share,
        )
    )  # fmt: skip
    return apply_style(
        fig,
        title=f"{title}, {group}",
        x="continuation token",
        y=LAYERS,
        key="95 % intervals by document on hover",
        caption=caption,
        intervals=rows,
    )


def draw_decided(holding: pd.DataFrame, *, threshold: float, caption: str = "") -> go.Figure:
    """Share of continuation tokens whose probability stays above the threshold from each layer on.

    Args:
        holding: result of ``FirstLayer.holding``, with columns ``model`` and ``lens`` if there are several.
        threshold: the threshold of the measurement.
        caption: what the figure shows.
    """
    fig = reference(_lines(holding, step=True), 0.0, "never").update_yaxes(range=[-0.03, 1.03])
    return apply_style(
        fig,
        title=f"Layer from which p > {threshold:g} holds",
        x=LAYERS,
        y="share of tokens",
        key=f"The gap to 1 at the end: share of tokens without p > {threshold:g} in the last layer. {_BANDS}",
        caption=caption,
        intervals=holding,
    )
