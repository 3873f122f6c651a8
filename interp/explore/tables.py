"""The explorer of saved tables: maps without a running model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interp.explore.explorer import Explorer, Shown
from interp.explore.maps import ExploreError, Maps, WindowFalls
from interp.results import Provenance, read_result
from interp.stats.columns import COLUMNS


def explore_tables(paths: Sequence[str | Path]) -> Explorer:
    """Explore tables of ``interp ablate``: ``heads``, and with ``--by-window`` the falls of each window.

    Args:
        paths: files, or folders of them, such as the store of a study. Of a folder the tables of other measurements are
            left out.

    Raises:
        ExploreError: there is no table of heads among them.
        TableError: a file is damaged or was not written by this suite.
        OSError: no such file.
    """
    heads: list[pd.DataFrame] = []
    by_window: list[pd.DataFrame] = []
    provenance: list[Provenance] = []
    for path in _files(paths):
        table, rests_on = read_result(path)
        kind = by_window if {"layer", "head", "window", "fall"} <= {*table} else heads
        if kind is heads and not {"layer", "head", "metric", *COLUMNS} <= {*table}:
            continue
        if "model" not in table:
            table = table.assign(model=rests_on[0].model)
        if "method" not in table:
            table = table.assign(method=rests_on[0].settings.get("method", "zero"))
        kind.append(table if "group" in table else table.assign(group="windows"))
        provenance += rests_on
    if not heads and not by_window:
        raise ExploreError(
            f"no table of heads in {', '.join(map(str, paths))}; `interp ablate MODEL --out heads.parquet` writes one"
        )
    shown: dict[str, Shown] = {}
    finished, windows = (_by_model_and_method(tables) for tables in (heads, by_window))
    for model, method in dict.fromkeys([*finished, *windows]):
        falls = WindowFalls.of_table(windows[model, method]) if (model, method) in windows else None
        maps = Maps.of_table(finished[model, method], falls) if (model, method) in finished else Maps(falls)
        shown.setdefault(model, Shown(model, {})).maps[method] = maps
    return Explorer(list(shown.values()), provenance=provenance)


def _by_model_and_method(tables: Sequence[pd.DataFrame]) -> dict[tuple[str, str], pd.DataFrame]:
    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True).dropna(subset=["layer", "head"])
    rows = rows.astype({"layer": int, "head": int})
    return {(str(model), str(method)): part for (model, method), part in rows.groupby(["model", "method"], sort=False)}


def _files(paths: Sequence[str | Path]) -> list[Path]:
    """The files themselves, and those in folders, sorted by name."""
    found = []
    for path in map(Path, paths):
        tables = path / "tables" if (path / "tables").is_dir() else path  # of a store, what is finished
        found += sorted(tables.rglob("*.parquet")) if path.is_dir() else [path]
    return found
