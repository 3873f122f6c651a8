"""A job of a study: the units of one model, measured one after another. Each is stored when finished."""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from threadpoolctl import threadpool_limits

from interp.errors import InterpError
from interp.measurements.measurement import run
from interp.measurements.subject import ModelChoice, NothingToMeasure, Subject
from interp.measurements.tables import Finished
from interp.models.registry import known
from interp.statistical.measured import ScoresError
from interp.study.config import MEASUREMENTS
from interp.study.plan import Facts, Unit, key_of
from interp.study.store import Record, Store, StoreError

State = Literal["measured", "there", "passed over", "failed"]

FIRST_BATCH = 64
"""Windows per forward pass, after memory ran out with a measurement's default."""


@dataclass(frozen=True)
class Job:
    """Units of one model for one process, so that the model is loaded once."""

    units: tuple[Unit, ...]
    store: Path
    threads: int


@dataclass(frozen=True)
class Outcome:
    """Result of a unit."""

    unit: Unit
    state: State
    key: str = ""
    message: str = ""


@dataclass(frozen=True)
class JobDone:
    """Result of a job."""

    outcomes: tuple[Outcome, ...]
    broken: str = ""
    """Why the store cannot be written. Nothing more is measured then."""


def work(job: Job) -> JobDone:
    """Measure the units of a job that are not yet measured.

    A unit held by another process is checked again at the end. A failing unit does not stop the others.
    """
    store, facts, done = Store(job.store), Facts(fetch=True), []
    try:
        with _threads(job.threads):
            held: list[Unit] = []
            for unit in job.units:
                outcome = _settle(unit, store, facts, wait=False)
                held += [unit] if outcome is None else []
                done += [] if outcome is None else [outcome]
            for unit in held:
                outcome = _settle(unit, store, facts, wait=True)
                assert outcome is not None
                done.append(outcome)
    except StoreError as error:
        return JobDone(tuple(done), str(error))
    return JobDone(tuple(done))


def _settle(unit: Unit, store: Store, facts: Facts, *, wait: bool) -> Outcome | None:
    """Measure a unit unless it is there. ``None`` if another process holds it."""
    key = ""
    try:
        known = facts.of(unit)
        key = key_of(known)
        if store.record(key) is not None:
            return Outcome(unit, "there", key)
        with store.hold(key, wait=wait) as mine:
            if not mine:
                return None
            if store.record(key) is not None:
                return Outcome(unit, "there", key)
            return _measure(unit, store, facts, Record(key, unit.entry, unit.windows_name, known, {}))
    except StoreError:
        raise
    except Exception as error:  # the next unit may succeed
        message = " ".join(str(error).split()) or type(error).__name__
        told = {} if isinstance(error, InterpError) else {"traceback": traceback.format_exc()}
        _log(store, unit, key, "failed", message=f"{type(error).__name__}: {message}", **told)
        return Outcome(unit, "failed", key, message)


def _measure(unit: Unit, store: Store, facts: Facts, record: Record) -> Outcome:
    subject, started = facts.subject(unit), time.monotonic()
    _forget_peak()
    passed_over, finished = "", None
    with warnings.catch_warnings(record=True) as told:
        try:
            finished, subject = _run(unit, subject)
        except (NothingToMeasure, ScoresError) as error:  # of this model and these windows nothing can be said
            passed_over = str(error)
    if facts.changed(unit):
        raise InterpError(f"the files of {unit.model.name} changed while it was measured; nothing was stored")
    seconds, tokens = time.monotonic() - started, subject.windows.tokens.numel()
    made = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "peak_mib": _peak_mib(),
        "tokens": tokens,
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
        "batch_size": subject.choice.batch_size,
        "n_params": subject.labels["n_params"],
        "host": platform.node(),
    }
    warned = list(dict.fromkeys(str(warning.message) for warning in told))
    done = store.write(replace(record, passed_over=passed_over, made=made), finished)
    state: State = "passed over" if passed_over else "measured"
    _log(store, unit, record.key, state, message=passed_over, **made, warnings=warned)
    return Outcome(unit, state, done.key, passed_over)


def _run(unit: Unit, subject: Subject) -> tuple[Finished, Subject]:
    """Measure. If memory runs out, repeat with half the batch size, which gives the same values."""
    measurement = MEASUREMENTS[unit.measurement]
    while True:
        try:
            found = run(measurement, subject, unit.settings)
            label = {"model": unit.model.label}
            return replace(found, tables={n: rows.assign(**label) for n, rows in found.tables.items()}), subject
        except Exception as error:
            size = subject.choice.batch_size
            if not _out_of_memory(error) or size == 1:
                raise
        _release()
        smaller = FIRST_BATCH if size is None else size // 2
        choice: ModelChoice = replace(subject.choice, batch_size=smaller)
        subject = Subject(subject.name, choice, subject.chosen, part=subject.part, beside=subject)


def _out_of_memory(error: Exception) -> bool:
    # On a CPU, torch has no class for this error.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Limit every library to ``n`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        torch.set_num_threads(before)


def _log(store: Store, unit: Unit, key: str, state: State, **told: Any) -> None:
    kept = {name: value for name, value in told.items() if value not in ("", None, [])}
    store.log(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "state": state,
            "unit": key,
            "measurement": unit.entry,
            "model": unit.model.label,
            "windows": unit.windows_name,
            "part": unit.part,
            "seed": unit.windows.seed,
            "pid": os.getpid(),
            **kept,
        }
    )


def _forget_peak() -> None:
    """Reset the peak memory, if the system can do that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mib() -> int:
    """Peak memory of this process, on the GPU if there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    with suppress(OSError, StopIteration, ValueError):
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def jobs(units: Sequence[Unit], store: Path, *, workers: int, threads: int) -> list[Job]:
    """Units as jobs: one per model, smaller ones if there are fewer jobs than workers. Large models come first."""
    groups = _grouped(units, lambda unit: unit.model.label)
    if len(groups) < workers:
        groups = _grouped(units, lambda unit: (unit.model.label, unit.windows_name, unit.windows.seed))
    if len(groups) < workers:
        groups = [[unit] for unit in units]
    groups.sort(key=lambda group: -_size(group[0]) * len(group))
    return [Job(tuple(group), store, threads) for group in groups]


def _grouped(units: Sequence[Unit], by: Any) -> list[list[Unit]]:
    groups: dict[Any, list[Unit]] = {}
    for unit in units:
        groups.setdefault(by(unit), []).append(unit)
    return list(groups.values())


def _size(unit: Unit) -> int:
    spec = known(unit.model.name)
    return 1 if spec is None else spec.n_params
