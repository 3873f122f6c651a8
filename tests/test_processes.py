"""Worker processes end with the one that started them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

WORK = """
import os, time
from interp.processes import worker_pool

def work(i):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(work, range(2)))
"""


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet taken note of does not."""
    stat = Path("/proc", str(pid), "stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_of_a_killed_process_end(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WORK)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert run.stdout is not None
    workers = [int(run.stdout.readline()) for _ in range(2)]
    assert all(map(lives, workers))
    run.kill()
    run.wait()
    until = time.monotonic() + 20
    while any(map(lives, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(lives, workers))
