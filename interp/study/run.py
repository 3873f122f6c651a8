"""Runs a study: measures the missing units."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from interp.models.registry import known
from interp.study.config import Engine, Study
from interp.study.engines import local, n_gpus, ray, slurm
from interp.study.plan import Planned, plan, wanted
from interp.study.store import Record, Store, StoreError
from interp.study.work import Job, JobDone, Outcome, State, jobs

Told = Callable[[Mapping[str, Any]], None]
"""Called with each new line of the store's log."""


@dataclass(frozen=True)
class Ran:
    """Result of a run."""

    outcomes: tuple[Outcome, ...]

    def count(self, *states: State) -> int:
        """Number of units in one of these states."""
        return sum(outcome.state in states for outcome in self.outcomes)

    @property
    def failed(self) -> list[Outcome]:
        """Units that could not be measured."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]


def run(
    study: Study,
    *,
    only: Sequence[str] = (),
    engine: Engine = "local",
    workers: int | None = None,
    told: Told = lambda _: None,
) -> Ran:
    """Measure every unit of a study that is not yet in its store.

    Args:
        study: the study.
        only: as in ``plan``.
        engine: the engine that measures the units.
        workers: units at a time. Default: one per GPU, or two on a CPU.
        told: called with each line of the log when it is written.

    Raises:
        StoreError: the store cannot be written. Units finished before are in it.
        InterpError: there is nothing to measure.
    """
    store = Store.open(study.store, write=True)
    store.clear_leavings()
    every = plan(study)
    planned = [p for p in every if wanted(p.unit, only)]
    if not planned:
        planned = plan(study, only=only)  # refuses an empty selection
    _note(store, study, every, ())
    holds = [p.key is not None and store.record(p.key) is not None for p in planned]
    there = [p for p, held in zip(planned, holds, strict=True) if held]
    missing = [p for p, held in zip(planned, holds, strict=True) if not held]
    n = workers or default_workers()
    threads = max(1, torch.get_num_threads() // n)  # shares the threads of the caller, or OMP_NUM_THREADS
    busy = {p.unit.model.label for p in missing if p.key is not None and store.held(p.key)}
    work = jobs([p.unit for p in missing], study.store, workers=n, threads=threads)
    work.sort(key=lambda job: job.units[0].model.label in busy)  # units of other processes come last
    outcomes = [Outcome(p.unit, "there", p.key or "") for p in there]
    # The engine ends its processes, whatever happens here.
    with _followed(store, told), closing(_mapped(study, engine, work, workers=n)) as finished:
        for done in finished:
            outcomes += done.outcomes
            if done.broken:
                raise StoreError(done.broken)
    _note(store, study, every, outcomes)
    return Ran(tuple(outcomes))


def _note(store: Store, study: Study, planned: Sequence[Planned], outcomes: Sequence[Outcome]) -> None:
    """Store the keys of the study's units. Some are known only after a model is downloaded."""
    found = {outcome.unit: outcome.key for outcome in outcomes}
    units = [
        {
            "measurement": p.unit.entry,
            "model": p.unit.model.label,
            "windows": p.unit.windows_name,
            "seed": p.unit.windows.seed,
            "key": p.key or found.get(p.unit, ""),
        }
        for p in planned
    ]
    store.note_study(study.path, units)


def default_workers() -> int:
    """One per GPU. Two without a GPU: two small models in parallel are faster than one with two threads."""
    return n_gpus() or min(2, os.cpu_count() or 1)


def _mapped(study: Study, engine: Engine, work: Sequence[Job], *, workers: int) -> Generator[JobDone, None, None]:
    if not work:
        return
    if engine == "ray":
        yield from ray(work, workers=workers)
    elif engine == "slurm":
        yield from slurm(work, workers=workers, parameters=study.slurm, folder=study.store / "slurm")
    else:
        yield from local(work, workers=min(workers, len(work)))


@contextmanager
def _followed(store: Store, told: Told) -> Iterator[None]:
    """Pass on the lines that any process adds to the log until the block ends."""
    _, end = store.logged()
    stopped = threading.Event()

    def follow() -> None:
        nonlocal end
        last = False
        while not last:
            last = stopped.wait(0.2)
            lines, end = store.logged(start=end)
            for line in lines:
                told(line)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@dataclass(frozen=True)
class Forecast:
    """Estimated cost of the missing units of a study, from finished units of the same measurements."""

    seconds: float
    """On one worker, for the units with an estimate."""
    disk: int
    """In bytes."""
    memory: int
    """Of the largest unit, in bytes. Only weights if no similar unit was measured."""
    untold: int
    """Number of units without a similar measured one."""


def forecast(missing: Sequence[Planned], records: Sequence[Record]) -> Forecast:
    """Time goes with the parameters of the model; the number of windows is taken to be alike."""
    seconds, disk, memory, untold = 0.0, 0.0, 0.0, 0
    for unit in (planned.unit for planned in missing):
        spec = known(unit.model.name)
        n_params = spec.n_params if spec else 0
        memory = max(memory, n_params * (4 if unit.model.dtype == "float32" else 2))
        alike = [r for r in records if r.facts["measurement"] == unit.measurement and r.made and r.tables]
        if not alike or not n_params:
            untold += 1
            continue
        made = [dict(r.made or {}) for r in alike]
        seconds += n_params * median(m["seconds"] / m["n_params"] for m in made)
        disk += median(sum(shard.size for shard in r.tables.values()) for r in alike)
        memory = max(memory, *(m["peak_mib"] * 2**20 for m in made))
    return Forecast(seconds, int(disk), int(memory), untold)
