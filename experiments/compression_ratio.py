"""How much of its prefix does a memorized window need?

    python experiments/compression_ratio.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

The shortest last part of the prefix that still gives the whole continuation, and the shortest from which every longer
part does too, over all 32 lengths. Beside it the compressed size of the window's own text, of memorized windows and of
others shown as often, so that predictable text is told from text seen often.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from extracted import by_size, experiment_windows, parse
from grouped import write_figure

from interp.figures.compression import draw_compression, draw_ratio_distribution, draw_text_size
from interp.models.loading import load_model
from interp.models.registry import find
from interp.results import Provenance, write_table
from interp.statistical.compression import compress, compression_summary
from interp.statistical.text_size import text_size
from interp.stats import bootstrap_mean


def measure(models: list[str], out: Path, *, per_set: int | None, seed: int) -> None:
    windows = experiment_windows(per_set=per_set, seed=seed)
    parts, provenance = [], []
    for name in models:
        model, spec = load_model(name), find(name)
        result, size = compress(model, windows), text_size(model.tokenizer, windows)
        facts = {"model": name, "family": spec.family, "size": name.rsplit("-", 1)[1]}
        parts.append(result.to_frame().assign(zlib=size.zlib, lzma=size.lzma, **facts))
        provenance.append(result.provenance)
        print(f"{name}: mean ratio {parts[-1]['ratio'].mean():.2f} of {int(result.memorized.sum())}", flush=True)
    table = pd.concat(parts, ignore_index=True)
    write_table(table, out / "compression.parquet", provenance)
    summaries(table, out, provenance, seed=seed)


def text_sizes(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Bits a token by domain, of windows shown 16 to 256 times that are memorized, and that are not."""
    shown = table[table["count"].between(16, 256)]
    rows = []
    for (domain, memorized), group in shown.groupby(["domain", "memorized"]):
        estimate = bootstrap_mean(group["zlib"].to_numpy(), seed=seed, clusters=group["document"].to_numpy())
        label = "memorized" if memorized else "unmemorized"
        rows.append((domain, label, estimate.value, estimate.low, estimate.high, estimate.n))
    return pd.DataFrame(rows, columns=["domain", "group", "value", "low", "high", "n"])


def summaries(table: pd.DataFrame, out: Path, provenance: list[Provenance], *, seed: int) -> None:
    summary = compression_summary(table, by=("model", "domain"), seed=seed)
    write_table(summary, out / "summary.parquet", provenance)
    write_table(compression_summary(table, by=("model",), seed=seed), out / "by_model.parquet", provenance)
    sizes = text_sizes(table, seed=seed)
    write_table(sizes, out / "text_size.parquet", provenance)
    n_memorized = int(table["memorized"].sum())
    rested = f"{n_memorized} memorized windows of {table['model'].nunique()} models."
    write_figure(
        draw_ratio_distribution(by_size(table), panel="size", line="family", caption=f"{rested} Dashed: 0.5."),
        out / "distribution.html",
    )
    write_figure(draw_compression(summary, line="domain", caption=f"{rested} Documents resampled."), out / "ratio.html")
    caption = "Windows shown 16 to 256 times, all models together; documents resampled."
    write_figure(draw_text_size(sizes, caption=caption), out / "text_size.html")


def main() -> None:
    args = parse(__doc__)
    measure(args.models, args.out, per_set=args.per_set, seed=args.seed)


if __name__ == "__main__":
    main()
