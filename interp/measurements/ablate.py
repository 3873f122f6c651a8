"""Head ablation: which attention heads carry memorized text."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from pydantic import model_validator

from interp.internal.ablation.choices import Group, MeanOver, Method, Metric
from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import Several, option, settings
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from interp.data.windows import Windows
    from interp.internal.ablation.heads import HeadAblation
    from interp.internal.ablation.replacement import Ablation
    from interp.measurements.subject import Subject
    from interp.results import Provenance

STEPS = 5
"""Steps of the integrated estimate."""


@settings
class AblateSettings:
    """Ablate every head in turn: fall in memorization rate and log-probability (nats per token).

    With --screen, one backward pass estimates all heads, and only heads that could be among the most important are
    ablated. The fall of the others is empty. The time saved depends on the quality of the estimate.
    """

    methods: Several[Method] = option(
        "what replaces a head's output; may be given several times", default=("zero",), name="--method"
    )
    metrics: Several[Metric] = option(
        "quantity whose fall is measured; score needs greedy decoding as well",
        default=("log_prob", "rate"),
        name="--metric",
    )
    groups: Several[Group] = option(
        "group of windows by memorization; may be given several times", default=("memorized",), name="--group"
    )
    heads: Several[str] | None = option(
        "only these heads, such as 3.7 for head 7 of layer 3", default=None, name="--heads"
    )
    reference: str = option("text for mean: a set of the shipped corpus, or another corpus", default="background")
    mean_over: MeanOver = option("mean per position, or over all positions", default="position")
    screen: float | None = option("find only this share of most important heads, such as 0.2", default=None, ge=0, le=1)
    estimate: bool = option("also the gradient estimate, and its agreement", default=False)
    by_window: bool = option(
        "also a table of the fall of each window for each head, for `interp compare heads`", default=False
    )
    at_most: int | None = option("maximal number of windows per group", default=None, ge=1)

    @model_validator(mode="after")
    def _screening_chooses(self) -> AblateSettings:
        """Screening ablates only a few heads of its choice, so options that need other heads are refused."""
        asked = {
            "--heads": self.heads is not None,
            "--estimate": self.estimate,
            "--by-window": self.by_window,
        }
        ignored = [name for name, given in asked.items() if given]
        if self.screen is not None and ignored:
            raise ValueError(f"--screen chooses the heads itself, and takes no {' or '.join(ignored)}")
        return self


def inputs(subject: Subject, chosen: AblateSettings) -> Mapping[str, str]:
    other = {"reference": subject.reference(chosen.reference).digest} if "mean" in chosen.methods else {}
    return {"windows": subject.windows.digest, **other}


def measure(subject: Subject, chosen: AblateSettings) -> Tables:
    import pandas as pd

    from interp.internal.ablation.gradient import estimate_heads
    from interp.internal.ablation.replacement import Ablation

    tables = Tables()
    # Read once, because another corpus may be large.
    background = subject.reference(chosen.reference) if "mean" in chosen.methods else None
    for group in chosen.groups:
        tested = subject.of_group(group, at_most=chosen.at_most)
        maps: dict[str, np.ndarray] = {}
        rests_on: list[Provenance] = []
        for method in chosen.methods:
            reference = background if method == "mean" else None
            ablation = Ablation(method, reference=reference, mean_over=chosen.mean_over, seed=subject.seed)
            if chosen.screen is not None:
                _add_screened(tables, subject, chosen, tested, ablation, group=group)
                continue
            exact = _ablate(subject, chosen, tested, ablation, group=group)
            maps[method] = exact.falls("log_prob")
            rests_on.append(exact.provenance)
            if chosen.estimate:
                for kind, steps in (("estimate", 1), ("integrated", STEPS)):
                    guess = estimate_heads(subject.model, tested, ablation, steps=steps, **subject.how)
                    maps[f"{method}, {kind}"] = guess.fall
                    rests_on.append(guess.provenance)
                    if kind == "estimate":
                        estimated = guess.to_frame(seed=subject.seed).assign(by="gradient")
            heads = exact.to_frame(seed=subject.seed).assign(by="ablation")
            heads = pd.concat([heads, estimated], ignore_index=True) if chosen.estimate else heads
            tables.add("heads", heads.assign(group=group, method=method), *rests_on)
            if chosen.by_window:
                tables.add("by_window", by_window(exact).assign(group=group, method=method), exact.provenance)
        if len(maps) > 1 and (chosen.heads is None or len(chosen.heads) > 1):  # agreement needs at least two heads
            agreements = _agreements(maps, tested, chosen, seed=subject.seed)
            tables.add("agreement", agreements.assign(group=group), *rests_on)
    return tables


def _asked(chosen: AblateSettings, group: Group) -> tuple[Metric, ...]:
    """Unmemorized windows have no rate or score that could fall."""
    return chosen.metrics if group == "memorized" else ("log_prob",)


def _ablate(
    subject: Subject,
    chosen: AblateSettings,
    tested: Windows,
    ablation: Ablation,
    *,
    group: Group,
) -> HeadAblation:
    from interp.internal.ablation.heads import ablate_heads

    return ablate_heads(
        subject.model,
        tested,
        ablation,
        metrics=_asked(chosen, group),
        heads=None if chosen.heads is None else [_head(name) for name in chosen.heads],
        **subject.how,
    )


def _add_screened(
    tables: Tables,
    subject: Subject,
    chosen: AblateSettings,
    tested: Windows,
    ablation: Ablation,
    *,
    group: Group,
) -> None:
    from interp.internal.ablation.screening import screen_heads

    assert chosen.screen is not None
    found = screen_heads(
        subject.model,
        tested,
        ablation,
        share=chosen.screen,
        metrics=_asked(chosen, group),
        **subject.how,
        seed=subject.seed,
    )
    heads = found.to_frame(seed=subject.seed).assign(group=group, method=ablation.method)
    tables.add("heads", heads, found.provenance)


def _head(name: str) -> tuple[int, int]:
    """``3.7`` as layer 3, head 7.

    Raises:
        AblationError: the name is not two numbers.
    """
    from interp.internal.ablation.choices import AblationError

    layer, _, head = name.partition(".")
    if not (layer.isdecimal() and head.isdecimal()):
        raise AblationError(f"{name!r} is not a head: write layer and head, such as 3.7")
    return int(layer), int(head)


def by_window(ablation: HeadAblation) -> pd.DataFrame:
    """Fall of each window for each head, nats per token."""
    import numpy as np
    import pandas as pd

    falls, windows = ablation.falls("log_prob"), ablation.windows.to_frame()
    layer, head, window = np.indices(falls.shape).reshape(3, -1)
    of_windows = windows[["window", "document", "domain", "digest"]].iloc[window].reset_index(drop=True)
    return pd.DataFrame({"layer": layer, "head": head}).join(of_windows).assign(fall=falls.ravel())


def _agreements(maps: dict[str, np.ndarray], tested: Windows, chosen: AblateSettings, *, seed: int) -> pd.DataFrame:
    """Agreement of each pair of methods, and of each method with its estimates."""
    import pandas as pd

    from interp.internal.comparison.agreement import agreement

    kinds = ("estimate", "integrated") if chosen.estimate else ()
    pairs = [*combinations(chosen.methods, 2), *((m, f"{m}, {kind}") for m in chosen.methods for kind in kinds)]
    rows = []
    for one, other in pairs:
        found = agreement(maps[one], maps[other], documents=tested.document, seed=seed)
        rows.append(found.to_frame().assign(one=one, other=other))
    return pd.concat(rows, ignore_index=True)


def finding(found: Finished) -> str:
    from interp.wording import interval

    said = []
    table = found["heads"]
    for model, rows in models_of(table[(table["metric"] == "log_prob") & (table["by"] == "ablation")]):
        for (group, method), heads in rows.groupby(["group", "method"], sort=False):
            ablated = heads[heads["value"].notna()]
            strongest = ", ".join(
                f"{head['layer']}.{head['head']}: {head['value']:.3g} {interval(head['low'], head['high'])}"
                for head in records(ablated.nlargest(5, "value"))
            )
            n, n_documents = (int(heads[column].max()) for column in ("n", "n_documents"))
            swept = f"{len(ablated)} of {len(heads)} heads ablated"
            said.append(
                f"{model}: {swept} ({method}) on {n} {group} windows of {n_documents} documents. Those that cost most, "
                f"in nats per token: {strongest}"
            )
    return "; ".join(said)


def figures(found: Finished) -> Figures:
    from interp.figures.ablation import draw_agreement, draw_estimate, draw_heads

    heads = found["heads"]
    for (group, method), table in heads.groupby(["group", "method"], sort=False):
        yield f"heads-{group}-{method}", draw_heads(table)
        if (table["by"] == "gradient").any():
            yield f"estimate-{group}-{method}", draw_estimate(table)
    if "agreement" in found:
        for group, table in found["agreement"].groupby("group", sort=False):
            yield f"agreement-{group!s}", draw_agreement(table)


ABLATE = Measurement("ablate", AblateSettings, measure, finding, figures, per_set=16, inputs=inputs)
