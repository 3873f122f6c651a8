"""Figures of noise and recovery: by layer, by noise level, and which prefix tokens carry the memory."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import plotly.graph_objects as go

from interp.figures.curves import panels, reference, rests_on
from interp.figures.lens import LAYERS
from interp.figures.style import FigureError, apply_style
from interp.internal.noise.perturbation import Recovery
from interp.internal.noise.substitution import Loss
from interp.several import several

_RECOVERY = {
    "cosine": ("cosine, clean and noisy", 1.0, "full recovery"),
    "centred_cosine": ("cosine less mean residual", 1.0, "full recovery"),
    "lens_kl": ("KL(clean || noisy) (nats)", 0.0, "full recovery"),
}
_SCORE = {
    "rate": "rate of M = 1",
    "score": "mean M",
    "log_prob": "log-probability (nats a token)",
    "structural_share": "structural share (M = 1)",
}
_ALPHA = "noise alpha (relative to rms)"


def recovery_by_layer(curves: pd.DataFrame, quantity: Recovery, *, finding: str = "") -> go.Figure:
    """Recovery by layer and group: a panel a model if there are several (of one alpha), else a panel an alpha.

    Args:
        curves: what ``Perturbation.curves(quantity)`` returns, with a column ``model`` where several are stacked.
        quantity: which one it is.
        finding: a sentence on what is seen, in front of the caption.

    Raises:
        ValueError: several models and several alphas; take one alpha.
    """
    alphas = list(curves["alpha"].unique())
    if "model" in curves and len(alphas) > 1:
        raise FigureError(f"curves of several models at alphas {alphas}: choose one alpha")
    fig = panels(curves, x="depth", by="model" if "model" in curves else "alpha")
    y, full, label = _RECOVERY[quantity]
    reference(fig, full, label)
    at = f" Noise alpha = {alphas[0]:g}." if len(alphas) == 1 else ""
    return apply_style(
        fig, title="Recovery from noise by layer", x=LAYERS, y=y, caption=f"{finding}{at} {rests_on(curves)}".strip()
    )


def scores_by_noise(scores: pd.DataFrame, statistic: str, *, finding: str = "") -> go.Figure:
    """A score by noise level and group.

    Args:
        scores: what ``Perturbation.scores`` returns, with a column ``model`` where several are stacked.
        statistic: ``rate``, ``score``, ``log_prob`` or ``structural_share``.
        finding: a sentence on what is seen, in front of the caption.
    """
    chosen = scores[scores["statistic"] == statistic]
    fig = panels(chosen, x="alpha")
    # All panels over all alphas, also where nothing with M = 1 is left.
    fig.update_xaxes(range=[chosen["alpha"].min() - 0.02, chosen["alpha"].max() + 0.02])
    if statistic != "log_prob":
        fig.update_yaxes(range=[-0.03, 1.03])
    caption = f"{finding} alpha = 0 is the undisturbed model. {rests_on(chosen)}"
    return apply_style(fig, title="The text under noise", x=_ALPHA, y=_SCORE[statistic], caption=caption.strip())


def carried_by_position(curves: pd.DataFrame, *, finding: str = "") -> go.Figure:
    """Fall of the continuation's log-probability by the prefix position that was replaced.

    Args:
        curves: what ``Substitution.curves`` returns, with a column ``model`` where several are stacked.
        finding: a sentence on what is seen, in front of the caption.
    """
    fig = reference(panels(curves, x="position"), 0.0, "no effect")
    return apply_style(
        fig,
        title="Which prefix tokens carry the text",
        x="replaced prefix position",
        y="fall (nats a token)",
        caption=f"{finding} Fall in the log-probability of a continuation token. {rests_on(curves)}".strip(),
    )


_LOSS = {
    "fall": ("Tokens replaced together", "fall (nats a token)", 0.0, "no effect"),
    "recited": ("Still recited with tokens replaced together", "share with M = 1", 1.0, "all"),
}


def carried_together(
    curves: pd.DataFrame, quantity: Loss, *, groups: str | Collection[str], finding: str = ""
) -> go.Figure:
    """What is lost by the number of prefix tokens replaced at once, from either end of the prefix.

    Args:
        curves: what ``Substitution.curves(quantity)`` returns for the sets of ``ends``, with a column ``model``
            where several are stacked.
        quantity: which one it is.
        groups: those that are drawn, a line for each end.
        finding: a sentence on what is seen, in front of the caption.

    Raises:
        FigureError: a group that is not among the curves.
    """
    groups = several(groups)
    unknown = sorted(set(groups) - set(curves["group"]))
    if unknown:
        raise FigureError(f"no group {unknown}; it has {sorted(curves['group'].unique())}")
    rows = curves[curves["group"].isin(groups)]
    end = rows["set"].str.split(" ").str[0]
    fig = panels(rows.assign(group=rows["group"] + ", " + end + " tokens"), x="n_positions")
    title, y, level, label = _LOSS[quantity]
    reference(fig, level, label)
    if quantity == "recited":
        fig.update_yaxes(range=[-0.03, 1.1])
    # Each size is twice the one before, or nearly.
    fig.update_xaxes(type="log", tickvals=sorted(rows["n_positions"].unique()))
    what = "Fall in the log-probability of a continuation token. " if quantity == "fall" else ""
    caption = f"{finding} First and last tokens of the prefix. {what}{rests_on(rows)}".strip()
    return apply_style(fig, title=title, x="prefix tokens replaced", y=y, caption=caption)
