"""How language models memorize: measure it from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

    from interp.data.windows import Windows

# Every command imports what it needs when it runs: `interp --help` must not wait for torch.
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_show_locals=False)

ModelArgument = Annotated[str, typer.Argument(help="registry name (see `interp models`), hub id or local directory")]
OutOption = Annotated[Path, typer.Option(help="parquet file for the result")]
# Optional[...], since typer evaluates these on Python 3.10 as well.
SetsOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="windows of the shipped corpus: held_out, background, planted-1 ... planted-256"),
]
PerSetOption = Annotated[int, typer.Option(help="at most so many windows of each set in each domain")]
CorpusOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="another corpus: parquet, JSON lines, dataset directory or hub id, with a column `text`"),
]
MaxOption = Annotated[int, typer.Option(help="at most so many windows of another corpus")]
SeedOption = Annotated[int, typer.Option(help="seed of every random choice")]


def _windows(
    model: TransformerBridge, corpus: str | None, sets: list[str] | None, per_set: int, max_windows: int, seed: int
) -> Windows:
    from interp.data.corpus import planted_windows
    from interp.data.sources import read_windows

    if corpus is not None:
        return read_windows(corpus, model.tokenizer, max_windows=max_windows, short_documents="skip")
    return planted_windows(sets=sets, per_set=per_set, seed=seed)


@app.command()
def models(
    small: Annotated[bool, typer.Option("--small", help="only the project's own")] = False,
) -> None:
    """Print the models known by name: the 20 of the study and the project's own 18."""
    from rich.console import Console
    from rich.table import Table

    from interp.models.registry import registry

    table = Table(title=None, box=None, pad_edge=False)
    for column in ("name", "family", "architecture", "parameters", "layers", "heads/kv", "norm", "context", "sliding"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("parameters", "layers") else "left")
    for column in ("corpus", "BOS", "tokenizer"):
        table.add_column(column, overflow="fold", max_width=48)
    for spec in registry().values():
        if spec.small or not small:
            facts = (spec.name, spec.family, spec.architecture, f"{spec.n_params:,}", str(spec.n_layers))
            sliding = "-" if spec.sliding_window is None else str(spec.sliding_window)
            shape = (f"{spec.n_heads}/{spec.n_kv_heads}", spec.norm, str(spec.n_ctx), sliding)
            table.add_row(*facts, *shape, spec.corpus, spec.bos_rule, spec.tokenizer_caveat)
    Console(width=None if Console().is_terminal else 320).print(table)


@app.command()
def extract(
    model: ModelArgument,
    out: OutOption,
    sets: SetsOption = None,
    per_set: PerSetOption = 32,
    corpus: CorpusOption = None,
    max_windows: MaxOption = 10_000,
    batch_size: Annotated[int, typer.Option(help="windows in a forward pass")] = 64,
    seed: SeedOption = 0,
) -> None:
    """Extract: which windows the model recites, token by token."""
    from interp.models.loading import load_model
    from interp.results import write_result
    from interp.statistical.extraction import extract as measure
    from interp.stats import wilson

    bridge = load_model(model)
    result = measure(bridge, _windows(bridge, corpus, sets, per_set, max_windows, seed), batch_size=batch_size)
    rate = wilson(int(result.memorized.sum()), len(result.memorized))
    typer.echo(f"{model}: memorization rate {rate} over {rate.n} windows; {write_result(result, out)}")


@app.command()
def ablate(
    model: ModelArgument,
    out: OutOption,
    sets: SetsOption = None,
    per_set: PerSetOption = 16,
    corpus: CorpusOption = None,
    max_windows: MaxOption = 1_000,
    method: Annotated[str, typer.Option(help="zero, resample or peer_mean")] = "zero",
    heatmap: Annotated[Optional[Path], typer.Option(help="HTML file for the heatmap")] = None,  # noqa: UP045
    seed: SeedOption = 0,
) -> None:
    """Ablate every head in turn on the windows that the model has memorized."""
    from interp.figures.ablation import head_heatmap
    from interp.internal.ablation import ablate_heads
    from interp.models.loading import load_model
    from interp.results import write_result
    from interp.statistical.extraction import extract as measure

    bridge = load_model(model)
    windows = _windows(bridge, corpus, sets, per_set, max_windows, seed)
    memorized = measure(bridge, windows).memorized
    if not memorized.any():
        typer.echo(f"{model} has memorized none of {len(windows)} windows: importance is not measured", err=True)
        raise typer.Exit(1)
    result = ablate_heads(bridge, windows.select(memorized), method=method, seed=seed, progress=True)  # type: ignore[arg-type]
    top = ", ".join(f"{layer}.{head}" for layer, head in result.top(5))
    typer.echo(
        f"{model}: heads that carry most on {memorized.sum()} memorized windows: {top}; {write_result(result, out)}"
    )
    if heatmap is not None:
        head_heatmap(result).write_html(heatmap)


@app.command()
def lens(
    model: ModelArgument,
    out: OutOption,
    sets: SetsOption = None,
    per_set: PerSetOption = 16,
    corpus: CorpusOption = None,
    max_windows: MaxOption = 1_000,
    seed: SeedOption = 0,
) -> None:
    """Decode every layer: probability and rank of each true continuation token."""
    from interp.internal.lens import logit_lens
    from interp.models.loading import load_model
    from interp.results import write_result

    bridge = load_model(model)
    result = logit_lens(bridge, _windows(bridge, corpus, sets, per_set, max_windows, seed))
    typer.echo(f"{model}: {len(result.point)} points; {write_result(result, out)}")


@app.command()
def compress(
    model: ModelArgument,
    out: OutOption,
    sets: SetsOption = None,
    per_set: PerSetOption = 16,
    corpus: CorpusOption = None,
    max_windows: MaxOption = 1_000,
    seed: SeedOption = 0,
) -> None:
    """Find the shortest prefixes that still trigger each memorized window."""
    from interp.models.loading import load_model
    from interp.results import write_result
    from interp.statistical.compression import compress as measure

    bridge = load_model(model)
    result = measure(bridge, _windows(bridge, corpus, sets, per_set, max_windows, seed))
    typer.echo(f"{model}: {write_result(result, out)}")


@app.command()
def perturb(
    model: ModelArgument,
    out: OutOption,
    sets: SetsOption = None,
    per_set: PerSetOption = 8,
    corpus: CorpusOption = None,
    max_windows: MaxOption = 1_000,
    layer: Annotated[int, typer.Option(help="layer whose input gets the noise")] = 0,
    seed: SeedOption = 0,
) -> None:
    """Add noise to the residual stream and see in which layers it heals."""
    from interp.internal.noise import perturb as measure
    from interp.models.loading import load_model
    from interp.results import write_result

    bridge = load_model(model)
    result = measure(bridge, _windows(bridge, corpus, sets, per_set, max_windows, seed), layer=layer, seed=seed)
    typer.echo(f"{model}: {write_result(result, out)}")


index = typer.Typer(no_args_is_help=True, help="Exact counts of n-grams in a corpus.")
app.add_typer(index, name="index")


@index.command("build")
def build(
    corpus: Annotated[str, typer.Argument(help="parquet, JSON lines, dataset directory or hub id")],
    out: Annotated[Path, typer.Option(help="directory of the index; an interrupted build goes on where it was")],
    tokenizer: Annotated[str, typer.Option(help="model whose tokenizer counts: registry name, hub id or directory")],
    text_column: Annotated[str, typer.Option(help="column of the text")] = "text",
) -> None:
    """Build a suffix-array index of a corpus in a model's own tokens."""
    from interp.data.counts.build import build_index
    from interp.data.counts.documents import token_documents
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.models.loading import load_tokenizer

    own = load_tokenizer(tokenizer)
    documents = token_documents(corpus, own, text_column=text_column)
    built = build_index(documents, out, d_vocab=len(own), tokenizer=tokenizer_fingerprint(own), source=corpus)
    typer.echo(f"{sum(s.n_tokens for s in built.manifest.shards):,} tokens of {corpus} indexed in {out}")


@index.command("count")
def count(
    text: Annotated[str, typer.Argument(help="text to count")],
    path: Annotated[Path, typer.Option("--index", help="directory of the index")],
    tokenizer: Annotated[str, typer.Option(help="model whose tokenizer the index was built with")],
) -> None:
    """Count how often a text stands in an indexed corpus, as the same tokens."""
    import numpy as np

    from interp.data.counts.index import open_index
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.models.loading import load_tokenizer

    own = load_tokenizer(tokenizer)
    opened = open_index(path, tokenizer=tokenizer_fingerprint(own))
    ids = np.array([own(text, add_special_tokens=False)["input_ids"]], dtype=np.int64)
    typer.echo(f"{opened.count(ids)[0]}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for the report and its tables")] = Path("figures/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="two sizes and fewer windows: under a minute")] = False,
) -> None:
    """Run the whole path on the small families and write report.html."""
    from interp.demo import FULL, QUICK, measure, write_tables
    from interp.demo_report import write_demo_report

    results = measure(QUICK if quick else FULL)
    write_tables(results, out)
    typer.echo(f"report: {write_demo_report(results, out)}")


if __name__ == "__main__":
    app()
