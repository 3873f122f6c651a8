"""Extraction: which windows a model has memorized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, models_of

if TYPE_CHECKING:
    import pandas as pd

    from interp.measurements.subject import Subject


TEXTS = ("prefix", "true continuation", "generated")
"""Columns of text, where they are asked for."""
EXAMPLES = 2
"""Windows of each kind that are shown as text."""


@settings
class ExtractSettings:
    """Find the windows that the model has memorized, with M and log-probability (nats per token) of each window."""

    prefix: bool = option("also the log-probability of the prefix (nats per token)", default=False)
    texts: bool = option("also prefix, true continuation and generated continuation as text", default=False)


def measure(subject: Subject, chosen: ExtractSettings) -> Tables:
    import torch

    from interp.statistical.extraction import extract
    from interp.statistical.prefix import prefix_log_prob

    tables = Tables()
    result = extract(subject.model, subject.windows, **subject.how)
    rows, rests_on = result.to_frame(), [result.provenance]
    if chosen.prefix:
        prefix = prefix_log_prob(subject.model, subject.windows, **subject.how)
        rows = rows.assign(prefix_log_prob=prefix.to_frame()["prefix_log_prob"])
        rests_on.append(prefix.provenance)
    if chosen.texts:
        windows, decode = result.windows, subject.model.tokenizer.batch_decode
        tokens = (windows.prefix, windows.continuation, torch.from_numpy(result.generated))
        rows = rows.assign(**{name: decode(ids) for name, ids in zip(TEXTS, tokens, strict=True)})
    tables.add("scores", rows, *rests_on)
    return tables


def summaries(found: Finished) -> Mapping[str, pd.DataFrame]:
    """Some windows as text, memorized ones and others that were never shown, drawn by the seed."""
    import pandas as pd

    from interp.seeds import drawn

    scores, rows = found["scores"], []
    if not {*TEXTS} <= {*scores}:
        return {}
    for _, of_model in models_of(scores):
        kinds = {"memorized": of_model["memorized"], "never shown": of_model["count"] == 0}
        for kind, mask in kinds.items():
            some = of_model.iloc[drawn(mask.to_numpy(dtype=bool), EXAMPLES, seed=found.seed)]
            rows.append(some[["model", "document", "count", "score", *TEXTS]].assign(kind=kind))
    return {"examples": pd.concat(rows, ignore_index=True)}


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
    "extract",
    ExtractSettings,
    measure,
    finding,
    figures,
    per_set=32,
    max_windows=10_000,
    summaries=summaries,
    row_a_window=True,
)
