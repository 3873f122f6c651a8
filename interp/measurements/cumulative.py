"""Cumulative ablation: how many heads must be ablated before memorization disappears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.internal.ablation.choices import Method
from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.subject import NothingToMeasure
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    from interp.data.windows import Windows
    from interp.internal.ablation.replacement import Ablation
    from interp.measurements.subject import Subject


@settings
class CumulativeSettings:
    """Ablate more and more heads together, most important first, with random orders as a control.

    Heads are ranked on one half of the documents. The curve is measured on the other half.
    """

    method: Method = option("what replaces a head's output", default="zero")
    reference: str = option("text for mean: a set of the shipped corpus, or another corpus", default="background")
    random_orders: int = option("number of random orders of heads, as a control", default=5, ge=1)
    layers: bool = option("also ablate all heads of each layer together", default=False)
    at_most: int | None = option("maximal number of windows for the ranking, and for the curve", default=None, ge=1)


def inputs(subject: Subject, chosen: CumulativeSettings) -> Mapping[str, str]:
    other = {"reference": subject.reference(chosen.reference).digest} if chosen.method == "mean" else {}
    return {"windows": subject.windows.digest, **other}


def measure(subject: Subject, chosen: CumulativeSettings) -> Tables:
    from interp.internal.ablation.cumulative import cumulative_ablation, ranking_half
    from interp.internal.ablation.heads import ablate_heads
    from interp.internal.ablation.replacement import Ablation
    from interp.seeds import drawn

    memorized = subject.of_group("memorized")
    ranks = ranking_half(memorized, seed=subject.seed)
    if ranks.all():
        raise NothingToMeasure("all memorized windows are of one document, so none is left for the curve")
    rank_on, test_on = (memorized.select(drawn(half, chosen.at_most, seed=subject.seed)) for half in (ranks, ~ranks))
    reference = subject.reference(chosen.reference) if chosen.method == "mean" else None
    ablation = Ablation(chosen.method, reference=reference, seed=subject.seed)
    others = subject.of_group("unmemorized", at_most=chosen.at_most) if chosen.layers else None
    ranking = ablate_heads(
        subject.model,
        rank_on,
        ablation,
        **subject.how,
    )
    curve = cumulative_ablation(
        subject.model,
        test_on,
        ranking.top(subject.model.cfg.n_layers * subject.model.cfg.n_heads),
        ablation,
        n_random=chosen.random_orders,
        **subject.how,
        seed=subject.seed,
    )
    tables = Tables()
    rows = curve.to_frame(seed=subject.seed).assign(method=chosen.method)
    tables.add("cumulative", rows, ranking.provenance, curve.provenance)
    if others is not None:
        _add_layers(tables, subject, {"memorized": test_on, "unmemorized": others}, ablation)
    return tables


def _add_layers(
    tables: Tables,
    subject: Subject,
    tested: Mapping[str, Windows],
    ablation: Ablation,
) -> None:
    """All heads of each layer together, on memorized and unmemorized windows."""
    import numpy as np

    from interp.data.windows import Windows
    from interp.internal.ablation.sets import ablate_sets, whole_layer
    from interp.stats.curves import group_curves

    group = np.repeat(list(tested), [len(windows) for windows in tested.values()])
    windows = Windows.concat(list(tested.values()))
    layers = range(subject.model.cfg.n_layers)
    whole = ablate_sets(
        subject.model,
        windows,
        [(), *(whole_layer(subject.model, layer) for layer in layers)],
        ablation,
        **subject.how,
    )
    left = {"fall": whole.log_prob[0] - whole.log_prob[1:], "memorized": whole.memorized[1:].astype(np.float64)}
    for quantity, values in left.items():
        curves = group_curves(
            values.T,
            windows,
            points={"layer": layers},
            groups={name: group == name for name in tested},
            seed=subject.seed,
        )
        tables.add("layers", curves.assign(method=ablation.method, quantity=quantity), whole.provenance)


def finding(found: Finished) -> str:
    from interp.wording import interval

    said = []
    table = found["cumulative"]
    for model, rows in models_of(table[table["metric"] == "rate"]):
        left = ", ".join(
            f"{row['value']:.2f} {interval(row['low'], row['high'], '.2f')} without {row['n_ablated']} "
            f"(random {row['random_mean']:.2f})"
            for row in records(rows.iloc[1:4])
        )
        said.append(f"{model}: share still memorized of {rows['n'].iloc[0]} windows: {left} heads")
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.ablation import draw_cumulative, draw_layers_ablated

    for metric in ("rate", "log_prob"):
        yield f"cumulative-{metric}", draw_cumulative(found["cumulative"], metric=metric)
    if "layers" in found:
        for quantity in ("fall", "memorized"):
            rows = found["layers"][found["layers"]["quantity"] == quantity]
            yield f"layers-{quantity}", draw_layers_ablated(rows)


CUMULATIVE = Measurement("cumulative", CumulativeSettings, measure, finding, figures, per_set=16, inputs=inputs)
