"""Layer decoding: in which layer the true token appears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    from interp.internal.lens.layer_decoding import LayerDecoding
    from interp.measurements.subject import Subject


@settings
class LensSettings:
    """Decode every layer: probability, rank, entropy and KL (nats) of each true continuation token."""

    after_attention: bool = option("also decode between attention and MLP of each layer", default=False)
    tuned: bool = option("also a tuned lens, trained on other text", default=False)
    training: str = option(
        "training text of the tuned lens: a set of the shipped corpus, or another corpus", default="background"
    )
    threshold: float = option(
        "a token is decided at the layer from which its probability stays above this", default=0.5, ge=0, le=1
    )
    positions: bool = option("also the probability by layer and position", default=False)
    at_most: int | None = option("maximal number of windows per group", default=None, ge=1)


TRAINING_PER_SET = 256
"""Number of training windows of the tuned lens for each domain of a shipped set."""


def inputs(subject: Subject, chosen: LensSettings) -> Mapping[str, str]:
    other = {"training": subject.reference(chosen.training, per_set=TRAINING_PER_SET).digest} if chosen.tuned else {}
    return {"windows": subject.windows.digest, **other}


def measure(subject: Subject, chosen: LensSettings) -> Tables:
    from interp.internal.lens.layer_decoding import QUANTITIES
    from interp.internal.lens.logit_lens import logit_lens

    windows, groups = subject.grouped(at_most=chosen.at_most)
    decodings: dict[str, LayerDecoding] = {
        "plain": logit_lens(subject.model, windows, after_attention=chosen.after_attention, **subject.how)
    }
    if chosen.tuned:
        decodings["tuned"] = _tuned(subject, chosen)
    tables = Tables()
    for lens, decoding in decodings.items():
        label: dict[str, Any] = {"lens": lens, "d_vocab": decoding.d_vocab}
        tables.add("decoding", decoding.to_frame().assign(**label), decoding.provenance)
        for quantity in QUANTITIES:
            curves = decoding.curves(quantity, groups=groups, seed=subject.seed)
            tables.add("curves", curves.assign(quantity=quantity, **label), decoding.provenance)
        first = decoding.first_layer(chosen.threshold)
        label["threshold"] = chosen.threshold
        tables.add("holding", first.holding(groups, seed=subject.seed).assign(**label), decoding.provenance)
        tables.add("first_layer", first.summary(groups, seed=subject.seed).assign(**label), decoding.provenance)
        if chosen.positions and lens == "plain":
            by_position = decoding.curves_by_position("probability", groups=groups, seed=subject.seed)
            tables.add("positions", by_position.assign(**label), decoding.provenance)
    return tables


def _tuned(subject: Subject, chosen: LensSettings) -> LayerDecoding:
    from interp.internal.lens.tuned_lens import train_tuned_lens, tuned_lens

    windows, _ = subject.grouped(at_most=chosen.at_most)
    lens = train_tuned_lens(
        subject.model,
        subject.reference(chosen.training, per_set=TRAINING_PER_SET),
        tested=windows,
        memory_budget=subject.choice.memory_budget,
        seed=subject.seed,
        progress=subject.progress,
    )
    return tuned_lens(subject.model, windows, lens, **subject.how)


def finding(found: Finished) -> str:
    from interp.stats.columns import estimate_of
    from interp.wording import percent

    holding = found["holding"]
    said = []
    for model, rows in models_of(holding[holding["lens"] == "plain"]):
        # Only before the last layer: at the end, the decoded tokens are the model's output.
        last = rows["depth"].max()
        before = rows[rows["depth"] == rows.loc[rows["depth"] < last, "depth"].max()]
        shares = ", ".join(f"{percent(estimate_of(row))} of {row['group']}" for row in records(before))
        said.append(
            f"{model}: tokens that hold p > {rows['threshold'].iloc[0]:g} before the last layer: {shares} windows"
        )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.lens import draw_decided, draw_layer_by_position, draw_layers

    curves, holding = found["curves"], found["holding"]
    d_vocab, threshold = int(curves["d_vocab"].max()), float(holding["threshold"].iloc[0])
    lenses = list(holding["lens"].unique())
    for lens in lenses:
        of_lens = curves[curves["lens"] == lens]
        for quantity, curve in of_lens.groupby("quantity", sort=False):
            yield f"{quantity}-{lens}", draw_layers(curve, quantity, d_vocab=d_vocab)
        yield f"decided-{lens}", draw_decided(holding[holding["lens"] == lens], threshold=threshold)
    if len(lenses) > 1:
        # Only the plain lens has points after attention.
        both = curves[(curves["quantity"] == "probability") & (curves["depth"] % 1 == 0)]
        yield "probability-both", draw_layers(both, "probability", d_vocab=d_vocab)
        yield "decided-both", draw_decided(holding, threshold=threshold)
    if "positions" in found:
        for model, table in models_of(found["positions"]):
            yield f"positions/{model}", draw_layer_by_position(table, "probability", group="memorized")


LENS = Measurement("lens", LensSettings, measure, finding, figures, per_set=16, inputs=inputs)
