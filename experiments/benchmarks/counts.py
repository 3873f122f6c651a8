"""One million look-ups of 8-grams in ten million tokens, compared with a Python dictionary: ratios of time and memory.

    python experiments/benchmarks/counts.py [--tokens 10000000] [--lookups 1000000] [--rounds 3]

Each side is built and measured in its own processes, so that memory is separate. Rounds alternate. Memory is counted
from the point where the corpus and the queries exist: private memory at its peak, and mapped pages of the index's
files, which the system can reclaim. The corpus consists of resampled runs of the shipped corpus, so that 8-grams repeat
like in text. Half of the look-ups are 8-grams of the corpus, half are not.

Reopening an index takes about as long as reading it once in suffix order, because the engine checks that its table is
sorted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
from memory import memory_mib

from interp.data.counts.build import build_index
from interp.data.counts.index import open_index
from interp.planted.corpus import planted_windows
from interp.planted.shapes import VOCAB_SIZE

N = 8


def corpus(n_tokens: int) -> np.ndarray:
    """Windows of the shipped corpus in random order, cut at random places."""
    rng = np.random.default_rng(0)
    tokens = planted_windows().tokens.numpy()
    starts, rows = rng.integers(0, 48, size=n_tokens // 16), rng.integers(0, len(tokens), size=n_tokens // 16)
    return tokens[rows[:, None], starts[:, None] + np.arange(16)].ravel().astype(np.int64)


def queries(tokens: np.ndarray, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    there = np.lib.stride_tricks.sliding_window_view(tokens, N)[rng.integers(0, len(tokens) - N, size=n // 2)]
    return rng.permutation(np.concatenate([there, rng.permuted(there, axis=1)]))


def side(which: str, n_tokens: int, n_lookups: int, directory: Path) -> dict[str, float]:
    """Seconds of building (or opening) and of look-ups, memory added (MiB), and the sum of counts, of one side."""
    tokens = corpus(n_tokens)
    asked = queries(tokens, n_lookups)
    private, mapped = memory_mib("RssAnon"), memory_mib("RssFile")
    start = time.perf_counter()
    if which == "index":
        if (directory / "manifest.json").exists():
            index = open_index(directory)
        else:
            index = build_index(
                [tokens], directory, d_vocab=VOCAB_SIZE, tokenizer="bench", source="bench", progress=False
            )
        built = time.perf_counter()
        total = int(index.count(asked).sum())
    else:
        grams = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.uint16), N)
        table = Counter(gram.tobytes() for gram in grams)
        built = time.perf_counter()
        total = sum(table[gram.tobytes()] for gram in asked.astype(np.uint16))
    return {
        "build": built - start,
        "lookups": time.perf_counter() - built,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - private - memory_mib("RssFile"),
        "mapped": memory_mib("RssFile") - mapped,
        "sum": total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--lookups", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["index", "dictionary"], help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print("\n" + json.dumps(side(args.side, args.tokens, args.lookups, args.directory)))
        return
    measured: dict[str, list[dict[str, float]]] = {"index": [], "reopened": [], "dictionary": []}
    with tempfile.TemporaryDirectory() as directory:
        for round_ in range(args.rounds):
            for name, rows in measured.items():
                where = Path(directory) / f"index-{round_}"
                command = [sys.executable, __file__, "--side", "dictionary" if name == "dictionary" else "index"]
                command += ["--tokens", str(args.tokens), "--lookups", str(args.lookups), "--directory", str(where)]
                run = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append(json.loads(run.stdout.splitlines()[-1]))
    sums = {m["sum"] for rows in measured.values() for m in rows}
    if len(sums) != 1:
        raise SystemExit(f"the sides disagree: {sums}")
    print(f"{args.lookups:,} look-ups of {N}-grams in {args.tokens:,} tokens; medians of {args.rounds}, equal counts")
    print(f"{'':12}{'build s':>10}{'look-ups s':>12}{'us a look-up':>14}{'private MiB':>13}{'mapped MiB':>12}")
    middle = {name: {k: median(m[k] for m in rows) for k in rows[0]} for name, rows in measured.items()}
    for name, m in middle.items():
        each = 1e6 * m["lookups"] / args.lookups
        print(f"{name:12}{m['build']:10.2f}{m['lookups']:12.2f}{each:14.2f}{m['peak']:13.0f}{m['mapped']:12.0f}")
    index, plain = middle["index"], middle["dictionary"]
    opened = middle["reopened"]
    print(
        f"dictionary / index: build {plain['build'] / index['build']:.1f}, "
        f"look-ups {plain['lookups'] / index['lookups']:.2f}, "
        f"build and look-ups {(plain['build'] + plain['lookups']) / (index['build'] + index['lookups']):.1f}, "
        f"private memory {plain['peak'] / index['peak']:.1f} "
        f"(index read from disk: {plain['peak'] / opened['peak']:.1f}; "
        f"with its mapped pages {plain['peak'] / (opened['peak'] + opened['mapped']):.1f})"
    )


if __name__ == "__main__":
    main()
