"""The table of scores that the statistical experiments share: every small model on the planted and held-out windows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from parts import Part, measure_each

from interp.data.corpus import planted_windows
from interp.data.planting import HELD_OUT, REPETITIONS, planted_set
from interp.data.windows import Windows
from interp.models.loading import load_model
from interp.models.registry import find, small_models
from interp.results import Provenance, read_provenance, read_table
from interp.statistical.extraction import extract
from interp.statistical.prefix import prefix_log_prob

_SIZES = "0.2m", "0.5m", "1.2m"


def experiment_windows(*, per_set: int | None, seed: int) -> Windows:
    """Windows of every planted set and held-out ones, as many of each domain."""
    return planted_windows(sets=[HELD_OUT, *map(planted_set, REPETITIONS)], per_set=per_set, seed=seed)


def scores_table(
    path: Path, models: Sequence[str], *, per_set: int | None, seed: int
) -> tuple[pd.DataFrame, list[Provenance]]:
    """Scores of the models, with ``family``, ``size``, ``n_params`` and ``prefix_log_prob``; measured once, then read.

    A file of other models or windows is measured again: other weights or text, whatever the names and ids.
    """
    windows = experiment_windows(per_set=per_set, seed=seed)
    if not _holds(path, models, windows):
        measure_each(models, path.parent, partial(_scores, table=path.stem), per_set=per_set, seed=seed)
    return read_table(path), read_provenance(path)


def _holds(path: Path, models: Sequence[str], windows: Windows) -> bool:
    if not path.exists():
        return False
    found = {record.model: record for record in read_provenance(path) if record.measurement == "extract"}
    table = read_table(path, columns=["model"])
    if set(found) != set(models) or table["model"].value_counts().to_dict() != dict.fromkeys(models, len(windows)):
        return False
    if any(record.windows_digest != windows.digest for record in found.values()):
        return False
    return not any(Provenance.of("extract", load_model(name), windows).differences(found[name]) for name in models)


def _scores(name: str, *, table: str, per_set: int | None, seed: int) -> Part:
    windows, model, spec = experiment_windows(per_set=per_set, seed=seed), load_model(name), find(name)
    extraction, prefix = extract(model, windows), prefix_log_prob(model, windows)
    rows = extraction.to_frame().assign(
        model=name,
        family=spec.family,
        size=name.rsplit("-", 1)[1],
        n_params=spec.n_params,
        prefix_log_prob=prefix.to_frame()["prefix_log_prob"],
    )
    print(f"{name}: {extraction.memorized.mean():.1%} memorized", flush=True)
    part = Part()
    part.add(table, rows, extraction.provenance, prefix.provenance)
    return part


def parse(doc: str | None) -> argparse.Namespace:
    """The options of the statistical experiments."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=[spec.name for spec in small_models()])
    parser.add_argument("--per-set", type=int, default=None, help="windows of each set and domain; all unless given")
    parser.add_argument("--scores", type=Path, default=None, help="table of scores; in --out unless given")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    unknown = sorted({*args.models} - {spec.name for spec in small_models()})
    if unknown:
        parser.error(f"no small model is called {', '.join(unknown)}")
    args.scores = args.scores or args.out / "scores.parquet"
    return args


def by_size(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in order of size, then family."""
    order = pd.Categorical(table["size"], categories=_SIZES, ordered=True)
    return table.assign(size=order).sort_values(["size", "family"]).assign(size=lambda t: t["size"].astype(str))
