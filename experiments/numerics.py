"""How far do the flags depend on the number format and on the batch size?

    python experiments/numerics.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

Extraction in bfloat16 and float16, and at other batch sizes, against float32 at a batch size of 64: the share of
windows whose flag M = 1 flips, the share with any other token, and the share with a near tie.
"""

from __future__ import annotations

from extracted import by_size, experiment_windows, parse
from grouped import write_figure
from parts import Part, measure_each

from interp.figures.numerics import draw_numerics
from interp.models.decoding import NEAR_TIE
from interp.models.registry import find
from interp.results import read_table
from interp.statistical.numerics import numerics

BATCH_SIZES = (64, 7)


def measure(model: str, *, per_set: int | None, seed: int) -> Part:
    windows = experiment_windows(per_set=per_set, seed=seed)
    result = numerics(model, windows, batch_sizes=BATCH_SIZES, seed=seed)
    table = result.to_frame().assign(model=model, family=find(model).family, size=model.rsplit("-", 1)[1])
    print(table[["model", "dtype", "batch_size", "flip_rate", "other_text"]].to_string(index=False), flush=True)
    part = Part()
    part.add("numerics", table, result.provenance)
    return part


def main() -> None:
    args = parse(__doc__)
    measure_each(args.models, args.out, measure, per_set=args.per_set, seed=args.seed)
    table = read_table(args.out / "numerics.parquet")
    caption = (
        f"{table['n'].iloc[0]} windows of {table['n_documents'].iloc[0]} documents, shown 1 to 256 times or never. "
        f"95 % intervals, clustered by document. A near tie: the two largest logits are closer than {NEAR_TIE:g}; "
        "bfloat16 and float16 logits lie on a grid, so many are equal."
    )
    fig = draw_numerics(by_size(table), reference=f"float32 in batches of {BATCH_SIZES[0]}", caption=caption)
    write_figure(fig, args.out / "numerics.html")


if __name__ == "__main__":
    main()
