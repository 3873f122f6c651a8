"""Worker processes that end with their parent process."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection


def worker_pool(n: int, *, prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of processes that end when this one ends, even if it is killed.

    They are spawned: forked processes would inherit torch's threads in a state that can hang.

    Args:
        n: number of processes.
        prepare: called in each process when it starts. It must be importable.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n, mp_context=spawn, initializer=_end_with_parent, initargs=(prepare,))


def kill_workers(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool at once. Their tasks raise ``BrokenProcessPool``."""
    for process in [*(pool._processes or {}).values()]:  # Python 3.14 has a method for it
        process.kill()


def _end_with_parent(prepare: Callable[[], None] | None) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if prepare is not None:
        prepare()
