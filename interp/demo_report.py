"""The demo's page: what its results show, in sentences that carry their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from interp.data.planting import REPETITIONS
from interp.demo import SEED, DemoResults
from interp.figures.ablation import head_heatmap
from interp.figures.lens import decided_by_layer, layer_curves
from interp.figures.rates import draw_dose_response, draw_score_histogram
from interp.figures.scaling import draw_scaling
from interp.models.small import VOCAB_SIZE
from interp.report import Section, write_report
from interp.statistical.dose_response import dose_response
from interp.statistical.rates import rates, score_histogram
from interp.statistical.scaling import scaling
from interp.stats import Estimate, wilson


def _rate(rows: pd.DataFrame) -> Estimate:
    return wilson(int(rows["memorized"].sum()), len(rows))


def _windows_sentence(scores: pd.DataFrame) -> str:
    first = scores[scores["model"] == scores["model"].iloc[0]]
    shown = first[first["count"] > 0]
    return (
        f"{len(shown)} planted windows (each of {shown['count'].nunique()} repetition counts in {shown['domain'].nunique()} "
        f"domains) and {len(first) - len(shown)} held-out ones, the same for all {scores['model'].nunique()} models"
    )


def dose_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Rate of M = 1 by model and repetition count."""
    table = rates(scores, by=("model", "count")).to_frame()
    table["cell"] = [
        f"{v:.2f}" if v in (0, 1) else f"{v:.2f} [{lo:.2f}, {hi:.2f}]"
        for v, lo, hi in zip(table["value"], table["low"], table["high"], strict=True)
    ]
    order = scores["model"].unique()
    wide = table.pivot_table(index="model", columns="count", values="cell", aggfunc="first").loc[order]
    wide.columns = ["never shown" if c == 0 else f"{c:g}x" for c in wide.columns]
    return wide.reset_index()


def _dose_section(scores: pd.DataFrame) -> Section:
    response = dose_response(scores, by=("size", "family"), seed=SEED)
    largest = scores[scores["size"] == scores["size"].iloc[-1]]
    often, never = _rate(largest[largest["count"] == max(REPETITIONS)]), _rate(scores[scores["count"] == 0])
    half = response.to_frame()
    half = half[(half["size"] == largest["size"].iloc[0]) & half["value"].notna()]
    halves = ", ".join(f"{r.family} {r.value:.0f} [{r.low:.0f}, {r.high:.0f}]" for r in half.itertuples())
    return Section(
        title="Repetition makes memory",
        text=(
            f"Of the windows shown {max(REPETITIONS)} times, the largest models recite {often}; of those never shown, all "
            f"models together recite {never}. Half of the windows are memorized after this many showings: {halves}. "
            "Brackets are 95 % intervals."
        ),
        figures=[
            draw_dose_response(
                response,
                panel="size",
                line="family",
                caption=(
                    "Points: share of windows with M = 1, 95 % intervals (the wider of Wilson and the bootstrap over "
                    "documents). Curves: logistic in log2 of the count. Diamonds: half memorized. Dotted: never shown. "
                    f"Rests on {_windows_sentence(scores)}."
                ),
            )
        ],
        table=dose_table(scores),
    )


def _scores_section(scores: pd.DataFrame) -> Section:
    ends = ((scores["score"] == 0) | (scores["score"] == 1)).mean()
    return Section(
        title="Scores",
        text=(
            f"The score M is the share of continuation tokens generated right. {ends:.0%} of all windows lie at M = 0 or "
            "M = 1; the rest reproduce a part, often the formulaic pieces of code and formulas."
        ),
        figures=[
            draw_score_histogram(
                score_histogram(scores, by=("model",), seed=SEED),
                panel="model",
                caption=f"Share of windows by score, with 95 % intervals. {_windows_sentence(scores)}.",
            )
        ],
    )


def _scaling_section(scores: pd.DataFrame) -> Section:
    shown = scores[scores["count"] > 0]
    fitted = scaling(shown, seed=SEED)
    linear = fitted.to_frame().query("fit == 'linear'")
    slopes = "; ".join(f"{r.family} {r.value:+.2f} [{r.low:.2f}, {r.high:.2f}]" for r in linear.itertuples())
    return Section(
        title="Size",
        text=(
            "Larger models of a family recite more of the same data. Rise in rate for ten times the parameters, with 95 % "
            f"bootstrap intervals over documents: {slopes}. Data, order and repetition are the same for all, so what "
            "differs between families at one size is architecture alone."
        ),
        figures=[
            draw_scaling(
                fitted,
                floor=float(_rate(scores[scores["count"] == 0]).value),
                caption=f"Rate over the planted windows against parameters. Dashed: windows never shown. {_windows_sentence(scores)}.",
            )
        ],
    )


def _layers_section(results: DemoResults) -> Section:
    last = results.layers[results.layers["relative_depth"] == 1].groupby("group")["value"].mean()
    half = (
        results.layers[(results.layers["relative_depth"] >= 0.5)]
        .sort_values("depth")
        .groupby(["model", "group"])
        .first()
    )
    middle = half.groupby("group")["value"].mean()
    return Section(
        title="Layers",
        text=(
            "Final norm and unembedding on the residual stream after each layer. True tokens of memorized windows end at a "
            f"mean probability of {last.get('memorized', np.nan):.2f} and stand at {middle.get('memorized', np.nan):.2f} half-way up; "
            f"of unmemorized windows at {last.get('unmemorized', np.nan):.2f} and {middle.get('unmemorized', np.nan):.2f} "
            "(means over the six families)."
        ),
        figures=[
            layer_curves(
                results.layers, "probability", d_vocab=VOCAB_SIZE, finding="The largest model of each family."
            ),
            decided_by_layer(results.decided, threshold=0.5),
        ],
    )


def _heads_section(results: DemoResults) -> Section:
    shares = []
    for ablation in results.ablations.values():
        importance = np.sort(np.clip(ablation.importance("log_prob"), 0, None).ravel())[::-1]
        shares.append(importance[: max(1, round(0.2 * importance.size))].sum() / importance.sum())
    missing = sorted(set(results.scores["model"]) - set(results.ablations))
    return Section(
        title="Heads",
        text=(
            "Each head's output z is set to zero at all positions, one head at a time. Colour: how many nats a token the "
            "true continuation of a memorized window loses; hover for the 95 % interval, the fall in rate and the number of windows. "
            f"The top fifth of the heads carries between {min(shares):.0%} and {max(shares):.0%} of the summed fall."
            + (f" Not measured, since nothing was memorized: {', '.join(missing)}." if missing else "")
        ),
        figures=[head_heatmap(ablation, title=name) for name, ablation in results.ablations.items()],
        columns=3,
    )


def _examples_section(results: DemoResults) -> Section:
    return Section(
        title="Text",
        text="Windows as the models write them: memorized ones, and ones that were never shown, drawn at random.",
        table=results.examples,
    )


def write_demo_report(results: DemoResults, out: Path) -> Path:
    """Write ``report.html`` into ``out``."""
    scores = results.scores
    return write_report(
        out / "report.html",
        title="How six small language-model families memorize",
        lead=(
            f"{scores['model'].nunique()} models of {scores['family'].nunique()} architectures, trained from scratch on one corpus in "
            "one order, in which chosen windows stood 1 to 256 times and others never. A window is 64 tokens: 32 are given, "
            "32 must follow; it is memorized when greedy decoding gives all 32."
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
