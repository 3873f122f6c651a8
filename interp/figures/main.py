"""The main figure of each result: what ``result.figure(...)`` draws. The others are drawn from tables by name."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from interp.figures.ablation import draw_cumulative, draw_heads
from interp.figures.attention import draw_attention
from interp.figures.attribution import draw_attribution
from interp.figures.compression import draw_ratio_distribution
from interp.figures.depth import draw_depth
from interp.figures.frequency import draw_frequency
from interp.figures.lens import draw_decided, draw_layers
from interp.figures.noise import draw_carried, draw_carried_together, draw_recovery
from interp.figures.numerics import draw_numerics
from interp.figures.prediction import draw_auc
from interp.figures.rates import draw_score_histogram
from interp.figures.scaling import draw_scaling
from interp.figures.style import FigureError
from interp.internal.ablation.cumulative import CumulativeAblation
from interp.internal.ablation.gradient import HeadEstimate
from interp.internal.ablation.heads import HeadAblation
from interp.internal.ablation.screening import Screening
from interp.internal.comparison.attention_targets import AttentionTargets
from interp.internal.lens.first_layer import FirstLayer
from interp.internal.lens.layer_decoding import LayerDecoding, Quantity
from interp.internal.lens.logit_attribution import LogitAttribution
from interp.internal.noise.perturbation import Perturbation, Recovery
from interp.internal.noise.substitution import Loss, Substitution
from interp.results import Measured, Result
from interp.statistical.compression import Compression, ratio_distribution
from interp.statistical.depth import Depth
from interp.statistical.extraction import Extraction
from interp.statistical.frequency import Frequency
from interp.statistical.numerics import Numerics
from interp.statistical.prediction import Prediction
from interp.statistical.rates import score_histogram
from interp.statistical.scaling import Scaling
from interp.statistical.survival import depth_summary
from interp.stats.curves import Groups


@singledispatch
def draw(result: Result, **options: Any) -> go.Figure:
    """The main figure of a result.

    Args:
        result: what was measured.
        options: those of the figure's function.

    Raises:
        FigureError: the result has no figure of its own.
    """
    raise FigureError(
        f"a {type(result).__name__} has no figure of its own: draw its table, to_frame(), with the functions of "
        "interp.figures"
    )


def _by_model(result: Measured) -> pd.DataFrame:
    return result.to_frame().assign(model=result.provenance.model)


@draw.register
def _extraction(result: Extraction, **options: Any) -> go.Figure:
    return draw_score_histogram(score_histogram(_by_model(result), by=("model",)).to_frame(), panel="model", **options)


@draw.register
def _compression(result: Compression, **options: Any) -> go.Figure:
    shares = ratio_distribution(_by_model(result), by=("model",))
    return draw_ratio_distribution(shares, panel="model", line="model", **options)


@draw.register
def _depth(result: Depth, **options: Any) -> go.Figure:
    table = _by_model(result)
    at = range(int(table["available"].max()) + 1)
    memorized = table[table["memorized"]]
    return draw_depth(depth_summary(memorized, at=at, by=("model",)), panel="model", line="model", **options)


@draw.register
def _frequency(result: Frequency, *, groups: Groups | None = None, **options: Any) -> go.Figure:
    return draw_frequency(result.curves(groups), **options)


@draw.register
def _numerics(result: Numerics, **options: Any) -> go.Figure:
    reference = f"float32 in batches of {result.provenance.settings['batch_sizes'][0]}"
    return draw_numerics(_by_model(result).assign(reference=reference), **options)


@draw.register
def _prediction(result: Prediction, **options: Any) -> go.Figure:
    table = result.to_frame().assign(model="all windows")
    return draw_auc(table, panel="model", line="model", **options)


@draw.register
def _scaling(result: Scaling, **options: Any) -> go.Figure:
    return draw_scaling(result.rates.to_frame(), result.to_frame(), **options)


@draw.register
def _heads(result: HeadAblation | HeadEstimate | Screening, **options: Any) -> go.Figure:
    method = result.provenance.settings["method"]
    return draw_heads(result.to_frame().assign(method=method), **options)


@draw.register
def _cumulative(result: CumulativeAblation, **options: Any) -> go.Figure:
    return draw_cumulative(_by_model(result), **options)


@draw.register
def _layers(
    result: LayerDecoding, *, quantity: Quantity = "probability", groups: Groups | None = None, **options: Any
) -> go.Figure:
    return draw_layers(result.curves(quantity, groups=groups), quantity, d_vocab=result.d_vocab, **options)


@draw.register
def _first_layer(result: FirstLayer, *, groups: Groups | None = None, **options: Any) -> go.Figure:
    return draw_decided(result.holding(groups), threshold=result.threshold, **options)


@draw.register
def _attribution(result: LogitAttribution, **options: Any) -> go.Figure:
    title = f"Shares of the true token's logit, {result.provenance.model}"
    return draw_attribution(result.to_frame(), **{"title": title} | options)


@draw.register
def _attention(result: AttentionTargets, **options: Any) -> go.Figure:
    return draw_attention(
        result.to_frame(), **{"title": f"What each head looks at, {result.provenance.model}"} | options
    )


@draw.register
def _recovery(
    result: Perturbation, *, quantity: Recovery = "cosine", groups: Groups | None = None, **options: Any
) -> go.Figure:
    return draw_recovery(result.curves(quantity, groups=groups), quantity, **options)


@draw.register
def _substitution(
    result: Substitution, *, quantity: Loss = "fall", groups: Groups | None = None, **options: Any
) -> go.Figure:
    curves = result.curves(quantity, groups=groups)
    if result.position is not None and quantity == "fall":
        return draw_carried(curves, **options)
    return draw_carried_together(curves, quantity, groups=list(curves["group"].unique()), **options)
