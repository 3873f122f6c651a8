"""Which heads carry memorized text, and do the four ablation methods and the fast estimate name the same ones?

    python experiments/head_ablation.py --out DIRECTORY [--models pythia-small-1.2m ...] [--score] [--draw-only]

Every head of every model ablated alone, by each method, on memorized windows and (log-probability) on unmemorized ones;
the gradient estimate beside it, plain and integrated; agreement of all pairs; direct shares of the true token's logit.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from grouped import grouped_windows, some, write_figure
from parts import Part, measure_each

from interp.data.corpus import planted_windows
from interp.figures.ablation_curves import agreement_by_pair, attribution_bars, estimate_against_exact, head_maps
from interp.files import safe_name
from interp.internal.ablation import HeadAblation, ablate_heads
from interp.internal.agreement import agreement
from interp.internal.attribution_patching import estimate_heads
from interp.internal.logit_attribution import logit_attribution
from interp.internal.methods import Method, Metric
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import Provenance, read_table

METHODS: tuple[Method, ...] = ("zero", "mean", "resample", "peer_mean")
PAPERS: Method = "peer_mean"
"""The paper's method: what the comparison of domains and families rests on."""
STEPS = 5
GROUPS = ("memorized", "unmemorized")


def measure(name: str, *, per_set: int, n_windows: int, score: bool, seed: int) -> Part | None:
    metrics: tuple[Metric, ...] = ("log_prob", "rate", "score") if score else ("log_prob", "rate")
    background = planted_windows(sets=["background"], per_set=32, seed=seed)
    model = load_model(name)
    chosen = grouped_windows(model, per_set=per_set, seed=seed)
    if chosen is None:
        return None
    windows, groups = chosen
    part = Part()
    for group in GROUPS:
        tested = windows.select(some(groups[group], n_windows, seed=seed))
        maps: dict[str, np.ndarray] = {}
        measured: list[Provenance] = []
        for method in METHODS:
            reference = background if method == "mean" else None
            asked: tuple[Metric, ...] = metrics if group == "memorized" else ("log_prob",)
            exact = ablate_heads(model, tested, method=method, metrics=asked, reference=reference, seed=seed)
            estimate = estimate_heads(model, tested, method=method, reference=reference, seed=seed)
            integrated = estimate_heads(model, tested, method=method, reference=reference, steps=STEPS, seed=seed)
            heads = exact.to_frame(seed=seed).merge(
                estimate.to_frame(seed=seed).drop(columns=["n_windows", "n_documents"]), on=["layer", "head"]
            )
            heads = heads.assign(model=name, group=group, method=method)
            part.add("heads", heads, exact.provenance, estimate.provenance)
            if group == "memorized" and method == PAPERS:
                part.add("by_window", _by_window(exact).assign(model=name), exact.provenance)
            maps |= {
                method: exact.falls("log_prob"),
                f"{method}, estimate": estimate.fall,
                f"{method}, integrated": integrated.fall,
            }
            measured += [exact.provenance, estimate.provenance, integrated.provenance]
        pairs = [*combinations(METHODS, 2), *((m, f"{m}, {k}") for m in METHODS for k in ("estimate", "integrated"))]
        rows = [{"one": a, "other": b, **_row(maps[a], maps[b], tested.document, seed)} for a, b in pairs]
        agreements = pd.DataFrame(rows).assign(
            model=name, group=group, n_windows=len(tested), n_documents=tested.n_documents
        )
        part.add("agreement", agreements, *measured)
        shares = logit_attribution(model, tested)
        part.add("attribution", shares.to_frame(seed=seed).assign(model=name, group=group), shares.provenance)
    return part


def _by_window(ablation: HeadAblation) -> pd.DataFrame:
    """What each window loses by each head, for ``head_comparison.py``."""
    falls, windows = ablation.falls("log_prob"), ablation.windows
    layer, head, window = np.indices(falls.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "layer": layer,
            "head": head,
            "window": windows.window[window],
            "document": windows.document[window],
            "domain": windows.domain[window],
            "fall": falls.ravel(),
        }
    )


def _row(one: np.ndarray, other: np.ndarray, documents: np.ndarray, seed: int) -> Mapping[str, float]:
    found = agreement(one, other, documents=documents, seed=seed)
    row: dict[str, float] = {"expected_jaccard": found.expected_jaccard, "n_heads": found.n_heads}
    for name, e in (("spearman", found.spearman), ("jaccard", found.jaccard)):
        row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return row


def draw(out: Path) -> None:
    heads, agree, shares = (read_table(out / f"{name}.parquet") for name in ("heads", "agreement", "attribution"))
    for group in GROUPS:
        for method in METHODS:
            table = heads[(heads["group"] == group) & (heads["method"] == method)]
            write_figure(head_maps(table), out / f"heads-{group}-{method}.html")
            write_figure(estimate_against_exact(table), out / f"estimate-{group}-{method}.html")
        write_figure(agreement_by_pair(agree[agree["group"] == group]), out / f"agreement-{group}.html")
        for name, table in shares[shares["group"] == group].groupby("model", sort=False):
            fig = attribution_bars(table, title=f"{name!s}, {group}")
            write_figure(fig, out / "attribution" / f"{safe_name(str(name))}-{group}.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain to choose from")
    parser.add_argument("--windows", type=int, default=64, help="at most so many tested windows of each group")
    parser.add_argument("--score", action="store_true", help="mean M under ablation as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure_each(
            args.models,
            args.out,
            measure,
            per_set=args.per_set,
            n_windows=args.windows,
            score=args.score,
            seed=args.seed,
        )
    draw(args.out)


if __name__ == "__main__":
    main()
