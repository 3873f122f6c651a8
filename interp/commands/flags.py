"""The command that flags a whole corpus, streamed into parts so that memory does not grow."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from interp.commands.options import ModelArgument, options, parameter
from interp.commands.places import check_places
from interp.commands.saying import JsonOption, QuietOption, say_found, say_left_out, shows_bars, warnings_as_lines
from interp.measurements.settings import make, option, settings
from interp.measurements.subject import CORPUS, Columns, ModelChoice, Subject

OutOption = Annotated[Path, typer.Option(help="folder of parquet parts; an interrupted run resumes")]


@settings
class FlagsSettings(Columns):
    """Flag the memorized windows of a whole corpus, streamed: memory does not grow with their number."""

    corpus: str = option(CORPUS)
    chunk: int = option("windows per part, and in memory", default=4096, ge=1)
    prefix_len: int = option("tokens of the prefix; the rest of a window is its continuation", default=32, ge=1, le=63)


def flags(model: str, out: Path, json: bool, quiet: bool, **given: Any) -> None:
    """Flag the memorized windows of a corpus of any size. An interrupted run resumes."""
    check_places({"model": model, "corpus": given["corpus"], "out": out}, folders=["out"])
    from interp.data.sources import stream_windows
    from interp.data.tally import Tally
    from interp.statistical.flags import write_flags
    from interp.statistical.rates import rate
    from interp.statistical.scores import read_scores
    from interp.wording import behind, percent

    own = {made.name for made in options(FlagsSettings)}
    chosen = make(FlagsSettings, {name: given.pop(name) for name in own})
    subject, tally = Subject(model, make(ModelChoice, given)), Tally()
    asked = asdict(chosen)
    corpus = asked.pop("corpus")
    with warnings_as_lines(quiet):
        stream = stream_windows(
            corpus,
            subject.model.tokenizer,
            continuation_len=64 - chosen.prefix_len,
            short_documents="skip",
            tally=tally,
            progress=shows_bars(quiet),
            **asked,
        )
        # Windows are flagged while they are read, so the reading bar shows the whole work.
        how = {name: value for name, value in subject.how.items() if name != "progress"}
        parts = write_flags(subject.model, stream, out, **how)
    say_left_out(corpus, tally, quiet=quiet)
    scores, _ = read_scores(parts)
    found = rate(scores["memorized"], scores["document"])
    finding = f"{model}: memorization rate {percent(found)}{behind([found])}; {len(parts)} parts"
    say_found(finding, {"folder": str(out)}, as_json=json, quiet=quiet)


def add_flags(app: typer.Typer) -> None:
    """Add the command to a group."""
    flags.__doc__ = FlagsSettings.__doc__
    flags.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            parameter("model", ModelArgument),
            parameter("out", OutOption),
            *options(FlagsSettings),
            *options(ModelChoice),
            parameter("json", JsonOption, False),
            parameter("quiet", QuietOption, False),
        ]
    )
    app.command("flags")(flags)
