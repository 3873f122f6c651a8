"""Tables of an experiment, measured model by model: a run that is stopped goes on where it stopped.

Each model's share of the tables is written when it is finished, to a folder of ``parts/`` beside them, with the
settings it was measured with and digests of what it was made from; one of others is measured again. When all models
are there, their shares become the tables and are removed, so that a finished run is measured anew. One run at a time
works in a folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interp.files import (
    OutputError,
    check_outputs,
    files_digest,
    is_empty,
    only_writer,
    remove_folder,
    remove_leavings,
    safe_name,
    whole_folder,
)
from interp.measurements.tables import Tables
from interp.models.checkpoint import LoadError
from interp.models.loading import checkpoint_digest
from interp.planted.corpus import DOCUMENTS, WINDOWS
from interp.results import read_provenance, read_table, write_table

SETTINGS = "settings.json"


Part = Tables
"""One model's share of the tables."""

Measure = Callable[..., Part | None]
"""Takes a model's name and the settings; ``None`` for a model that has nothing to measure."""


def measure_each(
    models: Sequence[str], out: Path, measure: Measure, *, inputs: Sequence[Path] = (), **settings: Any
) -> None:
    """Measure every model that has no finished part of these settings, then write the tables, one row group a model.

    A part is of these settings only if the model's files, the shipped corpus and the inputs are what they were.

    Args:
        models: names, in the order of the tables' rows.
        out: folder of one experiment's tables.
        measure: called as ``measure(model, **settings)``.
        inputs: files of earlier measurements that this one rests on.
        settings: everything that can change the numbers, as JSON can hold it. The code itself is not among it: a part
            that is taken over is announced with the revision it was measured at.

    Raises:
        SystemExit: a model is named twice, the tables cannot be written to the folder or would be written into a
            model's, another run works there, or no model had anything to measure.
    """
    twice = sorted({name for name in models if models.count(name) > 1})
    if twice:
        raise SystemExit(f"error: {', '.join(twice)} is named twice; name each model once")
    parts = out / "parts"
    try:
        check_outputs({}, {"a model": models}, folders={"--out": out})
        with only_writer(parts, wait=False):
            # Another run may still be drawing its figures here.
            remove_leavings(out, older_than=3600.0)
            try:
                _measure_each(models, out, measure, inputs, settings)
            finally:
                if is_empty(parts):
                    shutil.rmtree(parts)
    except OutputError as error:
        raise SystemExit(f"error: {error}") from error


def _measure_each(
    models: Sequence[str], out: Path, measure: Measure, inputs: Sequence[Path], settings: Mapping[str, Any]
) -> None:
    digest = files_digest([DOCUMENTS, WINDOWS, *inputs])
    folders = [out / "parts" / safe_name(name) for name in models]
    for name, folder in zip(models, folders, strict=True):
        wanted = json.loads(json.dumps({**settings, "made from": [_checkpoint(name), digest]}))
        if _settings(folder) == wanted:
            print(f"{name}: taken over from an unfinished run{_revision(folder)}", flush=True)
            continue
        part = measure(name, **settings)
        _write(part or Part(), folder, wanted)
        print(f"{name}: {'done' if part else 'passed over'}", flush=True)
    tables: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.parquet")):
            tables.setdefault(path.stem, []).append(path)
    for table, paths in tables.items():
        rows = pd.concat([read_table(path) for path in paths], ignore_index=True)
        write_table(rows, out / f"{table}.parquet", [p for path in paths for p in read_provenance(path)])
    # Parts of other models stay: they are the finished work of a run that has still to go on.
    for folder in folders:
        remove_folder(folder)
    if not tables:
        raise SystemExit(f"none of {', '.join(models)} had anything to measure")


def _checkpoint(name: str) -> str:
    """Digest of the model's files; empty where there is no such model, which loading it will say."""
    try:
        return checkpoint_digest(name)
    except LoadError:
        return ""


def _settings(folder: Path) -> Mapping[str, Any] | None:
    """Settings of a finished part; ``None`` where there is none, or its file is damaged."""
    path = folder / SETTINGS
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError:
        return None


def _revision(folder: Path) -> str:
    revisions = sorted({p.code_revision for path in folder.glob("*.parquet") for p in read_provenance(path)})
    return f" at revision {', '.join(revisions)}" if revisions else ""


def _write(part: Part, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write a part whole or not at all: it has its name only once everything is in it."""
    remove_folder(folder)
    with whole_folder(folder) as partial:
        for table, rows in part.tables.items():
            write_table(pd.concat(rows, ignore_index=True), partial / f"{table}.parquet", part.provenance[table])
        (partial / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
