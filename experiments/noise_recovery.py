"""Do later layers take noise back, and memorized windows less than others (arXiv 2603.21658, recovery)?

    python experiments/noise_recovery.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Noise on the first layer's residual stream, alpha 0 to 0.5: cosine, centred cosine and lens divergence by layer, and
rate, M and structural share, for memorized, unmemorized and matched windows. Beside it, which prefix tokens carry the
text: each replaced by another alone, and the first or last of them together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from grouped import grouped_windows, write_figure
from parts import Part, measure_each

from interp.figures.noise import carried_by_position, carried_together, recovery_by_layer, scores_by_noise
from interp.internal.joint_substitution import Loss, ends, substitute_sets
from interp.internal.noise import ALPHAS, perturb
from interp.internal.perturbation import RECOVERIES
from interp.internal.substitution import substitute
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import read_table

SHOWN_ALPHA = 0.3
TOGETHER = 2, 4, 8, 16, 32
"""Prefix tokens replaced at once, from either end."""
LOSSES: tuple[Loss, ...] = ("fall", "recited")


def measure(name: str, *, per_set: int, n_draws: int, seed: int) -> Part | None:
    model = load_model(name)
    chosen = grouped_windows(model, per_set=per_set, seed=seed)
    if chosen is None:
        return None
    windows, groups = chosen
    part = Part()
    noisy = perturb(model, windows, alphas=ALPHAS, seed=seed)
    for quantity in RECOVERIES:
        curves = noisy.curves(quantity, groups=groups, seed=seed)
        part.add("curves", curves.assign(model=name, quantity=quantity), noisy.provenance)
        regained = noisy.regained(quantity, groups=groups, seed=seed)
        part.add("regained", regained.assign(model=name, quantity=quantity), noisy.provenance)
    part.add("scores", noisy.scores(groups=groups, seed=seed).assign(model=name), noisy.provenance)
    replaced = substitute(model, windows, n_draws=n_draws, seed=seed)
    part.add("substitution", replaced.curves(groups=groups, seed=seed).assign(model=name), replaced.provenance)
    together = substitute_sets(model, windows, ends(windows.prefix_len, sizes=TOGETHER), n_draws=n_draws, seed=seed)
    for loss in LOSSES:
        rows = together.curves(loss, groups=groups, seed=seed).assign(model=name, quantity=loss)
        part.add("together", rows, together.provenance)
    return part


def draw(out: Path) -> None:
    curves, scores, replaced, together = (
        read_table(out / f"{table}.parquet") for table in ("curves", "scores", "substitution", "together")
    )
    for quantity in RECOVERIES:
        curve = curves[(curves["alpha"] == SHOWN_ALPHA) & (curves["quantity"] == quantity)]
        write_figure(recovery_by_layer(curve, quantity), out / f"recovery-{quantity}.html")
    for statistic in scores["statistic"].unique():
        write_figure(scores_by_noise(scores, statistic), out / f"{statistic}.html")
    write_figure(carried_by_position(replaced), out / "substitution.html")
    shown: dict[Loss, list[str]] = {"fall": ["memorized", "matched"], "recited": ["memorized"]}
    for loss, groups in shown.items():
        curve = together[together["quantity"] == loss]
        write_figure(carried_together(curve, loss, groups=groups), out / f"together-{loss}.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=12, help="windows of each set and domain")
    parser.add_argument("--draws", type=int, default=1, help="substitutes for each window and position")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the tables of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure_each(args.models, args.out, measure, per_set=args.per_set, n_draws=args.draws, seed=args.seed)
    draw(args.out)


if __name__ == "__main__":
    main()
