"""Reads saved tables of scores together, as the input of scaling, domains and dose-response."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interp.models.registry import UnknownModelError, find
from interp.results import MODEL, Provenance, TableError, read_result
from interp.statistical.rates import ScoresError, check_columns


def read_scores(paths: Sequence[Path], *, of_families: bool = False) -> tuple[pd.DataFrame, list[Provenance]]:
    """Read tables of ``Extraction.to_frame()`` or ``Flags.to_frame()`` and stack them, with a column ``model``.

    Args:
        paths: parquet files, or folders of parts. Several tables of one model hold different windows of it.
        of_families: also give ``family`` and ``n_params``, from the table or else from the registry.

    Raises:
        ScoresError: a file cannot be read or was not written by this suite; a model has a window twice; tables of one
            model name differ in weights, revision, tokenizer, dtype, attention or hooks; or the family or size of a
            model is neither in its table nor in the registry.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
    if not files:
        raise ScoresError(f"no tables of scores in {', '.join(map(str, paths))}")
    parts, provenance = [], []
    measured: dict[str, tuple[Path, Provenance]] = {}
    for file in files:
        try:
            table, made = read_result(file)
        except (OSError, TableError) as error:
            raise ScoresError(f"{file} is no table of scores: {error}") from error
        check_columns(table, ["window", "document", "memorized"], what=f"reading {file}")
        if "model" not in table:
            table = table.assign(model=made[0].model)
        parts.append(_with_family(table, file) if of_families else table)
        provenance += made
        for record in made:
            earlier, first = measured.setdefault(record.model, (file, record))
            differences = record.differences(first, of=MODEL)
            if differences:
                raise ScoresError(f"{file} and {earlier} are of two models called {record.model}: other {differences}")
    scores = pd.concat(parts, ignore_index=True)
    twice = scores.duplicated(["model", "window"])
    if twice.any():
        model, window = scores.loc[twice, ["model", "window"]].iloc[0]
        raise ScoresError(
            f"window {window} of {model} is in these tables twice; give each table once, and only tables of one "
            "corpus (ids count from 0 in each corpus)"
        )
    return scores, provenance


def _with_family(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    if {"family", "n_params"} <= set(table):
        return table
    facts = {}
    for name in table["model"].unique():
        try:
            facts[name] = find(name)
        except UnknownModelError:
            raise ScoresError(
                f"the registry does not know {name!r}: add the columns `family` and `n_params` to {file}"
            ) from None
    known = table["model"].map(facts)
    return table.assign(family=[spec.family for spec in known], n_params=[spec.n_params for spec in known])
