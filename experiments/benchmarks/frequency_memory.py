"""Peak memory of corpus frequency by position, in memory and streamed, for ten times the windows.

    python experiments/benchmarks/frequency_memory.py [--windows 30000]

Each run is its own process. Look-ups are left out (``counts.py`` times them): a fake index gives counts at once, so
that only the memory of the windows' counts is measured. The streamed curves must equal those from memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from interp.data.counts.index import CountIndex
from interp.data.counts.manifest import Manifest
from interp.data.windows import Windows
from interp.statistical.frequency import frequency
from interp.statistical.frequency_parts import stream_frequency

CHUNK = 4096
VOCABULARY = 50_000


class StandIn(CountIndex):
    """An index with made-up counts, equal for equal n-grams."""

    def count(self, ngrams: np.ndarray) -> np.ndarray:
        return ngrams.sum(axis=1) % 97


def chunks(n: int) -> Iterator[Windows]:
    """Random windows, twenty per document."""
    for start in range(0, n, CHUNK):
        ids = range(start, min(start + CHUNK, n))
        tokens = np.random.default_rng(start).integers(0, VOCABULARY, (len(ids), 64))
        names = [f"document {i // 20}" for i in ids]
        yield Windows.from_tokens(tokens, document=names, domain=["code"] * len(ids), window=list(ids), source="random")


def run(how: str, n: int) -> dict[str, float]:
    index = StandIn(Path(), Manifest("random", "none", VOCABULARY, 1, "stand-in"), engine=None)
    before, start = _peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if how == "streamed":
            counted = stream_frequency(index, chunks(n), Path(folder))
        else:
            counted = frequency(index, Windows.concat(list(chunks(n))))
        memorized = np.arange(n) % 20 == 0
        curves = counted.curves({"memorized": memorized, "unmemorized": ~memorized})
        disk = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
    seconds = time.perf_counter() - start
    sums = curves[["value", "low", "high"]].sum()
    return {"peak": _peak() - before, "disk": disk, "seconds": seconds, **sums}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=30_000)
    parser.add_argument("--run", choices=["whole", "streamed"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(args.run, args.windows)))
        return
    measured = {}
    print(f"{'':26}{'peak MiB':>10}{'disk MiB':>10}{'s':>8}")
    for how, n in (("whole", args.windows), ("streamed", args.windows), ("streamed", 10 * args.windows)):
        command = [sys.executable, __file__, "--run", how, "--windows", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured[how, n] = row = json.loads(done.stdout.splitlines()[-1])
        print(f"{how:10}{n:>16,}{row['peak']:10.0f}{row['disk']:10.0f}{row['seconds']:8.0f}", flush=True)
    whole, same, ten = measured.values()
    if not np.allclose([whole[k] for k in ("value", "low", "high")], [same[k] for k in ("value", "low", "high")]):
        raise SystemExit(f"streamed curves are not those held whole: {same}, {whole}")
    print(
        f"equal curves; peak memory of the whole over the streamed {whole['peak'] / same['peak']:.1f}; "
        f"of ten times the windows, streamed, over once {ten['peak'] / same['peak']:.2f}"
    )


if __name__ == "__main__":
    main()
