"""Figures of what heads look at: the most important heads against the others, and correlations with importance."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from interp.figures.style import FAMILY_COLOURS, GROUP_COLOURS, REFERENCE_COLOUR, apply_style
from interp.internal.attention_targets import ENTROPY

_COLOURS = {"top": GROUP_COLOURS["memorized"], "other": GROUP_COLOURS["unmemorized"]}

_SYMBOLS = "circle", "diamond", "square", "cross"


def _bars(rows: pd.DataFrame) -> dict[str, object]:
    above, below = rows["high"] - rows["value"], rows["value"] - rows["low"]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def targets_of_top_heads(table: pd.DataFrame, uniform: Mapping[str, float], *, finding: str = "") -> go.Figure:
    """Attention of the top heads to each target beside that of the others and of attention spread evenly.

    Args:
        table: what ``AttentionTargets.top_against_rest`` returns.
        uniform: attention to each target when spread evenly over earlier positions.
        finding: a sentence on what is seen, in front of the caption.
    """
    shares = table[table["target"] != ENTROPY]
    fig = go.Figure()
    for heads, rows in shares.groupby("heads", sort=False):
        name, colour = f"{heads} heads", _COLOURS[str(heads)]
        fig.add_trace(go.Bar(x=rows["target"], y=rows["value"], name=name, marker_color=colour, error_y=_bars(rows)))
    marker = {"symbol": "line-ew-open", "color": REFERENCE_COLOUR, "size": 30, "line": {"width": 3}}
    targets = list(shares["target"].unique())
    fig.add_trace(
        go.Scatter(x=targets, y=[uniform[t] for t in targets], mode="markers", name="spread evenly", marker=marker)
    )
    fig.update_layout(barmode="group")
    entropy = table[table["target"] == ENTROPY].set_index("heads")["value"]
    caption = (
        f"{finding} Mean over {int(table['n'].max())} windows; bars: 95 % bootstrap intervals by document. Entropy: "
        f"top heads {entropy['top']:.2f}, others {entropy['other']:.2f} nats."
    )
    return apply_style(
        fig, title="What the most important heads look at", x="target", y="share of attention", caption=caption.strip()
    )


def importance_correlations(correlations: pd.DataFrame, *, over: str = "within_layers", finding: str = "") -> go.Figure:
    """Spearman correlation of head importance with attention to each target; a colour a family, a symbol a size.

    Args:
        correlations: what ``AttentionTargets.correlation`` returns, stacked with columns ``model``, ``family`` and
            ``size``.
        over: ``all_heads`` or ``within_layers``.
        finding: a sentence on what is seen, in front of the caption.
    """
    chosen = correlations[correlations["over"] == over]
    fig = go.Figure()
    sizes = list(chosen["size"].unique())
    for model, rows in chosen.groupby("model", sort=False):
        symbol = _SYMBOLS[sizes.index(rows["size"].iloc[0]) % len(_SYMBOLS)]
        colour = FAMILY_COLOURS.get(str(rows["family"].iloc[0]), REFERENCE_COLOUR)
        fig.add_trace(
            go.Scatter(
                x=rows["target"], y=rows["value"], mode="markers", name=str(model), error_y=_bars(rows),
                marker={"color": colour, "size": 8, "symbol": symbol}, offsetgroup=str(model),
            )
        )  # fmt: skip
    fig.update_layout(scattermode="group")
    fig.add_hline(y=0, line={"color": REFERENCE_COLOUR, "dash": "dot"})
    fig.update_yaxes(range=[-1.05, 1.05])
    heads = {"all_heads": "over all heads", "within_layers": "of heads of the same layer"}[over]
    caption = f"{finding} Bars: 95 % bootstrap intervals over heads. {chosen['model'].nunique()} models."
    return apply_style(
        fig,
        title=f"Importance and attention, {heads}",
        x="target",
        y="Spearman correlation",
        caption=caption.strip(),
    )
