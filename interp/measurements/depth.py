"""Depth: how many tokens a model reproduces beyond the continuation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, by_size, models_of, split

if TYPE_CHECKING:
    import pandas as pd

    from interp.measurements.subject import Subject


@settings
class DepthSettings:
    """Count the tokens that the model reproduces beyond the continuation.

    Windows of the shipped corpus have 64 tokens.
    """

    prefix_len: int = option("tokens of the prefix", default=16, ge=1)
    continuation_len: int = option("tokens of the continuation", default=16, ge=1)
    further_len: int = option("tokens tried beyond the continuation, in another corpus", default=32, ge=1)


def inputs(subject: Subject, chosen: DepthSettings) -> Mapping[str, str]:
    return {"windows": subject.cut(chosen.prefix_len, chosen.continuation_len + chosen.further_len).digest}


def measure(subject: Subject, chosen: DepthSettings) -> Tables:
    from interp.statistical.depth import depth, split_further

    whole = subject.cut(chosen.prefix_len, chosen.continuation_len + chosen.further_len)
    windows, beyond = split_further(whole, prefix_len=chosen.prefix_len, continuation_len=chosen.continuation_len)
    result = depth(subject.model, windows, beyond, **subject.how)
    tables = Tables()
    tables.add("depth", result.to_frame(), result.provenance)
    return tables


def finding(found: Finished) -> str:
    said = []
    for model, rows in models_of(found["depth"]):
        memorized = rows[rows["memorized"]]
        said.append(
            f"{model}: {len(memorized)} of {len(rows)} windows of {rows['document'].nunique()} documents are "
            f"memorized, {int(memorized['censored'].sum())} of them up to the last token tried"
        )
    return "; ".join(said)


def summaries(found: Finished) -> Mapping[str, pd.DataFrame]:
    from interp.statistical.survival import depth_summary

    table = by_size(found["depth"])
    how = split(table, alone="domain")
    at = range(int(table["available"].max()) + 1)
    return {"summary": depth_summary(table, at=at, by=(how["panel"], how["line"]), seed=found.seed)}


def figures(found: Finished) -> Figures:
    from interp.figures.depth import draw_depth

    table = found["depth"]
    if table["memorized"].any():
        yield "depth", draw_depth(summaries(found)["summary"], **split(table, alone="domain"))


DEPTH = Measurement(
    "depth",
    DepthSettings,
    measure,
    finding,
    figures,
    per_set=16,
    without=("prefix_len",),
    summaries=summaries,
    inputs=inputs,
)
