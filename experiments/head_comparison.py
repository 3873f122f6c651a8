"""Which heads carry memorized text, in which domains, in which families (arXiv 2603.21658, head importance)?

    python experiments/head_comparison.py --tables DIRECTORY --out DIRECTORY [--attention] [--draw-only]

Reads the parquet tables of a head-ablation run: columns ``model``, ``domain``, ``layer``, ``head`` and
``importance_log_prob`` (or another metric), a row a head. Compares the top heads of a model's domains, and the models
by importance over relative depth and by sorted importance. With ``--attention`` it also measures what the heads look at
while memorized windows are predicted, and how that goes with importance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from grouped import grouped_windows, write_figure

from interp.figures.attention_targets import importance_correlations
from interp.figures.comparison import depth_profiles, overlap_by_model, similarity_heatmap, universal_heads
from interp.internal.attention_targets import attention_targets
from interp.internal.overlap import overlap
from interp.internal.similarity import FamilySimilarity, Representation, family_similarity
from interp.models.loading import load_model
from interp.models.registry import find
from interp.results import Provenance, read_provenance, write_table

REPRESENTATIONS: tuple[Representation, ...] = ("depth", "sorted")


def read_importance(tables: Path, metric: str) -> tuple[dict[str, dict[str, np.ndarray]], list[Provenance]]:
    """Importance maps by model and domain, and where they come from."""
    needed = ["model", "domain", "layer", "head", f"importance_{metric}"]
    maps: dict[str, dict[str, np.ndarray]] = {}
    provenance: list[Provenance] = []
    for path in sorted(tables.glob("*.parquet")):
        table = pd.read_parquet(path)
        if not set(needed) <= set(table.columns):
            print(f"{path.name}: passed over, it has no {sorted(set(needed) - set(table.columns))}")
            continue
        provenance += read_provenance(path)
        for (model, domain), rows in table.groupby(["model", "domain"], sort=False):
            wide = rows.pivot(index="layer", columns="head", values=needed[-1])
            maps.setdefault(str(model), {})[str(domain)] = wide.to_numpy(dtype=np.float64)
    if not maps:
        raise SystemExit(f"{tables} holds no table with the columns {needed}")
    return maps, provenance


def measure(tables: Path, out: Path, *, metric: str, attention: bool, per_set: int, seed: int) -> None:
    maps, provenance = read_importance(tables, metric)
    mean = {model: np.mean(list(domains.values()), axis=0) for model, domains in maps.items()}
    pairs, universal, correlations = [], [], []
    for model, domains in maps.items():
        family = find(model).family
        if len(domains) > 1:
            found = overlap(domains, seed=seed)
            pairs.append(found.pairs.assign(model=model))
            e = found.universal_share
            expected = {f"expected_{null}": value for null, value in found.universal_expected.items()}
            p = {f"p_{null}": value for null, value in found.universal_p.items()}
            universal.append(
                {"model": model, "family": family, "value": e.value, "low": e.low, "high": e.high, **expected, **p}
            )
        if attention:
            bridge = load_model(model)
            chosen = grouped_windows(bridge, per_set=per_set, seed=seed)
            if chosen is not None:
                windows, groups = chosen
                seen = attention_targets(bridge, windows.select(groups["memorized"]), corpus=windows)
                correlations.append(seen.correlation(mean[model], seed=seed).assign(model=model, family=family))
                provenance.append(seen.provenance)
    if pairs:
        write_table(pd.concat(pairs, ignore_index=True), out / "overlap.parquet", provenance)
        write_table(pd.DataFrame(universal), out / "universal.parquet", provenance)
    if correlations:
        write_table(pd.concat(correlations, ignore_index=True), out / "attention.parquet", provenance)
    importance = pd.concat(
        [pd.DataFrame(values).melt(ignore_index=False).reset_index().assign(model=m) for m, values in mean.items()]
    ).set_axis(["layer", "head", "importance", "model"], axis=1)
    write_table(importance, out / "importance.parquet", provenance)


def compare_families(out: Path, provenance: list[Provenance], *, seed: int) -> list[FamilySimilarity]:
    """Similarity within and across families, from the saved importance, as a table and as results to draw."""
    table = pd.read_parquet(out / "importance.parquet")
    maps = {
        str(model): rows.pivot(index="layer", columns="head", values="importance").to_numpy()
        for model, rows in table.groupby("model", sort=False)
    }
    families = {model: find(model).family for model in maps}
    if not 1 < len(set(families.values())) < len(families):
        print("similarity within and across families: passed over, one model or family is not enough")
        return []
    found = [family_similarity(maps, families, representation=kind, seed=seed) for kind in REPRESENTATIONS]
    rows = [
        {
            "representation": f.representation,
            "pairs": pairs,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "p": f.p_value,
        }
        for f in found
        for pairs, e in (("within", f.within), ("across", f.across), ("difference", f.difference))
    ]
    write_table(pd.DataFrame(rows), out / "families.parquet", provenance)
    return found


def draw(out: Path, *, seed: int) -> None:
    if (out / "overlap.parquet").exists():
        write_figure(overlap_by_model(pd.read_parquet(out / "overlap.parquet")), out / "overlap.html")
        write_figure(universal_heads(pd.read_parquet(out / "universal.parquet")), out / "universal.html")
    if (out / "attention.parquet").exists():
        correlations = pd.read_parquet(out / "attention.parquet")
        write_figure(importance_correlations(correlations), out / "attention.html")
    for found in compare_families(out, read_provenance(out / "importance.parquet"), seed=seed):
        write_figure(similarity_heatmap(found), out / f"similarity-{found.representation}.html")
        write_figure(depth_profiles(found), out / f"profiles-{found.representation}.html")
        print(f"{found.representation}: within {found.within}, across {found.across}, p = {found.p_value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="where the ablation tables are")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--metric", default="log_prob", choices=["log_prob", "rate", "score"])
    parser.add_argument("--attention", action="store_true", help="measure what the heads look at as well")
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain, for --attention")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure(
            args.tables, args.out, metric=args.metric, attention=args.attention, per_set=args.per_set, seed=args.seed
        )
    draw(args.out, seed=args.seed)


if __name__ == "__main__":
    main()
