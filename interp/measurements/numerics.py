"""Numerics: how far flags depend on the number format and the batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import Several, option, settings
from interp.measurements.subject import BatchSize, Dtype, no_loading_bar
from interp.measurements.tables import Finished, Tables, by_size, models_of, records

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class NumericsSettings:
    """Measure how often M = 1 flips in bfloat16 and float16, and at other batch sizes, compared with float32."""

    formats: Several[Dtype] = option(
        "number format to compare; may be given several times",
        default=("float32", "bfloat16", "float16"),
        name="--dtype",
    )
    batch_sizes: Several[BatchSize] = option(
        "windows per forward pass; may be given several times, the first is the reference",
        default=(64, 7),
        name="--batch-size",
    )


def measure(subject: Subject, chosen: NumericsSettings) -> Tables:
    from interp.statistical.numerics import numerics

    with no_loading_bar():
        result = numerics(
            subject.name,
            subject.windows,
            dtypes=chosen.formats,
            batch_sizes=chosen.batch_sizes,
            device=subject.choice.device,
            revision=subject.choice.revision,
            memory_budget=subject.choice.memory_budget,
            seed=subject.seed,
            progress=subject.progress,
        )
    tables = Tables()
    reference = f"float32 in batches of {chosen.batch_sizes[0]}"
    tables.add("numerics", result.to_frame().assign(reference=reference), result.provenance)
    return tables


def finding(found: Finished) -> str:
    from interp.stats.columns import estimate_of
    from interp.wording import percent

    said = []
    table = found["numerics"]
    for model, rows in models_of(table[table["share"] == "flip_rate"]):
        (worst,) = records(rows.nlargest(1, "value"))
        rate = estimate_of(worst)
        said.append(
            f"{model}: M = 1 flips in at most {percent(rate)} of {rate.n} windows of {rate.n_documents} documents "
            f"({worst['dtype']}, batches of {worst['batch_size']})"
        )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.engine.readout import NEAR_TIE
    from interp.figures.numerics import draw_numerics

    caption = (
        f"A near tie: the two largest logits are closer than {NEAR_TIE:g}; bfloat16 and float16 logits lie on a grid, "
        "so many are equal"
    )
    yield "numerics", draw_numerics(by_size(found["numerics"]), caption=caption)


NUMERICS = Measurement(
    "numerics", NumericsSettings, measure, finding, figures, per_set=4, without=("dtype", "batch_size")
)
