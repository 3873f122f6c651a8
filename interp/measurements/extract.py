"""Extraction: which windows a model recites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, models_of

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class ExtractSettings:
    """Extract: which windows the model recites, with M and the log-probability (nats a token) of each."""

    prefix: bool = option("also the log-probability of the prefix (nats a token)", default=False)


def measure(subject: Subject, chosen: ExtractSettings) -> Tables:
    from interp.statistical.extraction import extract
    from interp.statistical.prefix import prefix_log_prob

    tables = Tables()
    result = extract(subject.model, subject.windows, **subject.how)
    rows, rests_on = result.to_frame(), [result.provenance]
    if chosen.prefix:
        prefix = prefix_log_prob(subject.model, subject.windows, **subject.how)
        rows = rows.assign(prefix_log_prob=prefix.to_frame()["prefix_log_prob"])
        rests_on.append(prefix.provenance)
    tables.add("scores", rows, *rests_on)
    return tables


def finding(found: Finished) -> str:
    from interp.statistical.rates import rate
    from interp.wording import behind, percent

    said = []
    for model, rows in models_of(found["scores"]):
        share = rate(rows["memorized"], rows["document"], seed=found.seed)
        said.append(f"{model}: memorization rate {percent(share)}{behind([share])}")
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.rates import draw_score_histogram
    from interp.statistical.rates import score_histogram

    scores = found["scores"]
    histogram = score_histogram(scores, by=("model",), seed=found.seed)
    yield "score_histogram", draw_score_histogram(histogram.to_frame(), panel="model")


EXTRACT = Measurement(
    "extract", ExtractSettings, measure, finding, figures, per_set=32, max_windows=10_000, row_a_window=True
)
