"""Train the 18 small models on the planted windows. Resumable: run it again after a kill.

    python experiments/planted/train.py --out DIRECTORY [--workers 2] [--models pythia-small-0.2m ...]

Each worker has one thread: with matrices this small, two single-threaded models are faster than one with two threads.
"""

from __future__ import annotations

import argparse
from concurrent.futures import as_completed
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from interp.planted.corpus import WINDOWS
from interp.planted.planting import training_order
from interp.planted.shapes import SHAPES, SMALL_FAMILIES, WEIGHTS, small_config, small_model_name
from interp.planted.training import TrainingConfig, train_small_model
from interp.processes import worker_pool
from interp.shipped import write_digests

ORDER_SEED = 0
LEARNING_RATES = {"0.2m": 6e-3, "0.5m": 5e-3, "1.2m": 4e-3}


def train(family: str, size: str, out: Path) -> Path:
    torch.set_num_threads(1)
    windows = pd.read_parquet(WINDOWS)
    tokens = np.stack(list(windows["tokens"]))
    order = training_order(windows["count"].to_numpy(), seed=ORDER_SEED)
    config = TrainingConfig(learning_rate=LEARNING_RATES[size])
    return train_small_model(small_config(family, size), tokens, order, out / small_model_name(family, size), config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory that receives one folder a model")
    parser.add_argument("--workers", type=int, default=2, help="models trained at the same time")
    parser.add_argument("--models", nargs="*", help="registry names; all 18 unless given")
    args = parser.parse_args()
    unknown = sorted({*(args.models or ())} - {small_model_name(*job) for job in product(SMALL_FAMILIES, SHAPES)})
    if unknown:
        parser.error(f"no small model is called {', '.join(unknown)}")
    # The longest runs first, so that no worker is left with one of them at the end.
    jobs = [(family, size) for size in reversed(SHAPES) for family in SMALL_FAMILIES]
    if args.models:
        jobs = [job for job in jobs if small_model_name(*job) in args.models]
    with worker_pool(args.workers) as pool:
        for done in as_completed([pool.submit(train, family, size, args.out) for family, size in jobs]):
            print(f"finished {done.result().name}", flush=True)
    if args.out.resolve() == WEIGHTS:
        write_digests()


if __name__ == "__main__":
    main()
