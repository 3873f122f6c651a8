"""Figures of head ablation."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from interp.figures.style import DIVERGING, apply_style
from interp.internal.ablation.choices import AblationError, Metric
from interp.internal.ablation.heads import HeadAblation
from interp.wording import interval, of_documents

UNITS = {"log_prob": "nats a token", "rate": "share of windows", "score": "mean M"}


def head_heatmap(ablation: HeadAblation, *, metric: Metric = "log_prob", title: str | None = None) -> go.Figure:
    """Importance of every head, layer by head, with its interval on hover; red heads carry the continuation.

    Args:
        ablation: a finished sweep.
        metric: what the fall is measured in.
        title: above the figure; the model's name unless given.

    Raises:
        AblationError: a metric that the sweep did not measure.
    """
    importance = ablation.importance(metric)
    if np.isnan(importance).all():
        raise AblationError(f"{metric} was not measured: ablate with metrics=({metric!r},) to draw it")
    # Symmetric around zero, so that white means no effect in every figure.
    limit = float(np.nanmax(np.abs(importance))) or 1.0
    hover = [
        [
            f"{e.value:+.3g} {interval(e.low, e.high)} {UNITS[metric]}<br>{e.n} windows, {e.n_clusters} documents"
            for e in row
        ]
        for row in ablation.importance_intervals(metric)
    ]
    fig = go.Figure(
        go.Heatmap(
            z=importance,
            customdata=hover,
            hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>",
            colorscale=DIVERGING,
            hoverongaps=False,
            zmid=0,
            zmin=-limit,
            zmax=limit,
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": UNITS[metric], "side": "right"}, "thickness": 12},
        )
    )
    n_layers, n_heads = importance.shape
    # Cells from edge to edge: an axis that makes room around them shows layers that do not exist.
    fig.update_xaxes(dtick=max(1, n_heads // 8), range=[-0.5, n_heads - 0.5], showgrid=False, zeroline=False)
    fig.update_yaxes(dtick=max(1, n_layers // 8), range=[-0.5, n_layers - 0.5], showgrid=False, zeroline=False)
    fig.update_layout(height=360)
    empty = int(np.isnan(importance).sum())
    caption = f"Fall of the true continuation under {ablation.method} ablation, "
    caption += f"{of_documents([len(ablation.windows)], [ablation.windows.n_documents])}."
    caption += f" {empty} of {importance.size} heads were not ablated and stay empty." if empty else ""
    return apply_style(
        fig,
        title=title or ablation.provenance.model,
        x="head",
        y="layer",
        caption=caption,
    )
