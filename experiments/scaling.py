"""Is the memorization rate log-linear in size within a family, and how far are families apart at one size?

    python experiments/scaling.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

Rates by size with linear and logistic fits, ratios between families at each size, windows moving between score bins,
rate against repetition with the count at which half is memorized, and the histogram of scores.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from extracted import parse, scores_table
from grouped import write_figure

from interp.figures.rates import draw_dose_response, draw_score_histogram
from interp.figures.scaling import draw_family_ratios, draw_scaling, draw_transitions
from interp.results import Provenance, write_table
from interp.statistical.dose_response import dose_response
from interp.statistical.rates import rates, score_histogram
from interp.statistical.scaling import family_ratios, scaling, transitions


def run(scores: pd.DataFrame, provenance: list[Provenance], out: Path, *, seed: int) -> None:
    shown = scores[scores["count"] > 0]
    floor = rates(scores[scores["count"] == 0], by=(), seed=seed).estimates[0]
    fitted = scaling(shown, seed=seed)
    moves = transitions(shown, seed=seed)
    doses = dose_response(scores, by=("size", "family"), seed=seed)
    histogram = score_histogram(scores, by=("model",), seed=seed)
    ratios = []
    for size, group in shown.groupby("size"):
        if group["family"].nunique() > 1:
            table = family_ratios(group, n_params=group["n_params"].median(), within=2.0, seed=seed)
            ratios.append(table.assign(size=size))
    tables = {
        "rates": fitted.rates.to_frame(),
        "fits": fitted.to_frame(),
        "transitions": moves.to_frame(),
        "dose_response": doses.to_frame(),
        "dose_response_rates": doses.rates.to_frame(),
        "score_histogram": histogram.to_frame(),
    }
    if ratios:
        tables["family_ratios"] = pd.concat(ratios, ignore_index=True)
    for name, table in tables.items():
        write_table(table, out / f"{name}.parquet", provenance)

    n_windows = shown["window"].nunique()
    rested = f"{n_windows} windows shown 1 to 256 times; 95 % intervals, documents resampled."
    write_figure(
        draw_scaling(fitted, floor=floor.value, caption=f"Linear (solid) and logistic (dashed) fits. {rested}"),
        out / "scaling.html",
    )
    write_figure(
        draw_dose_response(doses, panel="size", line="family", caption=f"Diamonds: half is memorized. {rested}"),
        out / "dose_response.html",
    )
    write_figure(draw_score_histogram(histogram, panel="model", caption="All windows."), out / "score_histogram.html")
    for family in moves.groups["family"].unique():
        write_figure(draw_transitions(moves, family=family, caption=rested), out / f"transitions-{family}.html")
    for table in ratios:
        families = sorted(table["family"].unique())
        write_figure(
            draw_family_ratios(table, reference="Pythia" if "Pythia" in families else families[0], caption=rested),
            out / f"family_ratios-{table['size'].iloc[0]}.html",
        )


def main() -> None:
    args = parse(__doc__)
    scores, provenance = scores_table(args.scores, args.models, per_set=args.per_set, seed=args.seed)
    run(scores, provenance, args.out, seed=args.seed)


if __name__ == "__main__":
    main()
