"""What a study costs beside its measurements: the store, a kill, a second worker, many windows.

    python experiments/benchmarks/study.py [--models pythia-small-0.5m ...]

Prints ratios of one run. Store: CPU seconds of a study over those of the same measurements without one. Workers: wall
time of one over two. Windows: peak memory of 10,000 over that of 1,000, in units of 1,000. Kill: the share of a study's
seconds that its longest unit has, which is what a kill can lose.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from interp.measurements.measurement import run as measure
from interp.study.config import Study, read_study
from interp.study.plan import Facts, units
from interp.study.run import run
from interp.study.store import Store

STUDY = """\
title: Cost of a study
models: [{models}]
windows:
  few: {{sets: [held_out, planted-64, planted-256], per_set: 16}}
measurements:
  - extract
  - measure: ablate
    settings: {{at_most: 64, by_window: true}}
  - measure: perturb
    settings: {{at_most: 32}}
"""
MANY = """\
title: Many windows
models: [{model}]
windows:
  many: {{sets: background, per_set: {per_set}, per_unit: 1000}}
measurements: [extract]
"""


def written(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(text)
    return read_study(path)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process; another load of the machine hardly changes them."""
    started = time.process_time()
    work()
    return time.process_time() - started


def bare(study: Study) -> None:
    """The measurements of a study without a store: a model is loaded once, and what it recites is asked once."""
    for model in study.models:
        facts = Facts(fetch=False)
        for unit in units(study, None):
            if unit.model.label == model:
                entry = next(entry for entry in study.entries if entry.label == unit.entry)
                measure(entry.measurement, facts.subject(unit), unit.settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", default=["pythia-small-0.5m", "olmo2-small-0.5m", "starcoder-small-0.5m"]
    )
    names = parser.parse_args().models
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = written(folder, STUDY.format(models=", ".join(names)))
        bare(study)  # what is imported and cached once is no part of either
        without = cpu_seconds(lambda: bare(study))
        with_store = cpu_seconds(lambda: run(read_study(study.path, store=folder / "one"), workers=1))
        print(f"store: {with_store:.1f} over {without:.1f} CPU seconds = {with_store / without:.3f}", flush=True)
        seconds = [record.made["seconds"] for record in Store.open(folder / "one").records() if record.made]
        print(f"kill: at most {max(seconds):.1f} of {sum(seconds):.1f} seconds = {max(seconds) / sum(seconds):.2f}")
        walls = []
        for n in (1, 2):
            started = time.monotonic()
            run(read_study(study.path, store=folder / f"workers-{n}"), workers=n)
            walls.append(time.monotonic() - started)
        print(f"workers: {walls[0]:.1f} s with one, {walls[1]:.1f} s with two = {walls[0] / walls[1]:.2f}", flush=True)
        peaks = []
        for per_set in (250, 2500):
            path = written(folder, MANY.format(model=names[0], per_set=per_set)).path
            asked = read_study(path, store=folder / f"many-{per_set}")
            ran = run(asked, workers=1)
            peaks.append(max(r.made["peak_mib"] for r in Store.open(asked.store).records() if r.made))
            print(f"windows: {len(ran.outcomes)} units, peak {peaks[-1]} MiB", flush=True)
        print(f"windows: memory of many over few = {peaks[1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
