"""How many heads must go before memorization does?

    python experiments/cumulative_ablation.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Heads ablated together, the most important first, beside random orders. The ranking is made on half of the memorized
windows' documents, the curve on the other half. Beside it, all heads of a layer together, layer by layer, on memorized
and unmemorized windows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from grouped import grouped_windows, some, write_figure
from parts import Part, measure_each

from interp.curves import group_curves
from interp.data.corpus import planted_windows
from interp.data.windows import Windows
from interp.figures.ablation_curves import cumulative_curve, layers_ablated
from interp.internal.ablation import ablate_heads
from interp.internal.cumulative import cumulative_ablation, ranking_half
from interp.internal.joint import ablate_sets, whole_layer
from interp.internal.methods import Method
from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.results import read_table


def measure(name: str, *, method: Method, per_set: int, n_windows: int, n_random: int, seed: int) -> Part | None:
    reference = planted_windows(sets=["background"], per_set=32, seed=seed) if method == "mean" else None
    model = load_model(name)
    chosen = grouped_windows(model, per_set=per_set, seed=seed)
    if chosen is None:
        return None
    windows, groups = chosen
    memorized = windows.select(groups["memorized"])
    ranks = ranking_half(memorized, seed=seed)
    rank_on, test_on = (memorized.select(some(half, n_windows, seed=seed)) for half in (ranks, ~ranks))
    ranking = ablate_heads(model, rank_on, method=method, reference=reference, seed=seed)
    curve = cumulative_ablation(
        model,
        test_on,
        ranking.top(model.cfg.n_layers * model.cfg.n_heads),
        method=method,
        reference=reference,
        n_random=n_random,
        seed=seed,
    )
    part = Part()
    rows = curve.to_frame(seed=seed).assign(model=name, method=method)
    part.add("cumulative", rows, ranking.provenance, curve.provenance)

    unmemorized = windows.select(some(groups["unmemorized"], n_windows, seed=seed))
    tested = Windows.concat([test_on, unmemorized])
    kinds = {"memorized": np.arange(len(tested)) < len(test_on), "unmemorized": np.arange(len(tested)) >= len(test_on)}
    layers = range(model.cfg.n_layers)
    whole = ablate_sets(
        model, tested, [(), *(whole_layer(model, layer) for layer in layers)],
        method=method, reference=reference, seed=seed,
    )  # fmt: skip
    left = {"fall": whole.log_prob[0] - whole.log_prob[1:], "recited": whole.memorized[1:].astype(np.float64)}
    for quantity, values in left.items():
        curves = group_curves(
            values.T, tested, points={"layer": layers}, groups=kinds, seed=seed, trials=int(quantity == "recited")
        )
        part.add("layers", curves.assign(model=name, method=method, quantity=quantity), whole.provenance)
    return part


def draw(out: Path) -> None:
    table = read_table(out / "cumulative.parquet")
    write_figure(cumulative_curve(table), out / "cumulative-rate.html")
    unit = "log-probability (nats a token)"
    write_figure(cumulative_curve(table, metric="log_prob", unit=unit), out / "cumulative-log_prob.html")
    layers = read_table(out / "layers.parquet")
    for quantity in ("fall", "recited"):
        write_figure(layers_ablated(layers[layers["quantity"] == quantity], quantity), out / f"layers-{quantity}.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--method", choices=["zero", "mean", "resample"], default="zero")
    parser.add_argument("--per-set", type=int, default=32, help="windows of each set and domain to choose from")
    parser.add_argument("--windows", type=int, default=64, help="at most so many windows to rank on, and to test on")
    parser.add_argument("--random", type=int, default=5, help="random orders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true", help="draw from the table of an earlier run")
    args = parser.parse_args()
    if not args.draw_only:
        measure_each(
            args.models,
            args.out,
            measure,
            method=args.method,
            per_set=args.per_set,
            n_windows=args.windows,
            n_random=args.random,
            seed=args.seed,
        )
    draw(args.out)


if __name__ == "__main__":
    main()
