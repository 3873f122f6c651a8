"""How far does recitation go on past the continuation?

    python experiments/depth.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

The small models were trained on texts of 64 tokens, so here 16 tokens are given, the next 16 are the continuation that
makes a window memorized, and up to 32 more are tried. Windows still exact at the end are censored, not counted as
missed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from extracted import by_size, experiment_windows, parse
from grouped import write_figure

from interp.figures.depth import draw_depth
from interp.models.loading import load_model
from interp.models.registry import find
from interp.results import write_table
from interp.statistical.depth import depth, depth_summary

PREFIX_LEN, CONTINUATION_LEN = 16, 16


def measure(models: list[str], out: Path, *, per_set: int | None, seed: int) -> None:
    whole = experiment_windows(per_set=per_set, seed=seed)
    tried_from = PREFIX_LEN + CONTINUATION_LEN
    windows = replace(whole, tokens=whole.tokens[:, :tried_from], prefix_len=PREFIX_LEN)
    parts, provenance = [], []
    for name in models:
        result = depth(load_model(name), windows, whole.tokens[:, tried_from:])
        parts.append(result.to_frame().assign(model=name, family=find(name).family, size=name.rsplit("-", 1)[1]))
        provenance.append(result.provenance)
        print(f"{name}: {int(result.censored.sum())} of {int(result.memorized.sum())} exact to the end", flush=True)
    table = by_size(pd.concat(parts, ignore_index=True))
    write_table(table, out / "depth.parquet", provenance)
    at = (0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
    summary = by_size(depth_summary(table, at=at, by=("size", "family"), seed=seed))
    write_table(summary, out / "summary.parquet", provenance)
    caption = (
        f"{int(table['memorized'].sum())} windows of which 16 tokens after a prefix of 16 are recited; "
        "95 % bands, documents resampled."
    )
    write_figure(draw_depth(summary, panel="size", line="family", caption=caption), out / "depth.html")


def main() -> None:
    args = parse(__doc__)
    measure(args.models, args.out, per_set=args.per_set, seed=args.seed)


if __name__ == "__main__":
    main()
