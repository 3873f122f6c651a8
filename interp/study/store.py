"""The store: a folder of finished units that pandas, polars and DuckDB can read without interp.

    tables/measurement=ablate/table=heads/of=pythia-small-1.2m/KEY.parquet   a table of a unit
    units/KEY.json      description of the unit, and digests of its tables: written last, so it marks a finished unit
    staging/KEY/        a unit's files before they are moved to their places
    locks/KEY.lock      held by the process that measures the unit
    studies/            files of the studies run here, and the keys of their units
    log.jsonl           one line per unit that was measured or failed

A kill leaves a unit either finished or unmeasured. Nothing depends on the clock.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from interp.errors import InterpError
from interp.files import into_place, is_empty, only_writer, safe_name, sha256, sync, write_text
from interp.measurements.tables import Finished
from interp.results import read_result, write_table

FORMAT = 1
_ABOUT = "store.json"
_README = """Results of studies; `interp report` makes a page of them.

    import pandas, polars, duckdb
    pandas.read_parquet("tables/measurement=ablate/table=heads")
    polars.read_parquet("tables/measurement=ablate/table=heads/**/*.parquet")
    duckdb.sql("from read_parquet('tables/measurement=ablate/table=heads/**/*.parquet')")

Columns that begin with `unit` say what a row is of.
"""


UNIT_COLUMNS = (
    "unit",
    "unit_measurement",
    "unit_version",
    "unit_settings",
    "unit_seed",
    "unit_dtype",
    "unit_weights",
    "unit_windows",
    "unit_windows_digest",
)
"""Columns that identify the unit of a row."""


class StoreError(InterpError, OSError):
    """A store cannot be read or written, or has files that it did not write."""


@dataclass(frozen=True)
class Shard:
    """A table of a unit."""

    path: str
    """Path in the store."""
    sha256: str
    size: int
    """In bytes."""
    rows: int


@dataclass(frozen=True)
class Record:
    """A finished unit."""

    key: str
    entry: str
    """Label in the study that measured it."""
    windows: str
    """Name of its windows in that study."""
    facts: Mapping[str, Any]
    """The facts behind the key."""
    tables: Mapping[str, Shard]
    passed_over: str = ""
    """Why there was nothing to measure."""
    made: Mapping[str, Any] | None = None
    """When, where and how fast."""


@dataclass(frozen=True)
class Damage:
    """A file of a store that has changed since it was written."""

    path: Path
    what: str


class Store:
    """A folder of finished units."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, root: Path, *, write: bool = False) -> Store:
        """Open a store. Makes one in an empty or missing folder if ``write``.

        Raises:
            StoreError: there is no store, the folder has something else, the format is another, or it cannot be
                written.
        """
        about = root / _ABOUT
        if not about.is_file():
            if root.exists() and not (root.is_dir() and is_empty(root)):
                raise StoreError(f"{root} is not a store, and is not empty: give another folder")
            if not write:
                raise StoreError(f"there is no store at {root}; `interp run` makes it")
        store = cls(root)
        if write:
            store._make()
        try:
            found = json.loads(about.read_text(encoding="utf-8"))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{about} is damaged: {error}") from error
        if found != FORMAT:
            raise StoreError(f"{root} is a store of format {found}; this version of interp reads format {FORMAT}")
        return store

    def _make(self) -> None:
        try:
            texts = {_ABOUT: json.dumps({"format": FORMAT}) + "\n", "README.txt": _README}
            if not all((self.root / name).is_file() for name in texts):
                with only_writer(self.root, wait=True):
                    for name, text in texts.items():
                        write_text(self.root / name, text)
            for name in ("tables", "units", "staging", "locks"):
                (self.root / name).mkdir(exist_ok=True)
            with self.hold("probe"):  # checks that files can be made here
                pass
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error.strerror or error}") from error

    def record(self, key: str, *, read: bool = True) -> Record | None:
        """A finished unit. ``None`` if it is not finished, or one of its tables is damaged or missing.

        Args:
            key: of the unit.
            read: whether to compare each table's digest, or only its size.
        """
        record = self._read(self.root / "units" / f"{key}.json")
        if record is None or record.key != key or any(self._wrong(s, read=read) for s in record.tables.values()):
            return None
        return record

    def _wrong(self, shard: Shard, *, read: bool = True) -> str:
        """What is wrong with a table; empty if nothing is."""
        path = self.root / shard.path
        if not path.is_file():
            return "is gone"
        if path.stat().st_size != shard.size:
            return f"has {path.stat().st_size} bytes and was written with {shard.size}"
        return "has changed since it was written" if read and sha256(path) != shard.sha256 else ""

    def records(self) -> list[Record]:
        """All finished units, ordered by key."""
        keys = sorted(path.stem for path in (self.root / "units").glob("*.json"))
        found = (self.record(key, read=False) for key in keys)
        return [record for record in found if record is not None]

    def _read(self, path: Path) -> Record | None:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            tables = {name: Shard(**shard) for name, shard in told.pop("tables").items()}
            return Record(**told, tables=tables)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # damaged: the unit is measured again, and `verify` names it

    @contextmanager
    def hold(self, key: str, *, wait: bool = False) -> Iterator[bool]:
        """Lock a unit, so that only one process measures it. Yields whether the lock was obtained.

        The operating system's lock ends with the process, however that ends.

        Args:
            key: of the unit.
            wait: whether to wait for another process that holds it.
        """
        lock = FileLock(self.root / "locks" / f"{key}.lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error.strerror or error}") from error
        try:
            self._clear(key)
            yield True
        finally:
            self._clear(key)
            # A process that waits for this file then checks whether the unit is finished.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()

    def held(self, key: str) -> bool:
        """Whether a process is measuring the unit."""
        place = self.root / "locks" / f"{key}.lock"
        if not place.exists():
            return False
        lock = FileLock(place)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # nobody measures into a store that cannot be written
            return False
        lock.release()
        return False

    def _clear(self, key: str) -> None:
        shutil.rmtree(self.root / "staging" / key, ignore_errors=True)

    def clear_leavings(self) -> None:
        """Remove leftovers of killed processes: files of units that no process holds."""
        keys = {path.name for path in (self.root / "staging").iterdir()}
        keys |= {path.stem for path in (self.root / "locks").glob("*.lock")}
        for key in sorted(keys):
            with self.hold(key):
                pass

    def write(self, record: Record, finished: Finished | None) -> Record:
        """Store a unit that this process holds. Returns the record with its tables.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        staging = self.root / "staging" / record.key
        try:
            staging.mkdir(parents=True, exist_ok=True)
            tables = {} if finished is None else self._stage(record, finished, staging)
            for name, shard in tables.items():
                into_place(staging / name, self.root / shard.path)
            done = replace(record, tables=tables)
            told = staging / "unit.json"
            told.write_text(json.dumps(asdict(done), indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
            into_place(told, self.root / "units" / f"{record.key}.json")
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(
                f"unit {record.key} could not be written into the store {self.root}: {error.strerror or error}. Units "
                "finished before are kept; free some space or repair the disk, then start the study again"
            ) from error
        return done

    def _stage(self, record: Record, finished: Finished, staging: Path) -> dict[str, Shard]:
        model = safe_name(str(record.facts["model"]))
        shards = {}
        for name, rows in finished.tables.items():
            # These would differ in another run; all other bytes are equal.
            rests_on = [replace(p, time="") for p in finished.provenance[name]]
            staged = staging / name
            write_table(rows.assign(**_columns(record, rests_on)), staged, rests_on)
            folder = Path("tables", f"measurement={record.facts['measurement']}", f"table={name}", f"of={model}")
            path = (folder / f"{record.key}.parquet").as_posix()
            shards[name] = Shard(path, sha256(staged), staged.stat().st_size, len(rows))
        return shards

    def read(self, records: Sequence[Record]) -> Finished:
        """The tables of units as one, in order. Each file is compared with its digest.

        Raises:
            StoreError: a table has changed since it was written.
        """
        frames: dict[str, list[pd.DataFrame]] = {}
        provenance: dict[str, list[Any]] = {}
        for record in records:
            for name, shard in record.tables.items():
                path = self.root / shard.path
                if wrong := self._wrong(shard):
                    raise StoreError(f"{path} {wrong}. `interp verify` lists all damage, and `interp run` repairs it")
                table, made = read_result(path)
                known = provenance.setdefault(name, [])
                known += [p for p in made if p not in known]
                frames.setdefault(name, []).append(table.drop(columns=list(UNIT_COLUMNS)))
        seed = int(records[0].facts["seed"]) if records else 0
        return Finished({name: pd.concat(rows, ignore_index=True) for name, rows in frames.items()}, provenance, seed)

    def note_study(self, path: Path, units: Sequence[Mapping[str, Any]]) -> None:
        """Keep a study file and the keys of its units, so that a report needs neither models nor corpora."""
        text = path.read_text(encoding="utf-8")
        noted = json.dumps({"text": text, "units": list(units)}, indent=1) + "\n"
        try:
            write_text(self.root / "studies" / path.name, text)
            write_text(self.root / "studies" / f"{path.stem}.json", noted)
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error.strerror or error}") from error

    def studies(self) -> list[Path]:
        """Files of the studies run here."""
        return sorted(p for p in (self.root / "studies").glob("*") if p.suffix != ".json")

    def units_of(self, study: Path) -> list[dict[str, Any]]:
        """The units of a study run here: measurement, model, windows, seed, and key if known.

        Raises:
            StoreError: the study was not run here, or not as its file is now.
        """
        path = self.root / "studies" / f"{study.stem}.json"
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            units, text = noted["units"], noted["text"]
        except FileNotFoundError as error:
            raise StoreError(f"no study {study.stem} was run in {self.root}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged; `interp run` writes it again") from error
        if text != study.read_text(encoding="utf-8"):
            raise StoreError(f"{study} is another text than the study {study.stem} that was run in {self.root}: run it")
        return units

    def verify(self) -> Iterator[Damage]:
        """All files of the store that have changed since they were written. Each file is compared with its digest."""
        known: dict[Path, Shard] = {}
        for path in sorted((self.root / "units").iterdir()):
            record = self._read(path)
            if record is None or record.key != path.stem:
                yield Damage(path, "is damaged, or not a record of a unit: `interp run` measures the unit again")
                continue
            known |= {self.root / shard.path: shard for shard in record.tables.values()}
        for path, shard in known.items():
            if wrong := self._wrong(shard):
                yield Damage(path, wrong)
        for path in sorted((self.root / "tables").rglob("*")):
            if path.is_file() and path not in known:
                yield Damage(path, "belongs to no finished unit: a killed process or another program left it")

    def unused(self, keys: Iterable[str]) -> list[Path]:
        """Files of units that are not among these, and tables of no unit that no process is writing."""
        kept = set(keys)
        wanted: set[Path] = set()
        found = []
        for path in sorted((self.root / "units").glob("*.json")):
            record = self._read(path)
            if path.stem in kept and record is not None:
                wanted |= {self.root / shard.path for shard in record.tables.values()}
            elif not self.held(path.stem):
                found.append(path)  # first, because without it the tables belong to no unit
        tables = sorted((self.root / "tables").rglob("*.parquet"))
        return found + [path for path in tables if path not in wanted and not self.held(path.stem)]

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files, and folders that become empty."""
        for path in paths:
            path.unlink(missing_ok=True)
            sync(path.parent)
            for folder in path.parents:
                if folder == self.root / "tables" or not folder.is_relative_to(self.root / "tables"):
                    break
                with suppress(OSError):
                    folder.rmdir()

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        told = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        try:
            with FileLock(self.root / "locks" / "log"), (self.root / "log.jsonl").open("a+b") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                cut_off = file.read() not in (b"", b"\n")
                file.write(b"\n" * cut_off + told)
        except OSError as error:
            raise StoreError(
                f"the log of the store {self.root} cannot be written: {error.strerror or error}"
            ) from error

    def logged(self, *, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Lines of the log from a position on, and the end position. A line cut off by a kill is left out."""
        place = self.root / "log.jsonl"
        if not place.exists():
            return [], 0
        with place.open("rb") as file:
            file.seek(start)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        lines = []
        for line in whole.splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return lines, start + len(whole)


def _columns(record: Record, rests_on: Sequence[Any]) -> dict[str, Any]:
    """Columns that identify the unit."""
    facts, first = record.facts, rests_on[0]
    told = json.dumps(facts["settings"], sort_keys=True)
    of = record.key, facts["measurement"], facts["version"], told, facts["seed"], facts["dtype"]
    return dict(zip(UNIT_COLUMNS, (*of, first.weights, first.windows, first.windows_digest), strict=True))
