"""Frequency: how often the text occurs in an indexed corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, models_of

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class FrequencySettings:
    """Count n-grams and whole windows in an indexed corpus, for memorized, unmemorized and matched windows."""

    index: Path = option("directory of `interp index build` or `interp index shipped`")
    longest: int = option("length of the longest n-grams, in tokens", default=8, ge=1)
    parts: Path | None = option("folder for the counts by position, to save memory with many windows", default=None)


def inputs(subject: Subject, chosen: FrequencySettings) -> Mapping[str, str]:
    from interp.data.counts.manifest import read_manifest

    return {"windows": subject.windows.digest, "index": read_manifest(chosen.index).sha256}


def measure(subject: Subject, chosen: FrequencySettings) -> Tables:
    from interp.data.counts.index import open_index
    from interp.data.tokenizers import tokenizer_fingerprint
    from interp.statistical.frequency import frequency
    from interp.statistical.frequency_parts import chunks, stream_frequency

    opened = open_index(chosen.index, tokenizer=tokenizer_fingerprint(subject.model.tokenizer))
    lengths = range(1, chosen.longest + 1)
    if chosen.parts is None:
        counted = frequency(opened, subject.windows, lengths=lengths, progress=subject.progress)
    else:
        counted = stream_frequency(
            opened, chunks(subject.windows), chosen.parts, lengths=lengths, progress=subject.progress
        )
    groups = subject.grouped_near({"log_count_1": counted.table["log_count_1"].to_numpy()})
    tables, rests_on = Tables(), [counted.provenance, subject.extraction.provenance]
    tables.add("window_counts", counted.to_frame(), counted.provenance)
    tables.add("curves", counted.curves(groups, seed=subject.seed), *rests_on)
    tables.add("boundary", counted.boundary(groups, seed=subject.seed), *rests_on)
    tables.add("whole", counted.whole(groups, seed=subject.seed), *rests_on)
    return tables


def finding(found: Finished) -> str:
    said = []
    for model, rows in models_of(found["window_counts"]):
        stand = int((rows["window_count"] > 0).sum())
        known = rows[rows["count"].notna()]
        right = int((known["window_count"] == known["count"]).sum())
        counts = f", with the known count in {right} of {len(known)}" if len(known) else ""
        said.append(f"{model}: {stand} of {len(rows)} whole windows occur in the corpus{counts}")
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.frequency import draw_boundary, draw_frequency

    for model, curves in models_of(found["curves"]):
        yield f"counts/{model}", draw_frequency(curves, caption=model)
    for model, steps in models_of(found["boundary"]):
        yield f"boundary/{model}", draw_boundary(steps, caption=model)


FREQUENCY = Measurement("frequency", FrequencySettings, measure, finding, figures, per_set=16, inputs=inputs)
