"""How much of its prefix does a memorized window need?

    python experiments/compression_ratio.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

The shortest last part of the prefix that still gives the whole continuation, and the shortest from which every longer
part does too, over all 32 lengths. Beside it the compressed size of the window's own text, of memorized windows, of
others, and of others shown as often, so that predictable text is told from text seen often.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd
from extracted import by_size, experiment_windows, parse
from grouped import write_figure
from parts import Part, measure_each

from interp.curves import estimate_columns
from interp.figures.compression import draw_compression, draw_ratio_distribution, draw_text_size
from interp.models.loading import load_model
from interp.models.registry import find
from interp.results import read_provenance, read_table, write_table
from interp.statistical.compression import compress, compression_summary, ratio_distribution
from interp.statistical.matching import MatchingError, match
from interp.statistical.text_size import text_size
from interp.stats import bootstrap_mean


def measure(name: str, *, per_set: int | None, seed: int) -> Part:
    windows = experiment_windows(per_set=per_set, seed=seed)
    model = load_model(name)
    result, size = compress(model, windows), text_size(model.tokenizer, windows)
    facts = {"model": name, "family": find(name).family, "size": name.rsplit("-", 1)[1]}
    table = result.to_frame().assign(zlib=size.zlib, lzma=size.lzma, **facts)
    print(f"{name}: mean ratio {table['ratio'].mean():.2f} of {int(result.memorized.sum())}", flush=True)
    part = Part()
    part.add("compression", table, result.provenance)
    return part


def text_sizes(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Bits a token by domain, of memorized windows, of all others, and of those matched in domain and count."""
    rows = []
    groups = {"memorized": table["memorized"], "unmemorized": ~table["memorized"], "matched": matched(table)}
    for compressor, (domain, inside) in product(("zlib", "lzma"), table.groupby("domain")):
        for label, mask in groups.items():
            group = inside[mask[inside.index]]
            estimate = bootstrap_mean(
                group[compressor].to_numpy(), seed=seed, clusters=group["document"].to_numpy(), trials=0
            )
            rows.append({"compressor": compressor, "domain": domain, "group": label, **estimate_columns(estimate)})
    return pd.DataFrame(rows)


def matched(table: pd.DataFrame) -> pd.Series:
    """Controls of each model's memorized windows: shown as often, in the same domain, and not memorized."""
    chosen = pd.Series(data=False, index=table.index)
    for name, group in table.groupby("model"):
        try:
            matching = match(group, on=[], exact=("domain", "count"))
        except MatchingError as error:
            print(f"{name}: nothing matched, {error}")
            continue
        chosen[group.index[matching.controls]] = True
    return chosen


def draw(out: Path, *, seed: int) -> None:
    table, provenance = read_table(out / "compression.parquet"), read_provenance(out / "compression.parquet")
    order = table.assign(model=pd.Categorical(table["model"], by_size(table)["model"].unique(), ordered=True))
    summary = compression_summary(order, by=("model", "domain"), seed=seed)
    shares = by_size(ratio_distribution(table, by=("size", "family"), seed=seed))
    sizes = text_sizes(table, seed=seed)
    tables = {
        "summary": summary,
        "by_model": compression_summary(table, by=("model",), seed=seed),
        "distribution": shares,
        "text_size": sizes,
    }
    for name, written in tables.items():
        write_table(written, out / f"{name}.parquet", provenance)
    n_memorized = int(table["memorized"].sum())
    rested = f"{n_memorized} memorized windows of {table['model'].nunique()} models. Documents resampled."
    write_figure(
        draw_ratio_distribution(shares, panel="size", line="family", caption=f"{rested} 95 % bands. Dashed: 0.5."),
        out / "distribution.html",
    )
    write_figure(draw_compression(summary, line="domain", caption=rested), out / "ratio.html")
    caption = (
        "Windows shown 1 to 256 times or never, all models together; documents resampled. Matched: not memorized, in "
        "the same domain and shown as often as a memorized one."
    )
    write_figure(draw_text_size(sizes, caption=caption), out / "text_size.html")


def main() -> None:
    args = parse(__doc__)
    measure_each(args.models, args.out, measure, per_set=args.per_set, seed=args.seed)
    draw(args.out, seed=args.seed)


if __name__ == "__main__":
    main()
