"""Commands of the statistical level: what a model recites, and what that depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.measuring import (
    CORPUS_HELP,
    DocumentColumnOption,
    DomainColumnOption,
    DtypeOption,
    ModelArgument,
    SplitOption,
    TextColumnOption,
    measuring,
)
from interp.commands.places import check_places
from interp.commands.run import Outcome, Run, load, say_left_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

app = typer.Typer()

IndexOption = Annotated[Path | None, typer.Option("--index", help="directory of `interp index build`")]


@measuring(app, per_set=32, max_windows=10_000)
def extract(
    run: Run, batch_size: Annotated[int, typer.Option(help="windows in a forward pass", min=1)] = 64
) -> Outcome:
    """Extract: which windows the model recites, with M and the log-probability (nats a token) of each."""
    from interp.figures.rates import draw_score_histogram
    from interp.statistical.extraction import extract as measure
    from interp.statistical.rates import rate, score_histogram
    from interp.wording import behind

    result = measure(run.model, run.windows, batch_size=batch_size)
    table = result.to_frame()
    found = rate(table["memorized"], table["document"], seed=run.seed)
    histogram = score_histogram(table.assign(model=run.name), by=("model",), seed=run.seed)
    return Outcome.of(
        result,
        f"{run.name}: memorization rate {found}{behind([found])}",
        lambda: draw_score_histogram(histogram, panel="model", caption="95 % intervals."),
    )


@app.command()
def flags(
    model: ModelArgument,
    corpus: Annotated[str, typer.Option(help=CORPUS_HELP)],
    out: Annotated[Path, typer.Option(help="folder of parquet parts; an interrupted run goes on where it was")],
    text_column: TextColumnOption = "text",
    document_column: DocumentColumnOption = None,
    domain_column: DomainColumnOption = None,
    split: SplitOption = None,
    chunk: Annotated[int, typer.Option(help="windows of a part, and in memory", min=1)] = 4096,
    batch_size: Annotated[int, typer.Option(help="windows in a forward pass", min=1)] = 256,
    dtype: DtypeOption = "float32",
) -> None:
    """Flag which windows of a whole corpus are memorized, streamed: memory does not grow with their number."""
    check_places({"model": model, "corpus": corpus, "out": out}, folders=["out"])
    from interp.data.sources import stream_windows
    from interp.data.tally import Tally
    from interp.statistical.flags import write_flags
    from interp.statistical.rates import rate
    from interp.statistical.scores import read_scores
    from interp.wording import behind

    bridge, tally = load(model, dtype), Tally()
    stream = stream_windows(
        corpus,
        bridge.tokenizer,
        text_column=text_column,
        document_column=document_column,
        domain_column=domain_column,
        split=split,
        short_documents="skip",
        chunk=chunk,
        tally=tally,
    )
    parts = write_flags(bridge, stream, out, batch_size=batch_size)
    say_left_out(corpus, tally)
    scores, _ = read_scores(parts)
    found = rate(scores["memorized"], scores["document"])
    typer.echo(f"{model}: memorization rate {found}{behind([found])}; {len(parts)} parts in {out}")


@measuring(app, per_set=16)
def compress(run: Run) -> Outcome:
    """Find the shortest prefixes (tokens) that still trigger each memorized window."""
    from interp.figures.compression import draw_ratio_distribution
    from interp.statistical.compression import compress as measure
    from interp.statistical.compression import ratio_distribution
    from interp.stats import bootstrap_mean
    from interp.wording import behind

    result = measure(run.model, run.windows)
    mean = bootstrap_mean(result.ratio, clusters=run.windows.document, seed=run.seed)
    said = f"{run.name}: {mean.n} of {len(run.windows)} windows are memorized; mean compression ratio {mean}"
    said += behind([mean])

    def draw() -> go.Figure:
        shares = ratio_distribution(result.to_frame().assign(model=run.name), seed=run.seed)
        return draw_ratio_distribution(
            shares, panel="model", line="domain", caption=f"{said}. 95 % bands. Dashed: 0.5."
        )

    return Outcome.of(result, said, draw)


@measuring(app, per_set=16)
def depth(
    run: Run,
    prefix: Annotated[int, typer.Option(help="tokens given", min=1)] = 16,
    continuation: Annotated[int, typer.Option(help="tokens that make a window memorized", min=1)] = 16,
    further: Annotated[int, typer.Option(help="tokens tried beyond, in another corpus", min=1)] = 32,
) -> Outcome:
    """Measure how far recitation goes on past the continuation (tokens); windows of the shipped corpus have 64."""
    from interp.figures.depth import draw_depth
    from interp.statistical.depth import depth as measure
    from interp.statistical.depth import split_further
    from interp.statistical.survival import depth_summary

    whole = run.cut(prefix, continuation + further)
    windows, beyond = split_further(whole, prefix_len=prefix, continuation_len=continuation)
    result = measure(run.model, windows, beyond)
    said = (
        f"{run.name}: {int(result.memorized.sum())} of {len(windows)} windows are memorized, "
        f"{int(result.censored.sum())} of them right to the last token tried"
    )

    def draw() -> go.Figure:
        table = result.to_frame().assign(model=run.name)
        at = range(beyond.shape[1] + 1)
        summary = depth_summary(table, at=at, by=("model", "domain"), seed=run.seed)
        return draw_depth(summary, panel="model", line="domain", caption=f"{said}. 95 % bands.")

    return Outcome.of(result, said, draw)


@measuring(app, per_set=16)
def frequency(
    run: Run,
    index: Annotated[Path, typer.Option(help="directory of `interp index build` or `interp index shipped`")],
    longest: Annotated[int, typer.Option(help="count n-grams of 1 to so many tokens", min=1)] = 8,
    parts: Annotated[
        Path | None, typer.Option(help="folder for the counts by position, so that many windows fit into memory")
    ] = None,
) -> Outcome:
    """Count n-grams and whole windows in an indexed corpus, for memorized, unmemorized and matched windows."""
    from interp.data.counts.index import open_index
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.figures.frequency import draw_frequency
    from interp.statistical.frequency import frequency as measure
    from interp.statistical.frequency_parts import chunks, stream_frequency

    opened, lengths = open_index(index, tokenizer=tokenizer_fingerprint(run.model.tokenizer)), range(1, longest + 1)
    if parts is None:
        result = measure(opened, run.windows, lengths=lengths)
    else:
        result = stream_frequency(opened, chunks(run.windows), parts, lengths=lengths)

    def draw() -> go.Figure:
        groups = run.groups({"log_count_1": result.table["log_count_1"].to_numpy()})
        sizes = ", ".join(f"{mask.sum()} {kind}" for kind, mask in groups.items())
        return draw_frequency(result.curves(groups, seed=run.seed), caption=f"{run.name}: {sizes}. 95 % bands.")

    found = int((result.table["window_count"] > 0).sum())
    return Outcome.of(result, f"{run.name}: {found} of {len(run.windows)} whole windows stand in {index}", draw)


@measuring(app, per_set=16)
def predict(
    run: Run,
    index: IndexOption = None,
    matched: Annotated[
        bool, typer.Option("--matched", help="only memorized windows and others shown as often, of the same domains")
    ] = False,
) -> Outcome:
    """Predict M = 1 from count, compressed size, prefix log-probability and domain: AUC of each factor and of all.

    Counts are those of the shipped corpus, or of an index of another.
    """
    from interp.commands.factors import factors_table
    from interp.figures.prediction import draw_auc
    from interp.statistical.prediction import ALL
    from interp.statistical.prediction import predict as measure
    from interp.wording import behind

    table, factors, provenance = factors_table(run, index, matched=matched)
    result = measure(table, factors=factors, seed=run.seed)
    said = f"{run.name}: AUC {result.auc[ALL]} of {', '.join(factors)}, on documents not learned from"
    said += behind([result.auc[ALL]])
    return Outcome(
        result.to_frame(),
        provenance,
        said,
        lambda: draw_auc(
            result.to_frame().assign(model=run.name),
            panel="model",
            line="model",
            caption="Five folds of documents; 95 % intervals.",
        ),
    )


@measuring(app, per_set=4, without=("dtype",))
def numerics(
    run: Run,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(
            help="windows in a pass, several times; the first is the reference's; 64 and 7", min=1, max=2**31 - 1
        ),
    ] = None,
) -> Outcome:
    """Measure how often M = 1 flips in bfloat16 and float16, and at other batch sizes, against float32."""
    from interp.figures.numerics import draw_numerics
    from interp.statistical.numerics import numerics as measure
    from interp.wording import behind

    sizes = batch_size or [64, 7]
    result = measure(run.name, run.windows, batch_sizes=sizes, seed=run.seed)
    worst = max(result.settings, key=lambda setting: setting.flip_rate.value)
    said = f"{run.name}: flip rate at most {worst.flip_rate} ({worst.dtype}, batches of {worst.batch_size})"
    said += behind([worst.flip_rate])
    return Outcome.of(
        result,
        said,
        lambda: draw_numerics(
            result.to_frame().assign(model=run.name),
            reference=f"float32 in batches of {sizes[0]}",
            caption="95 % intervals.",
        ),
    )
