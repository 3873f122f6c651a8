"""Killing a piece of work at every moment that matters: before each call that changes what is on the disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

CALLS = ("fsync", "replace", "unlink", "mkdir", "rmdir")


def run_in_child(work: Callable[[], object], *, kill_before: int | None = None) -> int:
    """Exit code of a child that does the work; killed just before its k-th call of ``CALLS`` where that is asked."""
    child = os.fork()
    if child == 0:
        left = kill_before

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                assert left is not None
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return call(*args, **kwargs)

            return called

        for name in CALLS if kill_before is not None else ():
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at_each_call(work: Callable[[], object]) -> Iterator[int]:
    """Do the work in a child that is killed before its first call, its second ...; stop after one that came through."""
    k = 0
    while (code := run_in_child(work, kill_before=k)) == -signal.SIGKILL:
        yield k
        k += 1
    assert code == 0
    assert k > 0
