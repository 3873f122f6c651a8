"""How far do the flags depend on the number format and on the batch size?

    python experiments/numerics.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

Extraction in bfloat16 and float16, and at other batch sizes, against float32 at a batch size of 64: the share of
windows whose flag M = 1 flips, the share with any other token, and the windows with a near tie.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from extracted import experiment_windows, parse

from interp.models.registry import find
from interp.results import write_table
from interp.statistical.numerics import numerics


def measure(models: list[str], out: Path, *, per_set: int | None, seed: int) -> None:
    windows = experiment_windows(per_set=per_set, seed=seed)
    parts, provenance = [], []
    for name in models:
        result = numerics(name, windows, batch_sizes=(64, 7), seed=seed)
        parts.append(result.to_frame().assign(model=name, family=find(name).family))
        provenance.append(result.provenance)
        print(parts[-1][["model", "dtype", "batch_size", "flip_rate", "other_text"]].to_string(index=False), flush=True)
    write_table(pd.concat(parts, ignore_index=True), out / "numerics.parquet", provenance)


def main() -> None:
    args = parse(__doc__)
    measure(args.models, args.out, per_set=args.per_set, seed=args.seed)


if __name__ == "__main__":
    main()
