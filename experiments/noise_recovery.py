"""Do later layers take noise back, and memorized windows less than others (arXiv 2603.21658, recovery)?

    python experiments/noise_recovery.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Noise on the first layer's residual stream, alpha 0 to 0.5: cosine, centred cosine and lens divergence by layer, and
rate, M and structural share, for memorized, unmemorized and matched windows. Beside it, which prefix tokens carry the
text.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from grouped import grouped_windows, write_figure

from interp.figures.noise import carried_by_position, recovery_by_layer, scores_by_noise
from interp.internal.noise import ALPHAS, perturb
from interp.internal.perturbation import RECOVERIES
from interp.internal.substitution import substitute
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import Provenance, write_table

SHOWN_ALPHA = 0.3


def measure(models: list[str], out: Path, *, per_set: int, n_draws: int, seed: int) -> None:
    tables: dict[str, list[pd.DataFrame]] = {"curves": [], "regained": [], "scores": [], "substitution": []}
    provenance: list[Provenance] = []
    for name in models:
        model = load_model(name)
        chosen = grouped_windows(model, per_set=per_set, seed=seed)
        if chosen is None:
            continue
        windows, groups = chosen
        noisy = perturb(model, windows, alphas=ALPHAS, seed=seed)
        for quantity in RECOVERIES:
            label = {"model": name, "quantity": quantity}
            tables["curves"].append(noisy.curves(quantity, groups=groups, seed=seed).assign(**label))
            tables["regained"].append(noisy.regained(quantity, groups=groups, seed=seed).assign(**label))
        tables["scores"].append(noisy.scores(groups=groups, seed=seed).assign(model=name))
        replaced = substitute(model, windows, n_draws=n_draws, seed=seed)
        tables["substitution"].append(replaced.curves(groups=groups, seed=seed).assign(model=name))
        provenance += [noisy.provenance, replaced.provenance]
        print(f"{name}: done", flush=True)
    for table, parts in tables.items():
        write_table(pd.concat(parts, ignore_index=True), out / f"{table}.parquet", provenance)


def draw(out: Path) -> None:
    curves, scores, replaced = (
        pd.read_parquet(out / f"{table}.parquet") for table in ("curves", "scores", "substitution")
    )
    for quantity, curve in curves[curves["alpha"] == SHOWN_ALPHA].groupby("quantity"):
        write_figure(recovery_by_layer(curve, quantity), out / f"recovery-{quantity}.html")
    for statistic in scores["statistic"].unique():
        write_figure(scores_by_noise(scores, statistic), out / f"{statistic}.html")
    write_figure(carried_by_position(replaced), out / "substitution.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=16, help="windows of each set and domain")
    parser.add_argument("--draws", type=int, default=2, help="substitutes for each window and position")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure(args.models, args.out, per_set=args.per_set, n_draws=args.draws, seed=args.seed)
    draw(args.out)


if __name__ == "__main__":
    main()
