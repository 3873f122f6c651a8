"""Do memorized tokens pass p > 0.5 before the last layer (arXiv 2603.21658, layer decoding)?

    python experiments/layer_decoding.py --out DIRECTORY [--models pythia-small-1.2m ...] [--no-tuned] [--draw-only]

Every quantity of the lens by layer, before and after attention, for memorized, unmemorized and matched windows; the
layer from which p > 0.5 holds; beside the plain lens a tuned one, trained on background windows.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from grouped import grouped_windows, write_figure
from parts import Part, measure_each

from interp.data.corpus import planted_windows
from interp.figures.lens import decided_by_layer, layer_by_position, layer_curves
from interp.files import safe_name
from interp.internal.layer_decoding import QUANTITIES
from interp.internal.lens import logit_lens
from interp.internal.tuned_lens import train_tuned_lens, tuned_lens
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import read_table

THRESHOLD = 0.5


def measure(name: str, *, lenses: Path, per_set: int, tuned: bool, seed: int) -> Part | None:
    model = load_model(name)
    chosen = grouped_windows(model, per_set=per_set, seed=seed)
    if chosen is None:
        return None
    windows, groups = chosen
    decodings = {"plain": logit_lens(model, windows, after_attention=True)}
    if tuned:
        training = planted_windows(sets=["background"], per_set=256, seed=seed)
        lens = train_tuned_lens(model, training, tested=windows, seed=seed)
        lens.save(lenses / safe_name(name))
        decodings["tuned"] = tuned_lens(model, windows, lens)
    part = Part()
    for kind, decoding in decodings.items():
        label: dict[str, Any] = {"model": name, "lens": kind, "d_vocab": decoding.d_vocab}
        for quantity in QUANTITIES:
            curves = decoding.curves(quantity, groups=groups, seed=seed).assign(quantity=quantity, **label)
            part.add("curves", curves, decoding.provenance)
        if kind == "plain":
            by_position = decoding.curves_by_position("probability", groups=groups, seed=seed)
            part.add("positions", by_position.assign(**label), decoding.provenance)
        first = decoding.first_layer(THRESHOLD)
        part.add("holding", first.holding(groups, seed=seed).assign(**label), decoding.provenance)
        part.add("first_layer", first.summary(groups, seed=seed).assign(**label), decoding.provenance)
    return part


def draw(out: Path) -> None:
    curves, holding = (read_table(out / f"{table}.parquet") for table in ("curves", "holding"))
    d_vocab = int(curves["d_vocab"].iloc[0])
    for kind in holding["lens"].unique():
        for quantity in QUANTITIES:
            curve = curves[(curves["lens"] == kind) & (curves["quantity"] == quantity)]
            write_figure(layer_curves(curve, quantity, d_vocab=d_vocab), out / f"{quantity}-{kind}.html")
        held = holding[holding["lens"] == kind]
        write_figure(decided_by_layer(held, threshold=THRESHOLD), out / f"decided-{kind}.html")
    for name, table in read_table(out / "positions.parquet").groupby("model", sort=False):
        fig = layer_by_position(table, "probability", group="memorized")
        write_figure(fig, out / "positions" / f"{safe_name(str(name))}.html")
    if holding["lens"].nunique() > 1:
        # Points after attention are the plain lens's alone.
        both = curves[(curves["quantity"] == "probability") & (curves["depth"] % 1 == 0)]
        write_figure(layer_curves(both, "probability", d_vocab=d_vocab), out / "probability-both.html")
        write_figure(decided_by_layer(holding, threshold=THRESHOLD), out / "decided-both.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain")
    parser.add_argument("--tuned", action=argparse.BooleanOptionalAction, default=True, help="a tuned lens as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        keeping = partial(measure, lenses=args.out / "tuned")
        measure_each(args.models, args.out, keeping, per_set=args.per_set, tuned=args.tuned, seed=args.seed)
    draw(args.out)


if __name__ == "__main__":
    main()
