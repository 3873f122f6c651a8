"""Figures of what heads look at: the most important heads against the others, and correlations with importance."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.style import FAMILY_COLOURS, GROUP_COLOURS, REFERENCE_COLOUR, apply_style
from interp.internal.comparison.attention_targets import ENTROPY
from interp.wording import interval, rests_on

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


def attention_of_heads(table: pd.DataFrame) -> go.Figure:
    """Attention of every head of a model to each target, layer by head, with its interval on hover.

    Args:
        table: what ``AttentionTargets.to_frame`` returns.
    """
    shares = table[table["target"] != ENTROPY]
    targets = list(shares["target"].unique())
    fig = make_subplots(1, len(targets), subplot_titles=targets, shared_yaxes=True)
    for column, target in enumerate(targets, start=1):
        heads = shares[shares["target"] == target]
        said = [
            f"{row.value:.3g} {interval(row.low, row.high)}, evenly {row.uniform:.3g}" for row in heads.itertuples()
        ]
        fig.add_trace(
            go.Heatmap(
                x=heads["head"], y=heads["layer"], z=heads["value"], customdata=said, coloraxis="coloraxis", xgap=1,
                ygap=1, hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>",
            ),
            row=1,
            col=column,
        )  # fmt: skip
    bar = {"title": {"text": "share of attention", "side": "right"}, "thickness": 12}
    fig.update_layout(coloraxis={"colorscale": "Blues", "cmin": 0, "cmax": 1, "colorbar": bar}, height=360)
    caption = (
        "Mean attention over the positions that predict the continuation; 95 % intervals by document on hover. "
        f"{rests_on(table)}"
    )
    return apply_style(fig, title="What each head looks at", x="head", y="layer", caption=caption)


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
