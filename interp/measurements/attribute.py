"""Direct logit attribution: the share of each part of the model in the true token's logit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.internal.ablation.choices import Group
from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import Several, option, settings
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class AttributeSettings:
    """Split the logit of each true token of memorized windows into shares of embedding, heads, MLPs and biases."""

    groups: Several[Group] = option("group of windows by memorization", default=("memorized",), name="--group")
    at_most: int | None = option("maximal number of windows per group", default=None, ge=1)


def measure(subject: Subject, chosen: AttributeSettings) -> Tables:
    from interp.internal.lens.logit_attribution import logit_attribution

    tables = Tables()
    for group in chosen.groups:
        tested = subject.of_group(group, at_most=chosen.at_most)
        shares = logit_attribution(subject.model, tested, **subject.how)
        rows = shares.to_frame(seed=subject.seed).assign(group=group, mean_logit=float(shares.logit.mean()))
        tables.add("attribution", rows, shares.provenance)
    return tables


def finding(found: Finished) -> str:
    import pandas as pd

    from interp.wording import interval

    said = []
    for model, rows in models_of(found["attribution"]):
        for group, parts in rows.groupby("group", sort=False):
            added = parts[parts["part"] != "logit"]
            (largest,) = records(added.loc[[added["value"].abs().idxmax()]])
            at = "" if pd.isna(largest["layer"]) else f" of layer {largest['layer']}"
            said.append(
                f"{model}: mean logit {parts['mean_logit'].iloc[0]:.3g} of the true tokens of {largest['n']} "
                f"{group} windows of {largest['n_documents']} documents; most of it comes from {largest['part']}{at}: "
                f"{largest['value']:.3g} {interval(largest['low'], largest['high'])}"
            )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.attribution import draw_attribution

    for group, shares in found["attribution"].groupby("group", sort=False):
        for model, table in models_of(shares):
            yield (
                f"attribution/{model}-{group}",
                draw_attribution(table, title=f"Shares of the true token's logit, {model}, {group} windows"),
            )


ATTRIBUTE = Measurement("attribute", AttributeSettings, measure, finding, figures, per_set=16)
