"""Engines: each is a map over jobs. Results do not depend on the engine.

An engine calls ``work`` for each job, and continues if a worker dies.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from interp.errors import InterpError
from interp.processes import kill_workers, worker_pool
from interp.study.plan import Facts, key_of
from interp.study.store import Store
from interp.study.work import Job, JobDone, Outcome, work

RETRIES = 2
"""How often a job is restarted if its worker dies."""


class EngineError(InterpError, RuntimeError):
    """The engine is not installed or cannot be started."""


Engine = Callable[[Sequence[Job]], Iterator[JobDone]]


def local(jobs: Sequence[Job], *, workers: int) -> Iterator[JobDone]:
    """Processes on this machine. With several GPUs, each process has its own.

    With one worker, the jobs run in this process.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    crew = [_Worker(place) for place in range(workers)]
    for worker in crew:
        free.put(worker)

    def do(job: Job) -> JobDone:
        worker = free.get()
        try:
            return worker.do(job)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(workers) as threads:
        running = [threads.submit(do, job) for job in jobs]
        try:
            for finished in as_completed(running):
                yield finished.result()
        finally:
            stopped = not all(future.done() for future in running)
            for future in running:
                future.cancel()
            for worker in crew:
                worker.end(at_once=stopped)


class _Worker:
    """A process that runs one job after another. It is replaced if it dies."""

    def __init__(self, place: int) -> None:
        self._place = place
        self._pool: ProcessPoolExecutor | None = None
        self._ended = False

    def do(self, job: Job) -> JobDone:
        for _ in range(1 + RETRIES):
            if self._ended:
                break
            if self._pool is None:
                self._pool = worker_pool(1, prepare=partial(_prepare, self._place))
            try:
                return self._pool.submit(work, job).result()
            except BrokenProcessPool:
                self._pool.shutdown()
                self._pool = None
        return died(job)

    def end(self, *, at_once: bool) -> None:
        """End the process, at once if the run was stopped. The next run measures unfinished units."""
        self._ended = True
        if self._pool is not None:
            if at_once:
                kill_workers(self._pool)
            self._pool.shutdown()


def _prepare(place: int) -> None:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if os.environ.get("CUDA_VISIBLE_DEVICES") else None
    n = n_gpus()
    if n > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % n] if gpus else str(place % n)
    transformers.logging.disable_progress_bar()


def n_gpus() -> int:
    """Number of GPUs that this process may use."""
    return torch.cuda.device_count()


def died(job: Job) -> JobDone:
    """Outcomes of a job whose worker died repeatedly. Units finished before are in the store."""
    store, facts, outcomes = Store(job.store), Facts(fetch=False), []
    why = f"its process died {1 + RETRIES} times, perhaps because memory ran out: give a batch_size, or fewer --workers"
    for unit in job.units:
        try:
            key = key_of(facts.of(unit))
            there = store.record(key, read=False) is not None
            outcomes.append(Outcome(unit, "measured", key) if there else Outcome(unit, "failed", key, why))
        except InterpError as error:
            outcomes.append(Outcome(unit, "failed", "", str(error)))
    return JobDone(tuple(outcomes))


def ray(jobs: Sequence[Job], *, workers: int) -> Iterator[JobDone]:
    """A Ray cluster: the one at RAY_ADDRESS, or one on this machine."""
    try:
        import ray as cluster  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError("Ray is not installed: pip install 'interp[ray]'") from error
    started = not cluster.is_initialized()
    if started:
        where: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
        cluster.init(include_dashboard=False, log_to_driver=False, configure_logging=False, **where)
    try:
        gpus = 1 if cluster.cluster_resources().get("GPU", 0) else 0
        remote = cluster.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES, max_calls=1)(work)
        waiting = {remote.remote(job): job for job in jobs}
        while waiting:
            ready, _ = cluster.wait(list(waiting), num_returns=1)
            job = waiting.pop(ready[0])
            try:
                yield cluster.get(ready[0])
            except cluster.exceptions.RayError:
                yield died(job)
    finally:
        if started:
            cluster.shutdown()


def slurm(jobs: Sequence[Job], *, workers: int, parameters: Mapping[str, Any], folder: Path) -> Iterator[JobDone]:
    """A Slurm job array, through submitit. Without Slurm, submitit runs local processes.

    Args:
        jobs: the jobs.
        workers: number of array tasks at a time.
        parameters: submitit's parameters, such as ``slurm_partition`` and ``timeout_min``.
        folder: folder for submitit's files, on a file system that all nodes share.
    """
    try:
        import submitit  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError("submitit is not installed: pip install 'interp[slurm]'") from error
    executor = submitit.AutoExecutor(folder=folder)
    limits = {"slurm_array_parallelism": workers} | dict(parameters)
    try:
        executor.update_parameters(**limits)
    except (NameError, TypeError, ValueError) as error:
        raise EngineError(f"submitit does not take the study's `slurm` parameters: {error}") from error
    submitted: dict[Any, Job] = dict(zip(executor.map_array(work, jobs), jobs, strict=True))
    try:
        for finished in submitit.helpers.as_completed(list(submitted)):
            try:
                yield finished.result()
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError):
                yield died(submitted[finished])
    finally:
        for task in submitted:
            if not task.done():
                task.cancel()
