"""Compression: how short a prefix still triggers the continuation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import settings
from interp.measurements.tables import Finished, Tables, by_size, models_of, split

if TYPE_CHECKING:
    import pandas as pd

    from interp.measurements.subject import Subject


@settings
class CompressSettings:
    """Find the shortest prefixes (tokens) that still trigger each memorized window.

    Also gives the compressed size of each window's text, to separate predictable text from text seen often.
    """


def measure(subject: Subject, chosen: CompressSettings) -> Tables:
    from interp.statistical.compression import compress
    from interp.statistical.text_size import text_size

    tables = Tables()
    result = compress(subject.model, subject.windows, **subject.how)
    size = text_size(subject.model.tokenizer, subject.windows)
    tables.add("compression", result.to_frame().assign(zlib=size.zlib, lzma=size.lzma), result.provenance)
    return tables


def finding(found: Finished) -> str:
    from interp.stats.estimates import bootstrap_mean

    said = []
    for model, rows in models_of(found["compression"]):
        mean = bootstrap_mean(rows["ratio"].to_numpy(), clusters=rows["document"].to_numpy(), seed=found.seed)
        said.append(f"{model}: {mean.n} of {len(rows)} windows are memorized; mean compression ratio {mean}")
    return "; ".join(said)


def summaries(found: Finished) -> Mapping[str, pd.DataFrame]:
    from interp.statistical.compression import compression_summary, ratio_distribution

    table = found["compression"]
    how = split(table, alone="domain")
    return {
        "summary": by_size(_labelled(compression_summary(table, by=("model", "domain"), seed=found.seed), table)),
        "by_model": by_size(_labelled(compression_summary(table, by=("model",), seed=found.seed), table)),
        "distribution": ratio_distribution(by_size(table), by=(how["panel"], how["line"]), seed=found.seed),
        "text_size": text_sizes(table, seed=found.seed),
    }


def _labelled(summary: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    return summary.merge(
        table[[c for c in ("model", "family", "size", "n_params") if c in table]].drop_duplicates(),
        on="model",
        how="left",
    )


def text_sizes(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Bits per token by domain, of memorized windows, of all others, and of those matched in domain and count."""
    import pandas as pd

    from interp.stats.columns import estimate_columns
    from interp.stats.estimates import bootstrap_mean

    rows = []
    groups = {"memorized": table["memorized"], "unmemorized": ~table["memorized"], "matched": _shown_alike(table)}
    for compressor, (domain, inside) in product(("zlib", "lzma"), table.groupby("domain")):
        for name, mask in groups.items():
            group = inside[mask[inside.index]]
            bits = bootstrap_mean(group[compressor].to_numpy(), seed=seed, clusters=group["document"].to_numpy())
            rows.append({"compressor": compressor, "domain": domain, "group": name, **estimate_columns(bits)})
    return pd.DataFrame(rows)


def _shown_alike(table: pd.DataFrame) -> pd.Series:
    """Controls of each model's memorized windows: unmemorized windows of the same domain, shown equally often."""
    import pandas as pd

    from interp.statistical.matching import MatchingError, match

    chosen = pd.Series(data=False, index=table.index)
    for _, group in table.groupby("model"):
        try:
            chosen[group.index[match(group, on=[], exact=("domain", "count")).controls]] = True
        except MatchingError:
            continue  # a model without matches has no controls
    return chosen


def figures(found: Finished) -> Figures:
    from interp.figures.compression import draw_compression, draw_ratio_distribution, draw_text_size

    table, made = found["compression"], summaries(found)
    if table["memorized"].any():
        yield "distribution", draw_ratio_distribution(made["distribution"], **split(table, alone="domain"))
        yield "ratio", draw_compression(made["summary"], line="domain")
    shown_alike = "Matched: not memorized, in the same domain and shown equally often as a memorized one"
    yield "text_size", draw_text_size(made["text_size"], caption=f"All models together. {shown_alike}")


COMPRESS = Measurement(
    "compress", CompressSettings, measure, finding, figures, per_set=16, summaries=summaries, row_a_window=True
)
