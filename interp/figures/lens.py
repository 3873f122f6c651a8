"""Figures of layer decoding: quantities by layer for groups of windows, and where tokens are decided."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from interp.figures.curves import hover, panels, reference, rests_on
from interp.figures.style import apply_style
from interp.internal.lens.layer_decoding import Quantity

_TITLE = {
    "probability": ("Probability of the true token by layer", "mean probability"),
    "log_prob": ("Log-probability of the true token by layer", "mean log-probability (nats)"),
    "rank": ("Rank of the true token by layer", "rank + 1 (geometric mean)"),
    "entropy": ("Entropy of the decoded distribution by layer", "mean entropy (nats)"),
    "kl": ("Divergence of each layer from the final layer", "mean KL(final || layer) (nats)"),
}
LAYERS = "layers passed (0 = embeddings)"


def _told_apart(curves: pd.DataFrame) -> str:
    """The column of lenses, if there are several to be told apart."""
    return "lens" if "lens" in curves and curves["lens"].nunique() > 1 else ""


def layer_curves(curves: pd.DataFrame, quantity: Quantity, *, d_vocab: int, finding: str = "") -> go.Figure:
    """A decoded quantity by layer and group, with what a uniform guess gives.

    Args:
        curves: what ``LayerDecoding.curves(quantity)`` returns; several models stacked with a column ``model`` give a
            panel each, several lenses with a column ``lens`` a line each, the first solid.
        quantity: which one it is.
        d_vocab: size of the vocabulary, for the floor.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = panels(curves, x="depth", dash=_told_apart(curves))
    if quantity == "probability":
        reference(fig, 1 / d_vocab, f"uniform guess, 1/{d_vocab}")
    elif quantity == "log_prob":
        reference(fig, -math.log(d_vocab), "uniform guess")
    elif quantity == "entropy":
        reference(fig, math.log(d_vocab), f"uniform, log {d_vocab}")
    elif quantity == "kl":
        reference(fig, 0.0, "the final layer itself")
    if quantity == "rank":
        fig.update_yaxes(type="log")
        # log(rank + 1) of a rank drawn uniformly has mean log(d_vocab!) / d_vocab.
        reference(fig, math.exp(math.lgamma(d_vocab + 1) / d_vocab), "rank at random")
    title, y = _TITLE[quantity]
    return apply_style(fig, title=title, x=LAYERS, y=y, caption=f"{finding} {rests_on(curves)}".strip())


def layer_by_position(curves: pd.DataFrame, quantity: Quantity, *, group: str, finding: str = "") -> go.Figure:
    """A decoded quantity by layer and continuation token, for one group of one model; intervals on hover.

    Args:
        curves: what ``LayerDecoding.curves_by_position(quantity)`` returns.
        quantity: which one it is.
        group: the group that is drawn.
        finding: a sentence on what is seen, in front of the caption.
    """
    rows = curves[(curves["group"] == group) & curves["value"].notna()]
    rows = rows.assign(hover=hover(rows))
    wide = {column: rows.pivot(index="depth", columns="position", values=column) for column in ("value", "hover")}
    title, unit = _TITLE[quantity]
    fig = go.Figure(
        go.Heatmap(
            z=wide["value"],
            x=wide["value"].columns,
            y=wide["value"].index,
            customdata=wide["hover"],
            zmin=0 if quantity == "probability" else None,
            zmax=1 if quantity == "probability" else None,
            colorscale="Viridis",
            colorbar={"title": {"text": unit, "side": "right"}},
            hovertemplate="layer %{y}, token %{x}<br>%{z:.3g} %{customdata}<extra></extra>",
        )
    )
    return apply_style(
        fig,
        title=f"{title}, {group}",
        x="continuation token",
        y=LAYERS,
        caption=f"{finding} {rests_on(rows)}".strip().replace("Bands:", "On hover:"),
    )


def decided_by_layer(holding: pd.DataFrame, *, threshold: float, finding: str = "") -> go.Figure:
    """Share of continuation tokens whose probability has passed the threshold for good by each layer.

    Args:
        holding: what ``FirstLayer.holding`` returns, with columns ``model`` and ``lens`` where there are several.
        threshold: the probability it was measured at.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = panels(holding, x="depth", step=True, dash=_told_apart(holding))
    reference(fig, 0.0, "never")
    fig.update_yaxes(range=[-0.03, 1.03])
    caption = (
        f"{finding} Tokens that never hold p > {threshold:g} up to the last layer are censored there: a curve that "
        f"ends below 1 says how many. {rests_on(holding)}"
    )
    return apply_style(
        fig, title=f"Layer from which p > {threshold:g} holds", x=LAYERS, y="share of tokens", caption=caption.strip()
    )
