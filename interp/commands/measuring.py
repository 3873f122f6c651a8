"""Measuring commands: a function of what it measures becomes a command, with the options that all of them share.

    @measuring(app, per_set=16)
    def lens(run: Run) -> Outcome:
        result = logit_lens(run.model, run.windows)
        return Outcome.of(result, "...", lambda: layer_curves(...))

Its own options follow ``run``. Everything heavy is imported when a command runs: ``interp --help`` must not wait for
torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from interp.commands.places import check_places
from interp.commands.run import Outcome, Run, Scores

ModelArgument = Annotated[str, typer.Argument(help="registry name (see `interp models`), hub id or local directory")]
SetsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="windows of the shipped corpus: held_out, background, planted-1 ... planted-256"),
]
PerSetOption = Annotated[int, typer.Option(help="at most so many windows of each set in each domain", min=1)]
CORPUS_HELP = "corpus: parquet, JSON lines, CSV or text file, folder of such files, stored dataset or hub id"
CorpusOption = Annotated[str | None, typer.Option(help=f"another {CORPUS_HELP}")]
TextColumnOption = Annotated[str, typer.Option(help="column of the text in another corpus; a.b is field b of column a")]
DocumentColumnOption = Annotated[str | None, typer.Option(help="column of the document's id in another corpus")]
DomainColumnOption = Annotated[str | None, typer.Option(help="column of the domain in another corpus")]
SplitOption = Annotated[str | None, typer.Option(help="split of another corpus; train unless given, or the only one")]
MaxOption = Annotated[int, typer.Option(help="at most so many windows of another corpus", min=1)]
SeedOption = Annotated[int, typer.Option(help="seed of every random choice", min=0, max=2**32 - 1)]
DtypeOption = Annotated[Literal["float32", "bfloat16", "float16"], typer.Option(help="number format of the model")]
OutOption = Annotated[Path, typer.Option(help="parquet file for the result")]
TablesArgument = Annotated[
    list[Path], typer.Argument(help="tables of `interp extract` or `interp flags`, or folders of parts")
]

Measure = Callable[..., Outcome]


def measuring(
    app: typer.Typer,
    *,
    per_set: int,
    max_windows: int = 1_000,
    figure: Sequence[str] = ("--figure",),
    without: Sequence[str] = (),
) -> Callable[[Measure], Measure]:
    """Make a function of a ``Run`` and its own options a command over a model and windows.

    Args:
        app: where the command goes, under the function's name.
        per_set: how many windows of each set and domain unless the user says otherwise.
        max_windows: the same of another corpus.
        figure: names of the option for the figure; none for a command that draws nothing.
        without: shared options that mean nothing to this command.
    """
    choices = {
        "sets": (SetsOption, None),
        "per_set": (PerSetOption, per_set),
        "corpus": (CorpusOption, None),
        "text_column": (TextColumnOption, "text"),
        "document_column": (DocumentColumnOption, None),
        "domain_column": (DomainColumnOption, None),
        "split": (SplitOption, None),
        "max_windows": (MaxOption, max_windows),
        "dtype": (DtypeOption, "float32"),
        "seed": (SeedOption, 0),
    }
    shared = [
        _option(name, annotation, default) for name, (annotation, default) in choices.items() if name not in without
    ]

    def prepare(model: str, chosen: dict[str, Any]) -> Run:
        return Run(name=model, **chosen)

    return _command(app, _option("model", ModelArgument), shared, figure, prepare)


def deriving(app: typer.Typer, *, of_families: bool = False) -> Callable[[Measure], Measure]:
    """Make a function of ``Scores`` and its own options a command over tables of scores.

    Args:
        app: where the command goes, under the function's name.
        of_families: whether the scores need ``family`` and ``n_params``.
    """

    def prepare(tables: list[Path], chosen: dict[str, Any]) -> Scores:
        from interp.statistical.scores import read_scores

        return Scores(*read_scores(tables, of_families=of_families), **chosen)

    return _command(app, _option("tables", TablesArgument), [_option("seed", SeedOption, 0)], ("--figure",), prepare)


def _option(name: str, annotation: Any, *default: Any) -> inspect.Parameter:
    """An option, which has to be given if it has no default."""
    given = {"default": default[0]} if default else {}
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **given)


def _command(
    app: typer.Typer,
    subject: inspect.Parameter,
    shared: Sequence[inspect.Parameter],
    figure: Sequence[str],
    prepare: Callable[[Any, dict[str, Any]], Run | Scores],
) -> Callable[[Measure], Measure]:
    """A command of its subject, ``--out``, the function's own options, the shared ones, and ``--figure``."""

    def decorate(measure: Measure) -> Measure:
        own = list(inspect.signature(measure, eval_str=True).parameters.values())[1:]
        page = Annotated[Path | None, typer.Option(*figure, help="HTML page for a figure of the result")]

        def command(**given: Any) -> None:
            check_places(given)
            out, drawn = given.pop("out"), given.pop("figure", None)
            chosen = {option.name: given.pop(option.name) for option in shared}
            measure(prepare(given.pop(subject.name), chosen), **given).write(out, drawn)

        parameters = [
            subject,
            _option("out", OutOption),
            *(option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in own),
            *shared,
            *([_option("figure", page, None)] if figure else []),
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__doc__ = measure.__doc__
        app.command(measure.__name__.replace("_", "-"))(command)
        return measure

    return decorate
