"""Substitution: which prefix tokens carry memorized text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import Several, option, settings
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class SubstituteSettings:
    """Replace prefix tokens by others: fall in log-probability (nats per token), and share still memorized.

    Each token is replaced in turn. With --together, also the first or the last tokens at once.
    """

    draws: int = option("number of substitutes for each window and position", default=4, ge=1)
    together: Several[int] | None = option(
        "number of tokens to replace at once, at either end of the prefix; may be given several times", default=None
    )
    at_most: int | None = option("maximal number of windows per group", default=None, ge=1)


def measure(subject: Subject, chosen: SubstituteSettings) -> Tables:
    from interp.internal.noise.substitution import ends, substitute, substitute_sets

    windows, groups = subject.grouped(at_most=chosen.at_most)
    how = {"n_draws": chosen.draws, "seed": subject.seed, **subject.how}
    together = ends(windows.prefix_len, sizes=chosen.together or ())
    replaced = substitute(subject.model, windows, **how)
    tables = Tables()
    tables.add("losses", replaced.to_frame(), replaced.provenance)
    tables.add("substitution", replaced.curves(groups=groups, seed=subject.seed), replaced.provenance)
    if together:
        joint = substitute_sets(subject.model, windows, together, **how)
        for quantity in ("fall", "memorized"):
            rows = joint.curves(quantity, groups=groups, seed=subject.seed).assign(quantity=quantity)
            tables.add("together", rows, joint.provenance)
    return tables


def finding(found: Finished) -> str:
    from interp.wording import interval

    said = []
    for model, rows in models_of(found["substitution"]):
        group = "memorized" if (rows["group"] == "memorized").any() else rows["group"].iloc[0]
        of_group = rows[rows["group"] == group]
        (worst,) = records(of_group.loc[[of_group["value"].idxmax()]])
        said.append(
            f"{model}: replacing position {worst['position']} of the prefix costs {group} windows most: "
            f"{worst['value']:.3g} {interval(worst['low'], worst['high'])} nats per token ({worst['n']} windows of "
            f"{worst['n_documents']} documents)"
        )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.noise import draw_carried, draw_carried_together
    from interp.internal.noise.substitution import Loss

    yield "substitution", draw_carried(found["substitution"])
    if "together" in found:
        shown: dict[Loss, list[str]] = {"fall": ["memorized", "matched"], "memorized": ["memorized"]}
        for quantity, groups in shown.items():
            curve = found["together"][found["together"]["quantity"] == quantity]
            yield f"together-{quantity}", draw_carried_together(curve, quantity, groups=groups)


SUBSTITUTE = Measurement("substitute", SubstituteSettings, measure, finding, figures, per_set=8)
