"""Do memorized tokens pass p > 0.5 before the last layer (arXiv 2603.21658, layer decoding)?

    python experiments/layer_decoding.py --out DIRECTORY [--models pythia-small-1.2m ...] [--tuned] [--draw-only]

Every quantity of the lens by layer, before and after attention, for memorized, unmemorized and matched windows; the
layer from which p > 0.5 holds; with ``--tuned`` a tuned lens beside it, trained on background windows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from grouped import grouped_windows, write_figure

from interp.data.corpus import planted_windows
from interp.figures.lens import decided_by_layer, layer_curves
from interp.internal.layer_decoding import QUANTITIES
from interp.internal.lens import logit_lens
from interp.internal.tuned_lens import train_tuned_lens, tuned_lens
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import Provenance, write_table

THRESHOLD = 0.5


def measure(models: list[str], out: Path, *, per_set: int, tuned: bool, seed: int) -> None:
    tables: dict[str, list[pd.DataFrame]] = {"curves": [], "holding": [], "first_layer": []}
    provenance: list[Provenance] = []
    for name in models:
        model = load_model(name)
        chosen = grouped_windows(model, per_set=per_set, seed=seed)
        if chosen is None:
            continue
        windows, groups = chosen
        decodings = {"plain": logit_lens(model, windows, after_attention=True)}
        if tuned:
            training = planted_windows(sets=["background"], per_set=256, seed=seed)
            lens = train_tuned_lens(model, training, tested=windows, seed=seed)
            lens.save(out / "tuned" / name)
            decodings["tuned"] = tuned_lens(model, windows, lens)
        for kind, decoding in decodings.items():
            label = {"model": name, "lens": kind, "d_vocab": decoding.d_vocab}
            for quantity in QUANTITIES:
                curve = decoding.curves(quantity, groups=groups, seed=seed)
                tables["curves"].append(curve.assign(quantity=quantity, **label))
            first = decoding.first_layer(THRESHOLD)
            tables["holding"].append(first.holding(groups, seed=seed).assign(**label))
            tables["first_layer"].append(first.summary(groups, seed=seed).assign(**label))
            provenance.append(decoding.provenance)
        print(f"{name}: done", flush=True)
    for table, parts in tables.items():
        write_table(pd.concat(parts, ignore_index=True), out / f"{table}.parquet", provenance)


def draw(out: Path) -> None:
    curves, holding = (pd.read_parquet(out / f"{table}.parquet") for table in ("curves", "holding"))
    d_vocab = int(curves["d_vocab"].iloc[0])
    for (kind, quantity), curve in curves.groupby(["lens", "quantity"]):
        write_figure(layer_curves(curve, quantity, d_vocab=d_vocab), out / f"{quantity}-{kind}.html")
    for kind, held in holding.groupby("lens"):
        write_figure(decided_by_layer(held, threshold=THRESHOLD), out / f"decided-{kind}.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain")
    parser.add_argument("--tuned", action="store_true", help="train a tuned lens as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure(args.models, args.out, per_set=args.per_set, tuned=args.tuned, seed=args.seed)
    draw(args.out)


if __name__ == "__main__":
    main()
