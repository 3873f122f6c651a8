"""Figures of noise and recovery: by layer, by noise level, and which prefix tokens carry the memory."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import plotly.graph_objects as go

from interp.figures.charts import lines
from interp.figures.marks import reference
from interp.figures.style import FALL, LAYERS, STILL_MEMORIZED, FigureError, apply_style
from interp.internal.noise.perturbation import Recovery
from interp.internal.noise.substitution import Loss
from interp.several import several

_RECOVERY = {
    "cosine": ("cosine of clean and noisy stream", 1.0),
    "centred_cosine": ("cosine after subtracting the mean", 1.0),
    "lens_kl": ("KL(clean || noisy) (nats)", 0.0),
}
_SCORE = {
    "rate": STILL_MEMORIZED,
    "score": "mean score M (share of correct tokens)",
    "log_prob": "log-probability (nats per token)",
    "structural_share": "structural share of windows with M = 1",
}
_LOSS = {
    "fall": ("Tokens replaced together", FALL, 0.0, "no effect"),
    "memorized": ("Still memorized with tokens replaced together", STILL_MEMORIZED, 1.0, "all"),
}
_BANDS = "Bands: 95 % intervals by document"


def _panel(table: pd.DataFrame) -> str:
    return "model" if "model" in table else ""


def draw_recovery(curves: pd.DataFrame, quantity: Recovery, *, caption: str = "") -> go.Figure:
    """Recovery by layer and group, with a panel per model if there are several (at one alpha), otherwise per alpha.

    Args:
        curves: result of ``Perturbation.curves(quantity)``, with a column ``model`` if several are stacked.
        quantity: the quantity drawn.
        caption: what the figure shows.

    Raises:
        FigureError: there are several models and several alphas; choose one alpha.
    """
    alphas = list(curves["alpha"].unique())
    if "model" in curves and len(alphas) > 1:
        raise FigureError(f"curves of several models at alphas {alphas}: choose one alpha")
    fig = lines(curves, x="depth", colour="group", panel=_panel(curves) or "alpha")
    y, full = _RECOVERY[quantity]
    reference(fig, full, "full recovery")
    key = f"Noise alpha = {alphas[0]:g}. {_BANDS}" if len(alphas) == 1 else _BANDS
    return apply_style(
        fig, title="Recovery from noise by layer", x=LAYERS, y=y, key=key, caption=caption, intervals=curves
    )


def draw_scores_by_noise(scores: pd.DataFrame, statistic: str, *, caption: str = "") -> go.Figure:
    """A score by noise level and group.

    Args:
        scores: result of ``Perturbation.scores``, with a column ``model`` if several are stacked.
        statistic: ``rate``, ``score``, ``log_prob`` or ``structural_share``.
        caption: what the figure shows.
    """
    chosen = scores[scores["statistic"] == statistic]
    fig = lines(chosen, x="alpha", colour="group", panel=_panel(chosen))
    # All panels cover all alphas, even if no window with M = 1 is left.
    fig.update_xaxes(range=[chosen["alpha"].min() - 0.02, chosen["alpha"].max() + 0.02])
    if statistic != "log_prob":
        fig.update_yaxes(range=[-0.03, 1.03])
    return apply_style(
        fig,
        title="The text under noise",
        x="noise alpha (relative to rms)",
        y=_SCORE[statistic],
        key=f"alpha = 0 is the undisturbed model. {_BANDS}",
        caption=caption,
        intervals=chosen,
    )


def draw_carried(curves: pd.DataFrame, *, caption: str = "") -> go.Figure:
    """Fall of the continuation's log-probability by the replaced prefix position.

    Args:
        curves: result of ``Substitution.curves``, with a column ``model`` if several are stacked.
        caption: what the figure shows.
    """
    fig = reference(lines(curves, x="position", colour="group", panel=_panel(curves)), 0.0, "no effect")
    return apply_style(
        fig,
        title="Which prefix tokens carry the text",
        x="replaced prefix position",
        y=FALL,
        key=f"Fall in the log-probability of a continuation token. {_BANDS}",
        caption=caption,
        intervals=curves,
    )


def draw_carried_together(
    curves: pd.DataFrame, quantity: Loss, *, groups: str | Collection[str], caption: str = ""
) -> go.Figure:
    """Loss by the number of prefix tokens replaced at once, at either end of the prefix.

    Args:
        curves: result of ``Substitution.curves(quantity)`` for the sets of ``ends``, with a column ``model`` if several
            are stacked.
        quantity: the quantity drawn.
        groups: the groups to draw, with a line for each end.
        caption: what the figure shows.

    Raises:
        FigureError: a group is not among the curves.
    """
    groups = several(groups)
    unknown = sorted(set(groups) - set(curves["group"]))
    if unknown:
        raise FigureError(f"no group {unknown}; the curves have {sorted(curves['group'].unique())}")
    rows = curves[curves["group"].isin(groups)]
    rows = rows.assign(end=rows["set"].str.split(" ").str[0] + " tokens")
    fig = lines(rows, x="n_positions", colour="group", panel=_panel(rows), dash="end")
    title, y, level, label = _LOSS[quantity]
    reference(fig, level, label)
    if quantity == "memorized":
        fig.update_yaxes(range=[-0.03, 1.1])
    # Each size is about twice the one before.
    fig.update_xaxes(type="log", tickvals=sorted(rows["n_positions"].unique()))
    what = "Fall in the log-probability of a continuation token. " if quantity == "fall" else ""
    return apply_style(
        fig, title=title, x="prefix tokens replaced", y=y, key=f"{what}{_BANDS}", caption=caption, intervals=rows
    )
