"""Studies that are killed, shared by processes, or spread by Ray and Slurm give the tables of an undisturbed run."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from interp.study.config import read_study
from interp.study.engines import local, ray, slurm
from interp.study.plan import plan
from interp.study.run import run
from interp.study.store import Store
from interp.study.work import Job, jobs

pytestmark = pytest.mark.long

STUDY = """\
title: Survival
models: [pythia-small-0.2m, olmo2-small-0.2m]
windows:
  few: {sets: [held_out, planted-256], per_set: 2}
measurements:
  - extract
  - measure: ablate
    settings: {heads: ["0.1", "1.0"], by_window: true}
  - measure: perturb
    settings: {alphas: [0.0, 0.3]}
  - attribute
"""


def written(folder: Path) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY)
    return path


def command(path: Path, store: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "interp.cli", "run", str(path), "--store", str(store), *options]


def tables(root: Path) -> dict[str, bytes]:
    """Every table of a store by its place."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "tables").rglob("*.parquet"))}


def clean(root: Path) -> bool:
    """Whether nothing temporary is left."""
    left = [*(root / "staging").iterdir(), *(root / "locks").glob("*.lock"), *root.rglob("*.partial")]
    return not left and not list(Store(root).verify())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes], float]:
    """A study file, the tables of a run of it that nothing disturbed, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path, started = written(folder), time.monotonic()
    done = subprocess.run(command(path, folder / "store"), check=True, capture_output=True, text=True)
    assert "8 of 8 units" in done.stdout
    found = tables(folder / "store")
    assert len({Path(name).stem for name in found}) == 8
    return path, found, time.monotonic() - started


def test_a_study_killed_at_random_moments_gives_the_same_bytes(
    undisturbed: tuple[Path, dict[str, bytes], float], tmp_path: Path
) -> None:
    path, wanted, _ = undisturbed
    draw, kills, studies, longest = random.Random(0), 0, 0, 4.0
    while kills < 20:
        store, finished = tmp_path / f"store-{studies}", set[str]()
        studies += 1
        while len(finished) < 8:
            child = multiprocessing.get_context("fork").Process(target=run_alone, args=(path, store))
            started = time.monotonic()
            child.start()
            child.join(draw.uniform(0.0, longest))
            if child.is_alive():
                child.kill()
                kills += 1
            else:
                longest = time.monotonic() - started
            child.join()
            now = {record.key for record in Store(store).records()} if (store / "store.json").exists() else set()
            assert finished <= now, "something finished was lost"
            finished = now
        run_alone(path, store)
        assert tables(store) == wanted
        assert clean(store)
    assert studies < kills, "most runs were not disturbed"


def run_alone(path: Path, store: Path) -> None:
    run(read_study(path, store=store), workers=1)


def test_no_process_outlives_a_study_that_is_killed(
    undisturbed: tuple[Path, dict[str, bytes], float], tmp_path: Path
) -> None:
    path, wanted, seconds = undisturbed
    store = tmp_path / "store"
    for share in (0.4, 0.6, 0.7):
        process = subprocess.Popen(command(path, store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(share * seconds)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert family
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
    subprocess.run(command(path, store), check=True, capture_output=True)
    assert tables(store) == wanted
    assert clean(store)


def test_two_processes_share_the_work_of_one_store(
    undisturbed: tuple[Path, dict[str, bytes], float], tmp_path: Path
) -> None:
    path, wanted, _ = undisturbed
    both = [
        subprocess.Popen(command(path, tmp_path / "store", "--workers", "1"), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("8 of 8 units" in text for text in said)
    assert tables(tmp_path / "store") == wanted
    assert clean(tmp_path / "store")
    lines, _ = Store(tmp_path / "store").logged()
    assert len(lines) == len({line["unit"] for line in lines}) == 8, "a unit was measured twice"
    assert len({line["pid"] for line in lines}) == 2


def made(path: Path, store: Path, *, workers: int) -> list[Job]:
    Store.open(store, write=True)
    units = [planned.unit for planned in plan(read_study(path, store=store))]
    return jobs(units, store, workers=workers, threads=1)


def killed_once(store: Path, name: str, before: set[int]) -> int:
    """Kill the first worker that has finished a unit and is at the next."""
    while True:
        lines, _ = Store(store).logged()
        for line in lines:
            if line["pid"] not in before and psutil.pid_exists(line["pid"]):
                os.kill(line["pid"], signal.SIGKILL)
                return int(line["pid"])
        time.sleep(0.05)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_worker_that_is_killed_is_replaced(
    engine: str, undisturbed: tuple[Path, dict[str, bytes], float], tmp_path: Path
) -> None:
    path, wanted, _ = undisturbed
    store = tmp_path / "store"
    work = made(path, store, workers=2)
    engines: dict[str, Any] = {"local": local, "ray": ray}
    killer = threading.Thread(target=killed_once, args=(store, engine, {os.getpid()}))
    killer.start()
    outcomes = [outcome for done in engines[engine](work, workers=2) for outcome in done.outcomes]
    killer.join(timeout=10)
    assert not killer.is_alive()
    assert len(outcomes) == 8
    assert not [outcome for outcome in outcomes if outcome.state == "failed"]
    assert "there" in {outcome.state for outcome in outcomes}, "what the killed one had finished is not measured again"
    assert tables(store) == wanted


def test_slurm_through_submitit_gives_the_same_bytes(
    undisturbed: tuple[Path, dict[str, bytes], float], tmp_path: Path
) -> None:
    path, wanted, _ = undisturbed
    store = tmp_path / "store"
    work = made(path, store, workers=2)
    found = list(slurm(work, workers=2, parameters={"timeout_min": 10}, folder=store / "slurm"))
    assert [outcome.state for done in found for outcome in done.outcomes] == ["measured"] * 8
    assert tables(store) == wanted


def test_a_worker_that_always_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = made(written(tmp_path), tmp_path / "store", workers=2)
    monkeypatch.setattr("interp.study.engines.work", _die)
    (done, other) = local(work, workers=2)
    for outcome in (*done.outcomes, *other.outcomes):
        assert outcome.state == "failed"
        assert "its process died 3 times" in outcome.message


def _die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
