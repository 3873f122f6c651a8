"""Prediction: which factors predict memorization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, by_size, models_of, records, split

if TYPE_CHECKING:
    import pandas as pd

    from interp.measurements.subject import Subject
    from interp.results import Provenance


@settings
class PredictSettings:
    """Predict M = 1 from count, compressed size, prefix log-probability and domain: AUC of each factor and of all.

    Counts come from the shipped corpus, or from an index of another corpus. Factors that are unknown for some window,
    or equal for all, are left out.
    """

    index: Path | None = option("directory of `interp index build`", default=None)
    matched: bool = option("only memorized windows, and others of the same domains shown equally often", default=False)


def inputs(subject: Subject, chosen: PredictSettings) -> Mapping[str, str]:
    from interp.data.counts.manifest import read_manifest

    other = {} if chosen.index is None else {"index": read_manifest(chosen.index).sha256}
    return {"windows": subject.windows.digest, **other}


def measure(subject: Subject, chosen: PredictSettings) -> Tables:
    from interp.statistical.measured import ScoresError
    from interp.statistical.prediction import predict
    from interp.stats.columns import estimates_frame

    table, factors, left_out, rests_on = factors_table(subject, chosen)
    if len(factors) < 2:
        raise ScoresError(
            f"fewer than two factors are left to compare: {list(factors)}; left out: {'; '.join(left_out)}"
        )
    result = predict(table, factors=factors, seed=subject.seed)
    tables = Tables()
    auc = result.to_frame().assign(matched=chosen.matched, left_out="; ".join(left_out))
    tables.add("auc", auc, *rests_on)
    tables.add("reliability", result.reliability.to_frame().assign(matched=chosen.matched), *rests_on)
    brier = estimates_frame([result.brier, result.brier_of_rate]).assign(of=["all factors", "the rate alone"])
    tables.add("brier", brier.assign(matched=chosen.matched), *rests_on)
    return tables


def factors_table(
    subject: Subject, chosen: PredictSettings
) -> tuple[pd.DataFrame, dict[str, str], list[str], list[Provenance]]:
    """One row per window with ``memorized`` and the factors; the factors' columns; those left out; the provenance."""
    import numpy as np

    from interp.data.counts.index import open_index, window_counts
    from interp.data.tokenizers import tokenizer_fingerprint
    from interp.statistical.frequency import frequency_provenance
    from interp.statistical.groups import equally_shown
    from interp.statistical.prediction import FACTORS, UNMATCHED
    from interp.statistical.prefix import prefix_log_prob
    from interp.statistical.text_size import text_size

    prefix = prefix_log_prob(subject.model, subject.windows, **subject.how)
    counts, rests_on = subject.windows.count, [subject.extraction.provenance, prefix.provenance]
    if chosen.index is not None:
        opened = open_index(chosen.index, tokenizer=tokenizer_fingerprint(subject.model.tokenizer))
        counts = window_counts(opened, subject.windows)
        rests_on.append(frequency_provenance(opened, subject.windows, []))
    table = subject.extraction.to_frame().assign(
        prefix_log_prob=prefix.to_frame()["prefix_log_prob"],
        compressed_bits=text_size(subject.model.tokenizer, subject.windows).zlib,
        log2_count=np.log2(1 + counts),
    )
    table["count"] = counts
    table = equally_shown(table, seed=subject.seed) if chosen.matched else table
    wanted = UNMATCHED if chosen.matched else FACTORS
    factors, left_out = {}, []
    for name, column in wanted.items():
        if table[column].isna().any():
            left_out.append(f"{name} is not known for every window")
        elif table[column].nunique() == 1:
            left_out.append(f"{name} is the same for all windows")
        else:
            factors[name] = column
    return table, factors, left_out, rests_on


def finding(found: Finished) -> str:
    from interp.statistical.prediction import ALL
    from interp.stats.columns import estimate_of
    from interp.wording import behind

    said = []
    for model, rows in models_of(found["auc"]):
        (row,) = records(rows[rows["factors"] == ALL])
        auc = estimate_of(row)
        left_out = str(row["left_out"])
        said.append(
            f"{model}: AUC {auc} of all factors, on held-out documents{behind([auc])}"
            + (f" (left out: {left_out})" if left_out else "")
        )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.prediction import draw_auc, draw_reliability

    auc, reliability = by_size(found["auc"]), by_size(found["reliability"])
    matched = bool(auc["matched"].all())
    caption = "Five-fold cross-validation by document"
    if matched:
        caption = (
            "Memorized windows and equally many others of the same domains, shown equally often, so that neither count "
            f"nor domain separates them. {caption}"
        )
    how = split(auc, alone="model")
    yield "auc", draw_auc(auc, **how, caption=caption)
    if not matched:
        yield "reliability", draw_reliability(reliability, **how, caption=caption)


PREDICT = Measurement("predict", PredictSettings, measure, finding, figures, per_set=16, inputs=inputs)
