"""Memory of this process, for the benchmarks (Linux)."""

from __future__ import annotations

from pathlib import Path


def memory_mib(kind: str) -> float:
    """A line of ``/proc/self/status``, MiB: ``VmRSS``, its peak ``VmHWM``, its own ``RssAnon``, mapped ``RssFile``."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024
