"""The whole path on the small families: from weights to a report that a person wants to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm
from transformer_lens.model_bridge import TransformerBridge

from interp.data.corpus import planted_windows
from interp.data.planting import HELD_OUT, REPETITIONS, planted_set
from interp.data.windows import Windows
from interp.internal.ablation import HeadAblation, ablate_heads
from interp.internal.curves import memorization_groups
from interp.internal.lens import logit_lens
from interp.models.loading import load_model
from interp.models.registry import ModelSpec, small_models
from interp.results import Provenance, write_table
from interp.statistical.extraction import Extraction, extract

SEED = 0
EXAMPLES_PER_KIND = 3


@dataclass(frozen=True)
class DemoPlan:
    """How much the demo measures."""

    sizes: tuple[str, ...]
    """Sizes of the small models; all six families of each."""
    per_set: int
    """Windows of each planted set and domain, for extraction."""
    n_decoded: int
    """Memorized windows, and as many unmemorized ones, for layer decoding."""
    n_ablated: int
    """Memorized windows for the head sweep."""


FULL = DemoPlan(sizes=("0.2m", "0.5m", "1.2m"), per_set=32, n_decoded=128, n_ablated=64)
QUICK = DemoPlan(sizes=("0.2m", "0.5m"), per_set=8, n_decoded=32, n_ablated=16)


@dataclass
class DemoResults:
    """What the demo measured, as the report draws it."""

    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row a model and window: ``Extraction.to_frame`` with ``model``, ``family``, ``size``, ``n_params``."""
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Probability of the true token by layer and group; the largest model of each family."""
    decided: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Share of tokens that have passed p > 0.5 for good, by layer and group."""
    ablations: dict[str, HeadAblation] = field(default_factory=dict)
    """By model."""
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    provenance: list[Provenance] = field(default_factory=list)


def _sample(windows: Windows, which: np.ndarray, n: int) -> np.ndarray:
    """Up to n of the chosen windows, seeded, in the windows' order."""
    positions = np.flatnonzero(which)
    return np.sort(np.random.default_rng(SEED).permutation(positions)[:n])


def _describe(spec: ModelSpec) -> dict[str, Any]:
    return {"model": spec.name, "family": spec.family, "size": spec.name.rsplit("-", 1)[1], "n_params": spec.n_params}


def _examples(model: TransformerBridge, spec: ModelSpec, extraction: Extraction) -> pd.DataFrame:
    """A few windows as text: memorized ones, and held-out ones of the same model."""
    windows = extraction.windows
    kinds = {"memorized": extraction.memorized, "never shown": windows.count == 0}
    rows = []
    for kind, which in kinds.items():
        for i in _sample(windows, which, EXAMPLES_PER_KIND):
            text = [model.tokenizer.decode(ids.tolist()) for ids in (windows.prefix[i], windows.continuation[i])]
            rows.append(
                {
                    "model": spec.name,
                    "kind": kind,
                    "document": str(windows.document[i]),
                    "times shown": int(windows.count[i]),
                    "M": float(extraction.score[i]),
                    "prefix": text[0],
                    "true continuation": text[1],
                    "generated": model.tokenizer.decode(extraction.generated[i].tolist()),
                }
            )
    return pd.DataFrame(rows)


def measure(plan: DemoPlan, *, specs: Iterable[ModelSpec] | None = None) -> DemoResults:
    """Extract, decode layers and sweep heads on the small families, with progress bars."""
    chosen = [spec for spec in specs or small_models() if spec.name.rsplit("-", 1)[1] in plan.sizes]
    windows = planted_windows(sets=[HELD_OUT, *map(planted_set, REPETITIONS)], per_set=plan.per_set, seed=SEED)
    results = DemoResults()
    scores, layers, decided, examples = [], [], [], []
    # Larger models take longer, so the bar counts layers times heads: what is left is then estimated well.
    with tqdm(total=sum(s.n_layers * s.n_heads for s in chosen), unit="head", desc="small families") as bar:
        for spec in chosen:
            bar.set_postfix_str(spec.name)
            model = load_model(spec.name)
            extraction = extract(model, windows)
            scores.append(extraction.to_frame().assign(**_describe(spec)))
            results.provenance.append(extraction.provenance)
            memorized = _sample(windows, extraction.memorized, plan.n_ablated)
            if len(memorized):
                ablation = ablate_heads(model, windows.select(memorized), method="zero")
                results.ablations[spec.name] = ablation
                results.provenance.append(ablation.provenance)
            if spec.name.endswith(plan.sizes[-1]):
                picked = np.union1d(
                    _sample(windows, extraction.memorized, plan.n_decoded),
                    _sample(windows, extraction.score == 0, plan.n_decoded),
                )
                decoding = logit_lens(model, windows.select(picked))
                groups = memorization_groups(extraction.score[picked])
                layers.append(decoding.curves("probability", groups=groups, seed=SEED).assign(**_describe(spec)))
                decided.append(decoding.first_layer(0.5).holding(groups, seed=SEED).assign(**_describe(spec)))
                examples.append(_examples(model, spec, extraction))
                results.provenance.append(decoding.provenance)
            bar.update(spec.n_layers * spec.n_heads)
    results.scores = pd.concat(scores, ignore_index=True)
    results.layers = pd.concat(layers, ignore_index=True)
    results.decided = pd.concat(decided, ignore_index=True)
    results.examples = pd.concat(examples, ignore_index=True)
    return results


def write_tables(results: DemoResults, out: Path) -> None:
    """The tables behind the report, as parquet with their provenance."""
    by_measurement = {
        name: [p for p in results.provenance if p.measurement == name]
        for name in ("extract", "logit_lens", "ablate_heads")
    }
    heads = pd.concat([a.to_frame(seed=SEED).assign(model=name) for name, a in results.ablations.items()])
    write_table(results.scores, out / "scores.parquet", by_measurement["extract"])
    write_table(results.layers, out / "layers.parquet", by_measurement["logit_lens"])
    write_table(results.decided, out / "decided.parquet", by_measurement["logit_lens"])
    write_table(heads, out / "heads.parquet", by_measurement["ablate_heads"])
