"""Which heads carry memorized text, in which domains, in which families (arXiv 2603.21658, head importance)?

    python experiments/head_comparison.py --tables DIRECTORY --out DIRECTORY [--no-attention] [--draw-only]

Reads ``by_window.parquet`` of a head-ablation run (the paper's method, memorized windows): what each window loses by
each head, nats a token. Compares the top heads of a model's domains, and the models by importance over relative depth
and by sorted importance. Beside it: what the heads look at while memorized windows are predicted, and how that goes
with importance.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from grouped import grouped_windows, write_figure
from jaxtyping import Float, Shaped
from parts import Part, measure_each

from interp.curves import estimate_columns
from interp.data.corpus import planted_windows
from interp.figures.attention_targets import importance_correlations, targets_of_top_heads
from interp.figures.comparison import (
    concentration_by_model,
    importance_profiles,
    overlap_by_model,
    similarity_heatmap,
    universal_heads,
)
from interp.files import safe_name
from interp.internal.attention_targets import TARGETS, attention_targets
from interp.internal.overlap import Importance, overlap
from interp.internal.profiles import concentration, importance_profile
from interp.internal.similarity import FamilySimilarity, Representation, family_similarity
from interp.models.loading import load_model
from interp.models.registry import find, small_models
from interp.results import Provenance, read_provenance, read_table, write_table

REPRESENTATIONS: tuple[Representation, ...] = ("depth", "sorted")


@dataclass(frozen=True)
class Falls:
    """What one model's memorized windows lose by each head's ablation."""

    fall: Float[np.ndarray, "layer head window"]
    """Nats a token."""
    document: Shaped[np.ndarray, " window"]
    domain: Shaped[np.ndarray, " window"]

    def by_domain(self) -> dict[str, Importance]:
        """Mean over the windows of each domain."""
        return {str(d): self.fall[:, :, self.domain == d].mean(axis=-1) for d in sorted(set(self.domain))}


def read_falls(tables: Path) -> tuple[dict[str, Falls], list[Provenance]]:
    """Falls by model, family by family and the smallest first, and where they come from."""
    path = tables / "by_window.parquet"
    table = read_table(path)
    found = {}
    for name in (spec.name for spec in small_models() if spec.name in set(table["model"])):
        rows = table[table["model"] == name].sort_values(["layer", "head", "window"])
        windows = rows[(rows["layer"] == 0) & (rows["head"] == 0)]
        shape = (rows["layer"].nunique(), rows["head"].nunique(), len(windows))
        documents, domains = windows["document"].to_numpy(), windows["domain"].to_numpy()
        found[name] = Falls(rows["fall"].to_numpy(dtype=np.float64).reshape(shape), documents, domains)
    return found, read_provenance(path)


def labels(model: str) -> dict[str, Any]:
    """The columns that tell a model's rows from others'."""
    return {"model": model, "family": find(model).family, "size": model.rsplit("-", 1)[1]}


def measure(tables: Path, out: Path, *, seed: int) -> None:
    falls, provenance = read_falls(tables)
    rows: dict[str, list[pd.DataFrame]] = {
        name: [] for name in ("overlap", "universal", "profiles", "concentration", "importance")
    }
    for model, found in falls.items():
        label = labels(model)
        domains = found.by_domain()
        if len(domains) > 1:
            shared = overlap(domains, seed=seed)
            rows["overlap"].append(shared.pairs.assign(**label))
            expected = {f"expected_{null}": value for null, value in shared.universal_expected.items()}
            p = {f"p_{null}": value for null, value in shared.universal_p.items()}
            e = shared.universal_share
            share = {"value": e.value, "low": e.low, "high": e.high, "n_heads": e.n}
            rows["universal"].append(pd.DataFrame([{**label, **share, **expected, **p}]))
        for kind in REPRESENTATIONS:
            profile = importance_profile(found.fall, found.document, representation=kind, seed=seed)
            rows["profiles"].append(profile.assign(representation=kind, **label))
        gini = concentration(found.fall, found.document, seed=seed)
        rows["concentration"].append(pd.DataFrame([{**label, **estimate_columns(gini)}]))
        importance = found.fall.mean(axis=-1)
        layer, head = np.indices(importance.shape).reshape(2, -1)
        columns = {"layer": layer, "head": head, "importance": importance.ravel()}
        rows["importance"].append(pd.DataFrame(columns).assign(**label))
    for table, parts in rows.items():
        write_table(pd.concat(parts, ignore_index=True), out / f"{table}.parquet", provenance)


def measure_attention(name: str, *, tables: Path, per_set: int, seed: int) -> Part | None:
    """What the heads of a model look at on its memorized windows, and how importance goes with it."""
    falls, _ = read_falls(tables)
    importance = falls[name].fall.mean(axis=-1)
    model = load_model(name)
    chosen = grouped_windows(model, per_set=per_set, seed=seed)
    if chosen is None:
        return None
    windows, groups = chosen
    seen = attention_targets(model, windows.select(groups["memorized"]), corpus=planted_windows())
    part, label = Part(), labels(name)
    part.add("attention", seen.correlation(importance, seed=seed).assign(**label), seen.provenance)
    uniform = {target: seen.evenly(target) for target in TARGETS}
    top = seen.top_against_rest(importance, seed=seed)
    part.add("attention_top", top.assign(uniform=top["target"].map(uniform), **label), seen.provenance)
    return part


def compare_families(out: Path, provenance: list[Provenance], *, seed: int) -> list[FamilySimilarity]:
    """Similarity within and across families, from the saved importance, as a table and as results to draw."""
    table = read_table(out / "importance.parquet")
    maps = {
        str(model): rows.pivot(index="layer", columns="head", values="importance").to_numpy()
        for model, rows in table.groupby("model", sort=False)
    }
    families = {model: find(model).family for model in maps}
    if not 1 < len(set(families.values())) < len(families):
        print("similarity within and across families: passed over, one model or family is not enough")
        return []
    # Models of one size have the same layers and heads, and are alike for that.
    layers = {model: len(importance) for model, importance in maps.items()}
    found = [
        family_similarity(maps, families, strata=layers, representation=kind, seed=seed) for kind in REPRESENTATIONS
    ]
    rows = [
        {
            "representation": f.representation,
            "pairs": pairs,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "n_models": e.n,
            "n_families": e.n_clusters,
            "p": f.p_value,
        }
        for f in found
        for pairs, e in (("within", f.within), ("across", f.across), ("difference", f.difference))
    ]
    write_table(pd.DataFrame(rows), out / "families.parquet", provenance)
    return found


def draw(out: Path, *, attention: bool, seed: int) -> None:
    write_figure(overlap_by_model(read_table(out / "overlap.parquet")), out / "overlap.html")
    write_figure(universal_heads(read_table(out / "universal.parquet")), out / "universal.html")
    write_figure(concentration_by_model(read_table(out / "concentration.parquet")), out / "concentration.html")
    profiles = read_table(out / "profiles.parquet")
    for kind in REPRESENTATIONS:
        rows = profiles[profiles["representation"] == kind]
        write_figure(importance_profiles(rows, kind), out / f"profiles-{kind}.html")
    if attention and (out / "attention.parquet").exists():
        correlations = read_table(out / "attention.parquet")
        for over in ("within_layers", "all_heads"):
            write_figure(importance_correlations(correlations, over=over), out / f"attention-{over}.html")
        for model, top in read_table(out / "attention_top.parquet").groupby("model", sort=False):
            uniform = {str(t): float(u) for t, u in zip(top["target"], top["uniform"], strict=True)}
            fig = targets_of_top_heads(top, uniform).update_layout(title_text=f"What the top heads look at, {model!s}")
            write_figure(fig, out / "attention" / f"{safe_name(str(model))}.html")
    for found in compare_families(out, read_provenance(out / "importance.parquet"), seed=seed):
        write_figure(similarity_heatmap(found), out / f"similarity-{found.representation}.html")
        print(f"{found.representation}: within {found.within}, across {found.across}, p = {found.p_value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="where the ablation tables are")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--attention",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure what the heads look at as well",
    )
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain, for --attention")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure(args.tables, args.out, seed=args.seed)
        if args.attention:
            models = list(read_falls(args.tables)[0])
            looking = partial(measure_attention, tables=args.tables)
            inputs = [args.tables / "by_window.parquet"]
            measure_each(models, args.out, looking, inputs=inputs, per_set=args.per_set, seed=args.seed)
    draw(args.out, attention=args.attention, seed=args.seed)


if __name__ == "__main__":
    main()
