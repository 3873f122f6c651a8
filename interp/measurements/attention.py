"""Attention targets: what each head attends to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.internal.ablation.choices import Method
from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import option, settings
from interp.measurements.tables import Finished, Tables, models_of

if TYPE_CHECKING:
    from interp.measurements.subject import Subject


@settings
class AttentionSettings:
    """What each head attends to: share of attention to rare tokens, earlier matches and the start; entropy (nats).

    Measured on memorized windows. --importance also compares the heads that matter most under ablation with the others.
    """

    importance: bool = option("compare the heads that matter most under ablation with the others", default=False)
    method: Method = option("what replaces a head's output, for --importance", default="zero")


def inputs(subject: Subject, chosen: AttentionSettings) -> Mapping[str, str]:
    averaged = chosen.importance and chosen.method == "mean"
    other = {"reference": subject.reference("background").digest} if averaged else {}
    return {"windows": subject.windows.digest, **other}


def measure(subject: Subject, chosen: AttentionSettings) -> Tables:
    from interp.internal.ablation.heads import ablate_heads
    from interp.internal.ablation.replacement import Ablation
    from interp.internal.comparison.attention_targets import attention_targets
    from interp.planted.corpus import planted_windows

    memorized = subject.of_group("memorized")
    # Rare tokens are counted in the whole shipped corpus, or in the windows of another corpus.
    corpus = planted_windows() if subject.chosen.corpus is None else None
    seen = attention_targets(subject.model, memorized, corpus=corpus, **subject.how)
    tables = Tables()
    tables.add("attention", seen.to_frame(seed=subject.seed), seen.provenance)
    if chosen.importance:
        reference = subject.reference("background") if chosen.method == "mean" else None
        ablation = ablate_heads(
            subject.model,
            memorized,
            Ablation(chosen.method, reference=reference, seed=subject.seed),
            **subject.how,
        )
        importance, rests_on = ablation.importance("log_prob"), (seen.provenance, ablation.provenance)
        top = seen.top_against_rest(importance, seed=subject.seed)
        evenly = {str(target): seen.evenly(str(target)) for target in top["target"].unique()}
        tables.add("attention_top", top.assign(uniform=top["target"].map(evenly)), *rests_on)
        tables.add("correlation", seen.correlation(importance, seed=subject.seed), *rests_on)
    return tables


def finding(found: Finished) -> str:
    said = []
    for model, rows in models_of(found["attention"]):
        shares = rows[rows["uniform"].notna()].groupby("target", sort=False)[["value", "uniform"]].mean()
        looked = ", ".join(f"{target} {row.value:.2f} (evenly {row.uniform:.2f})" for target, row in shares.iterrows())
        n, n_documents = rows["n"].max(), rows["n_documents"].max()
        said.append(
            f"{model}: mean attention of all heads on {n} memorized windows of {n_documents} documents: {looked}"
        )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.attention import draw_attention, draw_attention_correlations, draw_attention_of_top

    if "correlation" in found:
        for model, top in models_of(found["attention_top"]):
            title = f"Attention targets of the top heads, {model}"
            yield f"attention-top/{model}", draw_attention_of_top(top, title=title)
        for over in ("within_layers", "all_heads"):
            yield f"attention-{over}", draw_attention_correlations(found["correlation"], over=over)
    for model, table in models_of(found["attention"]):
        yield f"attention/{model}", draw_attention(table, title=f"Attention targets of each head, {model}")


ATTENTION = Measurement("attention", AttentionSettings, measure, finding, figures, per_set=16, inputs=inputs)
