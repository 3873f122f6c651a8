"""Commands of corpus counts: build an index, and query it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.options import option_of
from interp.commands.places import check_places
from interp.commands.saying import QuietOption, say_left_out, shows_bars
from interp.measurements.subject import CORPUS, Columns

if TYPE_CHECKING:
    import numpy as np

app = typer.Typer(no_args_is_help=True, help="Exact counts of n-grams in a corpus.")

TextColumnOption = Annotated[str, option_of(Columns, "text_column")]
SplitOption = Annotated[str | None, option_of(Columns, "split")]
TokenizerOption = Annotated[str, typer.Option(help="model whose tokenizer counts: registry name, hub id or directory")]


@app.command()
def build(
    corpus: Annotated[str, typer.Argument(help=CORPUS)],
    out: Annotated[Path, typer.Option(help="directory of the index; an interrupted build resumes")],
    tokenizer: TokenizerOption,
    text_column: TextColumnOption = "text",
    split: SplitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Build a suffix-array index of a corpus in a model's own tokens."""
    check_places({"corpus": corpus, "tokenizer": tokenizer, "out": out}, folders=["out"])
    from interp.data.counts.documents import token_documents
    from interp.data.opening import corpus_name
    from interp.data.tally import Tally
    from interp.models.loading import load_tokenizer

    tally = Tally()
    documents = token_documents(
        corpus, load_tokenizer(tokenizer), text_column=text_column, split=split, tally=tally, progress=shows_bars(quiet)
    )
    # Documents are indexed while they are read, so the reading bar shows the whole work.
    _build(documents, out, tokenizer, source=corpus_name(corpus, split=split), progress=False, quiet=quiet)
    say_left_out(corpus, tally, quiet=quiet)


@app.command()
def shipped(
    out: Annotated[Path, typer.Option(help="directory of the index; an interrupted build resumes")],
    quiet: QuietOption = False,
) -> None:
    """Build an index of the training data of the small models: each window as often as it was shown."""
    check_places({"out": out}, folders=["out"])
    from interp.models.registry import small_models
    from interp.planted.corpus import shown_documents

    source = "windows as shown to the small models"
    progress = shows_bars(quiet)
    _build(shown_documents(), out, small_models()[0].name, source=source, progress=progress, quiet=quiet)


def _build(
    documents: Iterable[np.ndarray], out: Path, tokenizer: str, *, source: str, progress: bool, quiet: bool
) -> None:
    from interp.data.counts.build import build_index
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.models.loading import load_tokenizer

    own = load_tokenizer(tokenizer)
    fingerprint = tokenizer_fingerprint(own)
    built = build_index(documents, out, d_vocab=len(own), tokenizer=fingerprint, source=source, progress=progress)
    if not quiet:
        typer.echo(f"{built.manifest.n_tokens:,} tokens of {source} indexed in {out}")


@app.command()
def count(
    text: Annotated[str, typer.Argument(help="text to count")],
    path: Annotated[Path, typer.Option("--index", help="directory of the index")],
    tokenizer: TokenizerOption,
) -> None:
    """Count how often a text occurs in an indexed corpus, as the same tokens."""
    import numpy as np

    from interp.data.counts.index import open_index
    from interp.data.counts.manifest import tokenizer_fingerprint
    from interp.data.documents import refuse_halves
    from interp.models.loading import load_tokenizer

    refuse_halves(text, "the text to count")
    own = load_tokenizer(tokenizer)
    opened = open_index(path, tokenizer=tokenizer_fingerprint(own))
    ids = np.array([own(text, add_special_tokens=False)["input_ids"]], dtype=np.int64)
    typer.echo(f"{opened.count(ids)[0]}")


@app.command()
def web(
    text: Annotated[str, typer.Argument(help="text to count")],
    model: Annotated[str, typer.Option(help="registry name of the model whose public training corpus is queried")],
    cache: Annotated[Path, typer.Option(help="SQLite file of answers; each query is sent once")] = Path(
        "infini-gram.sqlite"
    ),
    url: Annotated[str, typer.Option(help="the service")] = "https://api.infini-gram.io/",
) -> None:
    """Count how often a text occurs in a public corpus, by the infini-gram web API."""
    check_places({"cache": cache})
    from interp.data.counts.web import InfiniGram, InfiniGramError
    from interp.models.registry import find

    spec = find(model)
    if spec.infini_gram_index is None:
        raise InfiniGramError(f"no public index holds the training corpus of {model} ({spec.corpus})")
    answer = InfiniGram(spec.infini_gram_index, cache=cache, url=url).count(text)
    notes = [f"{answer.n_tokens} tokens in the tokenizer of {spec.infini_gram_index}"]
    notes += ["an estimate of the service"] * answer.approximate
    notes += [f"that index is not exactly the training corpus of {model}"] * (not spec.infini_gram_exact)
    typer.echo(f"{answer.count} ({'; '.join(notes)})")
