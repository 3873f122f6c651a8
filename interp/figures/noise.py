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
    "cosine": ("cosine, clean and noisy", 1.0),
    "centred_cosine": ("cosine less mean residual", 1.0),
    "lens_kl": ("KL(clean || noisy) (nats)", 0.0),
}
_SCORE = {
    "rate": STILL_MEMORIZED,
    "score": "mean score M (share of right tokens)",
    "log_prob": "log-probability (nats a token)",
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
    """Recovery by layer and group: a panel a model if there are several (of one alpha), else a panel an alpha.

    Args:
        curves: what ``Perturbation.curves(quantity)`` returns, with a column ``model`` where several are stacked.
        quantity: which one it is.
        caption: what is seen.

    Raises:
        FigureError: several models and several alphas; take one alpha.
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
        scores: what ``Perturbation.scores`` returns, with a column ``model`` where several are stacked.
        statistic: ``rate``, ``score``, ``log_prob`` or ``structural_share``.
        caption: what is seen.
    """
    chosen = scores[scores["statistic"] == statistic]
    fig = lines(chosen, x="alpha", colour="group", panel=_panel(chosen))
    # All panels over all alphas, also where nothing with M = 1 is left.
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
    """Fall of the continuation's log-probability by the prefix position that was replaced.

    Args:
        curves: what ``Substitution.curves`` returns, with a column ``model`` where several are stacked.
        caption: what is seen.
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
    """What is lost by the number of prefix tokens replaced at once, from either end of the prefix.

    Args:
        curves: what ``Substitution.curves(quantity)`` returns for the sets of ``ends``, with a column ``model``
            where several are stacked.
        quantity: which one it is.
        groups: those that are drawn, a line for each end.
        caption: what is seen.

    Raises:
        FigureError: a group that is not among the curves.
    """
    groups = several(groups)
    unknown = sorted(set(groups) - set(curves["group"]))
    if unknown:
        raise FigureError(f"no group {unknown}; it has {sorted(curves['group'].unique())}")
    rows = curves[curves["group"].isin(groups)]
    rows = rows.assign(end=rows["set"].str.split(" ").str[0] + " tokens")
    fig = lines(rows, x="n_positions", colour="group", panel=_panel(rows), dash="end")
    title, y, level, label = _LOSS[quantity]
    reference(fig, level, label)
    if quantity == "memorized":
        fig.update_yaxes(range=[-0.03, 1.1])
    # Each size is twice the one before, or nearly.
    fig.update_xaxes(type="log", tickvals=sorted(rows["n_positions"].unique()))
    what = "Fall in the log-probability of a continuation token. " if quantity == "fall" else ""
    return apply_style(
        fig, title=title, x="prefix tokens replaced", y=y, key=f"{what}{_BANDS}", caption=caption, intervals=rows
    )
