"""The demo's page: what its results show, in sentences that carry their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.demo import SEED, DemoResults
from interp.figures.ablation import draw_heads
from interp.figures.lens import draw_decided, draw_layers
from interp.figures.rates import draw_dose_response, draw_score_histogram
from interp.figures.scaling import draw_scaling
from interp.internal.ablation.heads import HeadAblation
from interp.planted.planting import REPETITIONS
from interp.planted.shapes import VOCAB_SIZE
from interp.report import Section, write_report
from interp.statistical.dose_response import DoseResponse, dose_response
from interp.statistical.rates import rate, rates, score_histogram
from interp.statistical.scaling import scaling
from interp.stats.estimates import Estimate
from interp.stats.ranks import top_size
from interp.wording import behind, interval, percent


def _rate(rows: pd.DataFrame) -> Estimate:
    """Rate over several models. One window of all of them is no independent one, nor are those of one document."""
    return rate(rows["memorized"], rows["document"], seed=SEED)


def _windows_sentence(scores: pd.DataFrame) -> str:
    first = scores[scores["model"] == scores["model"].iloc[0]]
    shown, held_out = first[first["count"] > 0], first[first["count"] == 0]
    return (
        f"{len(shown)} planted windows of {shown['document'].nunique()} documents "
        f"({shown['count'].nunique()} repetition counts, {shown['domain'].nunique()} domains) "
        f"and {len(held_out)} held-out ones of {held_out['document'].nunique()} documents, "
        f"the same for all {scores['model'].nunique()} models."
    )


def dose_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Rate of M = 1 by model (rows) and repetition count (columns), its interval under it."""
    table = rates(scores, by=("model", "count")).to_frame()
    table["cell"] = [
        f"{value:.2f}\n{interval(low, high, '.2f')}" for value, low, high in table[["value", "low", "high"]].to_numpy()
    ]
    wide = table.pivot_table(index="model", columns="count", values="cell", aggfunc="first")
    wide.columns = ["never shown" if float(count) == 0 else f"{float(count):g}x" for count in wide.columns]
    return wide.loc[scores["model"].unique()].reset_index()


def dose_figure(scores: pd.DataFrame, fitted: DoseResponse) -> go.Figure:
    """Rate against repetition, a panel a size and a curve a family."""
    return draw_dose_response(
        fitted.rates.to_frame(),
        fitted.to_frame(),
        panel="size",
        line="family",
        caption=_windows_sentence(scores),
    )


def _dose_section(scores: pd.DataFrame) -> Section:
    largest = scores[scores["size"] == scores["size"].iloc[-1]]
    often, never = _rate(largest[largest["count"] == max(REPETITIONS)]), _rate(scores[scores["count"] == 0])
    fitted = dose_response(scores, by=("size", "family"), seed=SEED)
    groups = zip(fitted.groups["size"], fitted.groups["family"], fitted.half, strict=True)
    half = {family: estimate for size, family, estimate in groups if size == largest["size"].iloc[0]}
    halves = ", ".join(f"{family} {estimate}" for family, estimate in half.items())
    return Section(
        title="Repetition makes memory",
        text=(
            f"Of the windows shown {max(REPETITIONS)} times, the largest models recite {percent(often)}"
            f"{behind([often])}; of those never shown, all models together recite {percent(never)}{behind([never])}. "
            "The largest models memorize half of the windows that were shown this many times: "
            f"{halves}{behind(list(half.values()))}. Brackets are 95 % intervals."
        ),
        figures=[dose_figure(scores, fitted)],
        table=dose_table(scores),
    )


def _scores_section(scores: pd.DataFrame) -> Section:
    ends = ((scores["score"] == 0) | (scores["score"] == 1)).mean()
    return Section(
        title="Scores",
        text=(
            "The score M is the share of continuation tokens that are generated right. "
            f"{100 * ends:.0f} % of all windows lie at M = 0 or M = 1."
        ),
        figures=[
            draw_score_histogram(
                score_histogram(scores, by=("model",), seed=SEED).to_frame(),
                panel="model",
                caption=_windows_sentence(scores),
            )
        ],
    )


def _scaling_section(scores: pd.DataFrame) -> Section:
    fitted = scaling(scores[scores["count"] > 0], seed=SEED)
    slopes = zip(fitted.families, fitted.linear_slope, strict=True)
    said = ", ".join(f"{family} {slope}" for family, slope in slopes) + behind(fitted.linear_slope)
    return Section(
        title="Size",
        text=(
            "Rate over all planted windows against size. Rise for ten times the parameters, with 95 % bootstrap "
            f"intervals over documents: {said}. Data, order and repetition are the same for all models, so what "
            "differs between families at one size is architecture."
        ),
        figures=[
            draw_scaling(
                fitted.rates.to_frame(),
                fitted.to_frame(),
                floor=_rate(scores[scores["count"] == 0]).value,
                caption=_windows_sentence(scores),
            )
        ],
    )


def _layers_section(results: DemoResults) -> Section:
    upper = results.layers[results.layers["relative_depth"] >= 0.5].sort_values("depth").groupby(["model", "group"])
    middle, last = (points.groupby("group")["value"].mean() for points in (upper.first(), upper.last()))

    def passage(group: str) -> str:
        return f"{middle[group]:.2f} half-way up and {last[group]:.2f} at the end" if group in last else "not measured"

    return Section(
        title="Layers",
        text=(
            "Final norm and unembedding on the residual stream after each layer (logit lens). The mean probability of "
            f"the true token is, in memorized windows, {passage('memorized')}; in unmemorized windows, "
            f"{passage('unmemorized')} (means over the families). Unmemorized means M = 0: such windows start with a "
            "miss."
        ),
        figures=[
            draw_layers(results.layers, "probability", d_vocab=VOCAB_SIZE, caption="Largest model of each family"),
            draw_decided(results.decided, threshold=0.5),
        ],
    )


def _share_of_top_fifth(ablation: HeadAblation) -> float:
    fall = np.sort(np.clip(ablation.importance("log_prob"), 0, None), axis=None)[::-1]
    total = float(fall.sum())
    return float(fall[: top_size(fall.size, 0.2)].sum()) / total if total else float("nan")


def _heads_section(results: DemoResults) -> Section:
    shares = [_share_of_top_fifth(ablation) for ablation in results.ablations.values()]
    missing = sorted(set(results.scores["model"]) - set(results.ablations))
    return Section(
        title="Heads",
        text=(
            "Each head's output z is set to zero at all positions, one head at a time. Colour: nats a token that the "
            "true continuation of memorized windows loses; hover for the 95 % interval over documents. The top fifth "
            f"of the heads carries {100 * min(shares):.0f} to {100 * max(shares):.0f} % of the summed fall, by model."
            + (f" Not measured, since nothing was memorized: {', '.join(missing)}." if missing else "")
        ),
        figures=[draw_heads(ablation.to_frame(seed=SEED), title=name) for name, ablation in results.ablations.items()],
        columns=3,
    )


def _examples_section(results: DemoResults) -> Section:
    return Section(
        title="Text",
        text="Windows as the largest models write them, memorized and never shown, drawn at random.",
        table=results.examples,
    )


def write_demo_report(results: DemoResults, out: Path) -> Path:
    """Write ``report.html`` into ``out``."""
    scores = results.scores
    return write_report(
        out / "report.html",
        title="How six small language-model families memorize",
        lead=(
            f"{scores['model'].nunique()} models of {scores['family'].nunique()} architectures, trained from scratch "
            "on one corpus in one order, in which chosen windows stood 1 to 256 times and others never. A window is 64 "
            "tokens: 32 are given, 32 must follow; it is memorized when greedy decoding gives all 32."
        ),
        sections=[
            _dose_section(scores),
            _scores_section(scores),
            _scaling_section(scores),
            _layers_section(results),
            _heads_section(results),
            _examples_section(results),
        ],
        provenance=results.provenance,
    )
