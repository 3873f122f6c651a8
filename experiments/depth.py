"""How far does recitation go on past the continuation?

    python experiments/depth.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

The small models were trained on texts of 64 tokens, so here 16 tokens are given, the next 16 are the continuation that
makes a window memorized, and up to 32 more are tried. Windows still exact at the end are censored, not counted as
missed.
"""

from __future__ import annotations

from pathlib import Path

from extracted import by_size, experiment_windows, parse
from grouped import write_figure
from parts import Part, measure_each

from interp.figures.depth import draw_depth
from interp.models.loading import load_model
from interp.models.registry import find
from interp.results import read_provenance, read_table, write_table
from interp.statistical.depth import depth, split_further
from interp.statistical.survival import depth_summary

PREFIX_LEN, CONTINUATION_LEN = 16, 16
AT = (0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32)


def measure(name: str, *, per_set: int | None, seed: int) -> Part:
    whole = experiment_windows(per_set=per_set, seed=seed)
    windows, further = split_further(whole, prefix_len=PREFIX_LEN, continuation_len=CONTINUATION_LEN)
    result = depth(load_model(name), windows, further)
    print(f"{name}: {int(result.censored.sum())} of {int(result.memorized.sum())} exact to the end", flush=True)
    part = Part()
    facts = {"model": name, "family": find(name).family, "size": name.rsplit("-", 1)[1]}
    part.add("depth", result.to_frame().assign(**facts), result.provenance)
    return part


def draw(out: Path, *, seed: int) -> None:
    table, provenance = read_table(out / "depth.parquet"), read_provenance(out / "depth.parquet")
    summary = by_size(depth_summary(table, at=AT, by=("size", "family"), seed=seed))
    write_table(summary, out / "summary.parquet", provenance)
    caption = (
        f"{int(table['memorized'].sum())} windows of which 16 tokens after a prefix of 16 are recited; "
        "95 % bands, documents resampled."
    )
    write_figure(draw_depth(summary, panel="size", line="family", caption=caption), out / "depth.html")


def main() -> None:
    args = parse(__doc__)
    measure_each(args.models, args.out, measure, per_set=args.per_set, seed=args.seed)
    draw(args.out, seed=args.seed)


if __name__ == "__main__":
    main()
