"""The store: a unit is there whole or not at all, whoever is killed, and nothing damaged or foreign is taken for it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import polars
import pytest
from kills import killed_at_each_call, run_in_child

from interp.measurements.tables import Finished
from interp.results import Provenance
from interp.study.store import UNIT_COLUMNS, Record, Store, StoreError


def provenance(model: str, time: str = "now") -> Provenance:
    return Provenance(
        measurement="counted", model=model, windows="shipped", n_windows=3, settings={}, dtype="float32", device="cpu",
        code_revision="abc", time=time, weights="w", windows_digest="d",
    )  # fmt: skip


def record(key: str = "a" * 32, model: str = "one") -> Record:
    facts = {"measurement": "count", "version": 1, "settings": {"n": 2}, "model": model, "seed": 5, "dtype": "float32"}
    return Record(key, "entry", "planted", facts, {})


def finished(model: str = "one", time: str = "now") -> Finished:
    curves = pd.DataFrame({"model": model, "value": [0.5, float("nan")], "group": ["memorized", "<b>"]})
    scores = pd.DataFrame({"model": [model], "M": [1.0]})
    made = {"curves": [provenance(model, time)], "scores": [provenance(model, time), provenance(model + "'", time)]}
    return Finished({"curves": curves, "scores": scores}, made, 5)


def store_one(store: Store, key: str = "a" * 32, model: str = "one", time: str = "now") -> None:
    with store.hold(key) as mine:
        assert mine
        store.write(record(key, model), finished(model, time))


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a store by its place, but for its log."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("log.jsonl", "log")
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", write=True)


def test_what_is_read_is_what_was_written(store: Store) -> None:
    store_one(store)
    store_one(store, "b" * 32, "two")
    found = store.read([r for key in "ba" if (r := store.record(key * 32)) is not None])
    expected = pd.concat([finished("two")["curves"], finished("one")["curves"]], ignore_index=True)
    pd.testing.assert_frame_equal(found["curves"], expected)
    assert [p.model for p in found.provenance["scores"]] == ["two", "two'", "one", "one'"]
    assert found.seed == 5
    assert [r.key for r in store.records()] == ["a" * 32, "b" * 32]


def test_other_libraries_read_it_alone_and_every_row_says_what_it_is_of(store: Store) -> None:
    store_one(store)
    store_one(store, "b" * 32, "Two/of them")
    place = store.root / "tables" / "measurement=count" / "table=curves"
    read = {
        "pandas": pd.read_parquet(place),
        "polars": polars.read_parquet(place / "**" / "*.parquet").to_pandas(),
        "duckdb": duckdb.sql(f"from read_parquet('{place}/**/*.parquet', hive_partitioning=true)").df(),
    }
    for name, rows in read.items():
        rows = rows.sort_values("model", ignore_index=True)
        assert rows["model"].tolist() == ["Two/of them"] * 2 + ["one"] * 2, name
        assert rows["unit"].tolist() == ["b" * 32] * 2 + ["a" * 32] * 2, name
        assert set(UNIT_COLUMNS) < set(rows), name
        assert rows["unit_settings"].map(json.loads).tolist() == [{"n": 2}] * 4, name
        assert (rows[["unit_seed", "unit_weights", "unit_windows_digest"]] == [5, "w", "d"]).all(axis=None), name


def test_bytes_do_not_depend_on_when_it_was_measured(tmp_path: Path) -> None:
    stores = [Store.open(tmp_path / name, write=True) for name in "xy"]
    for store, time in zip(stores, ("1970-01-01", "2038-01-19"), strict=True):
        store_one(store, time=time)
    assert contents(stores[0].root) == contents(stores[1].root)


def test_a_kill_before_any_call_leaves_a_unit_finished_or_to_be_done(tmp_path: Path) -> None:
    undisturbed = Store.open(tmp_path / "whole", write=True)
    store_one(undisturbed)
    wanted = contents(undisturbed.root)
    root = tmp_path / "killed"

    def work() -> None:
        store_one(Store.open(root, write=True))

    for k in killed_at_each_call(work):
        if (root / "store.json").exists():
            left = Store.open(root)
            there = left.record("a" * 32)
            assert there is None or left.read([there])["scores"]["M"].tolist() == [1.0]
        if k % 8 == 0:  # each start is a process, and takes its time
            assert run_in_child(lambda: Store.open(root, write=True).clear_leavings()) == 0
            assert not list((root / "staging").iterdir())
            assert not list((root / "locks").iterdir())
            assert run_in_child(work) == 0
            assert contents(root) == wanted, k
            assert not list(Store(root).verify())
        shutil.rmtree(root, ignore_errors=True)


def _try_to_hold(root: Path, key: str, told: multiprocessing.connection.Connection) -> None:
    with Store(root).hold(key) as mine:
        told.send(mine)
        told.recv()
    told.send("let go")


@pytest.fixture
def holder(store: Store) -> Iterator[multiprocessing.connection.Connection]:
    """Another process, which holds a unit until it is told to let it go."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_try_to_hold, args=(store.root, "a" * 32, there))
    process.start()
    assert here.recv() is True
    yield here
    process.kill()
    process.join()


def test_one_process_at_a_time_holds_a_unit(store: Store, holder: multiprocessing.connection.Connection) -> None:
    with store.hold("a" * 32) as mine:
        assert not mine
    assert store.held("a" * 32)
    assert not store.held("b" * 32)
    (store.root / "staging" / ("a" * 32)).mkdir()
    store.clear_leavings()
    assert (store.root / "staging" / ("a" * 32)).exists(), "it is being written"
    holder.send("go on")
    assert holder.recv() == "let go"
    store_one(store)
    assert not list((store.root / "locks").iterdir())


def test_a_killed_process_holds_nothing(store: Store, holder: multiprocessing.connection.Connection) -> None:
    (child,) = multiprocessing.active_children()
    child.kill()
    child.join()
    store_one(store)
    assert store.record("a" * 32) is not None


DAMAGE = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "another byte": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"X"),
    "gone": lambda path: path.unlink(),
    "another unit's": lambda path: shutil.copy(next(path.parent.parent.rglob(f"{'b' * 32}.parquet")), path),
    "somebody's": lambda path: pd.DataFrame({"mine": [1]}).to_parquet(path),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_or_foreign_table_is_never_taken_for_a_result(store: Store, kind: str) -> None:
    store_one(store)
    store_one(store, "b" * 32, "two")
    (first, second), before = store.records(), contents(store.root)
    path = store.root / first.tables["curves"].path
    DAMAGE[kind](path)
    assert store.record("a" * 32) is None
    with pytest.raises(StoreError, match="interp run"):
        store.read([first, second])
    assert [found.path for found in store.verify()] == [path]
    assert store.record("b" * 32) == second, "another unit is not touched by it"
    store_one(store)
    assert contents(store.root) == before
    assert not list(store.verify())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "\x00", '{"tables": {}}', '{"tables": {"a": {}}}'])
def test_a_damaged_record_is_named_and_the_unit_measured_again(store: Store, text: str) -> None:
    store_one(store)
    path = store.root / "units" / f"{'a' * 32}.json"
    path.write_text(text)
    assert store.record("a" * 32) is None
    assert path in [found.path for found in store.verify()]
    store_one(store)
    assert not list(store.verify())


def test_a_file_that_belongs_to_no_unit_is_named_and_never_read(store: Store) -> None:
    store_one(store)
    foreign = store.root / "tables" / "measurement=count" / "table=curves" / "of=one" / "mine.parquet"
    pd.DataFrame({"model": ["one"], "value": [9.0]}).to_parquet(foreign)
    assert [found.path for found in store.verify()] == [foreign]
    assert store.read(store.records())["curves"]["value"].tolist()[:1] == [0.5]


def test_gc_takes_what_no_study_asks_for_and_nothing_else(store: Store) -> None:
    store_one(store)
    before = contents(store.root)
    store_one(store, "b" * 32, "two")
    unused = store.unused(["a" * 32])
    assert {path.stem for path in unused} == {"b" * 32}
    assert len(unused) == 3
    store.remove(unused)
    assert contents(store.root) == before
    assert not list(store.root.rglob("of=two"))
    assert store.unused(["a" * 32]) == []


def test_a_kill_while_units_are_removed_leaves_none_in_part(store: Store) -> None:
    def remove() -> None:
        store.remove(store.unused([]))

    store_one(store)
    for _ in killed_at_each_call(remove):
        assert store.record("a" * 32) is None or not list(store.verify())
        store_one(store)


def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    for write in (True, False):
        with pytest.raises(StoreError, match="is not a store, and is not empty"):
            Store.open(tmp_path / "mine", write=write)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["file"]
    with pytest.raises(StoreError, match="no store at"):
        Store.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    Store.open(tmp_path / "other", write=True)
    for text, said in (('{"format": 99}', "format 99"), ("nothing", "damaged"), ("[]", "damaged")):
        (tmp_path / "other" / "store.json").write_text(text)
        with pytest.raises(StoreError, match=said):
            Store.open(tmp_path / "other")


def test_the_log_outlives_a_line_that_was_cut_off(store: Store) -> None:
    assert store.logged() == ([], 0)
    store.log({"unit": "a", "message": "one\ntwo"})
    _, end = store.logged()
    with (store.root / "log.jsonl").open("a") as file:
        file.write('{"unit": ')
    assert store.logged(start=end) == ([], end)
    store.log({"unit": "b"})
    assert [line["unit"] for line in store.logged()[0]] == ["a", "b"]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    made = subprocess.run(mount, check=False, capture_output=True)
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@needs_root
def test_a_full_disk_is_told_and_what_was_finished_stays(small_disk: Path) -> None:
    store = Store.open(small_disk / "store", write=True)
    store_one(store)
    before = contents(store.root)
    (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
    with pytest.raises(StoreError, match="No space left on device"):
        store_one(store, "b" * 32, "two")
    with pytest.raises(StoreError, match="No space left on device"):
        for _ in range(1000):
            store.log({"message": "x" * 1000})
    assert contents(store.root) == before
    assert not list(store.verify())
    (small_disk / "filler").unlink()
    store_one(store, "b" * 32, "two")
    assert len(store.records()) == 2


@needs_root
def test_a_read_only_store_can_be_read_and_is_never_written(store: Store, tmp_path: Path) -> None:
    store_one(store)
    place = tmp_path / "read-only"
    place.mkdir()
    for command in (["--bind", str(store.root), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run(["mount", *command], check=False, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
    try:
        opened = Store.open(place)
        assert opened.read(opened.records())["scores"]["M"].tolist() == [1.0]
        assert not list(opened.verify())
        assert not opened.held("a" * 32)
        with pytest.raises(StoreError, match="cannot be written: Read-only file system"):
            Store.open(place, write=True)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_clock_that_jumps_changes_nothing(store: Store) -> None:
    store_one(store)
    for seconds in (0, 2**31):
        for path in store.root.rglob("*"):
            os.utime(path, (seconds, seconds))
        store.clear_leavings()
        assert store.record("a" * 32) is not None
        assert not list(store.verify())
        assert store.unused(["a" * 32]) == []
