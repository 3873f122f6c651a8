"""The whole path on the small families: from weights to a report that a person wants to look at."""

from __future__ import annotations

import os
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from tqdm import tqdm
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.internal.ablation.heads import HeadAblation, ablate_heads
from interp.internal.lens.logit_lens import logit_lens
from interp.models.loading import load_model
from interp.models.registry import ModelSpec, small_models
from interp.planted.corpus import planted_windows
from interp.planted.planting import HELD_OUT, REPETITIONS, planted_set
from interp.processes import worker_pool
from interp.results import Provenance, write_table
from interp.seeds import drawn
from interp.statistical.extraction import Extraction, extract
from interp.stats.curves import memorization_groups

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


@dataclass(frozen=True, repr=False, eq=False)
class ModelResults(Brief):
    """What the demo measured on one model."""

    scores: pd.DataFrame
    """A row a window: ``Extraction.to_frame`` with ``model``, ``family``, ``size``, ``n_params``."""
    ablation: HeadAblation | None
    """Of memorized windows; ``None`` where the model has memorized none."""
    layers: pd.DataFrame
    """Probability of the true token by layer and group; empty but for the largest model of each family."""
    decided: pd.DataFrame
    """Share of tokens that have passed p > 0.5 for good, by layer and group; as ``layers``."""
    examples: pd.DataFrame
    provenance: list[Provenance]


@dataclass(frozen=True, repr=False, eq=False)
class DemoResults(Brief):
    """What the demo measured, as the report draws it; tables of all models stacked."""

    scores: pd.DataFrame
    layers: pd.DataFrame
    decided: pd.DataFrame
    examples: pd.DataFrame
    ablations: dict[str, HeadAblation]
    """By model; without those that have memorized nothing."""
    provenance: list[Provenance]


def _examples(model: TransformerBridge, extraction: Extraction) -> pd.DataFrame:
    """A few windows as text: memorized ones, and held-out ones of the same model."""
    windows = extraction.windows
    rows = []
    for kind, which in {"memorized": extraction.memorized, "never shown": windows.count == 0}.items():
        for i in drawn(which, EXAMPLES_PER_KIND, seed=SEED):
            prefix, truth, generated = (
                model.tokenizer.decode(ids.tolist())
                for ids in (windows.prefix[i], windows.continuation[i], extraction.generated[i])
            )
            facts = {"kind": kind, "document": str(windows.document[i]), "times shown": int(windows.count[i])}
            texts = {"prefix": prefix, "true continuation": truth, "generated": generated}
            rows.append(facts | {"M": float(extraction.score[i])} | texts)
    return pd.DataFrame(rows)


def _prepare_worker() -> None:
    """Of a process that is the demo's own: what is set here is set for all that runs in it."""
    # Two models beside one another are faster than two threads on matrices this small.
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()


def measure_model(spec: ModelSpec, plan: DemoPlan) -> ModelResults:
    """Extract with one small model and sweep its heads on what it has memorized; decode the layers of a large one."""
    label: dict[str, Any] = {"model": spec.name, "family": spec.family, "size": spec.size, "n_params": spec.n_params}
    model = load_model(spec.name)
    windows = planted_windows(sets=[HELD_OUT, *map(planted_set, REPETITIONS)], per_set=plan.per_set, seed=SEED)
    extraction = extract(model, windows)
    provenance, ablation = [extraction.provenance], None
    if extraction.memorized.any():
        ablation = ablate_heads(model, windows.select(drawn(extraction.memorized, plan.n_ablated, seed=SEED)))
        provenance.append(ablation.provenance)
    layers, decided, examples = pd.DataFrame(), pd.DataFrame(), pd.DataFrame()
    if spec.size == plan.sizes[-1]:
        picked = np.union1d(*(drawn(extraction.score == score, plan.n_decoded, seed=SEED) for score in (0, 1)))
        decoding = logit_lens(model, windows.select(picked))
        groups = memorization_groups(extraction.score[picked])
        layers = decoding.curves("probability", groups=groups, seed=SEED).assign(**label)
        decided = decoding.first_layer(0.5).holding(groups, seed=SEED).assign(**label)
        examples = _examples(model, extraction)
        examples.insert(0, "model", spec.name)
        provenance.append(decoding.provenance)
    return ModelResults(extraction.to_frame().assign(**label), ablation, layers, decided, examples, provenance)


def measure(plan: DemoPlan) -> DemoResults:
    """Measure the small families, two models at a time, with a progress bar."""
    specs = [spec for spec in small_models() if spec.size in plan.sizes]
    done: dict[str, ModelResults] = {}
    with (
        worker_pool(min(2, os.cpu_count() or 1), prepare=_prepare_worker) as pool,
        # Larger models take longer: counted in heads, what is left is estimated well.
        tqdm(total=sum(s.n_layers * s.n_heads for s in specs), unit="head", desc="small families") as bar,
    ):
        running = {pool.submit(measure_model, spec, plan): spec for spec in sorted(specs, key=lambda s: -s.n_params)}
        for finished in as_completed(running):
            spec = running[finished]
            done[spec.name] = finished.result()
            bar.set_postfix_str(spec.name)
            bar.update(spec.n_layers * spec.n_heads)
    results = [done[spec.name] for spec in specs]
    return DemoResults(
        scores=pd.concat([r.scores for r in results], ignore_index=True),
        layers=pd.concat([r.layers for r in results], ignore_index=True),
        decided=pd.concat([r.decided for r in results], ignore_index=True),
        examples=pd.concat([r.examples for r in results], ignore_index=True),
        ablations={spec.name: r.ablation for spec, r in zip(specs, results, strict=True) if r.ablation is not None},
        provenance=[p for r in results for p in r.provenance],
    )


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
