"""Writes files atomically, under safe names, and never over a user's other files.

A file is written to its own temporary name in the same folder, synced to the disk, and renamed. So a kill, a full disk
or a power cut leaves either the old file or the new one, and two writers of one file do not mix.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from xxhash import xxh3_128

from interp.errors import InterpError

PACKAGE = Path(__file__).parent
_PARTIAL = ".partial"
_LOCK = ".interp.lock"
_MAX_NAME = 100
_LEAVING = re.compile(r"\.[0-9a-f]{32}\.partial")
_DIGEST_AT_END = re.compile(r"-[0-9a-f]{8}$")


class OutputError(InterpError, OSError):
    """An output cannot be written, or would replace something other than an earlier output."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to. It becomes ``path`` if the block succeeds, and is removed if it fails.

    Missing folders are made. A symbolic link stays, and its target is replaced. The new file keeps the mode of the old
    one and, if permitted, its owner.

    Raises:
        OutputError: ``path`` is a folder, a device or write-protected.
    """
    target = _target(path)
    _make_folder(target.parent)
    partial = _beside(target)
    try:
        yield partial
        if target.exists():
            with suppress(PermissionError):
                os.chown(partial, target.stat().st_uid, target.stat().st_gid)
            shutil.copymode(target, partial)
        sync(partial)
        os.replace(partial, target)
        sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically, in UTF-8; see ``whole_file``."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill. If the block succeeds, its files move into ``folder``, each atomically.

    For a writer that chooses its own file names. The files move one by one, so a mark that all are there must be
    written afterwards.
    """
    _make_folder(folder)
    partial = _beside(folder / "files")
    partial.mkdir()
    try:
        yield partial
        for file in sorted(partial.iterdir()):
            with whole_file(folder / file.name) as place:
                os.replace(file, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def into_place(source: Path, target: Path) -> None:
    """Move a written file of the same file system to its place, atomically."""
    _make_folder(target.parent)
    sync(source)
    os.replace(source, target)
    sync(target.parent)


@contextmanager
def only_writer(folder: Path, *, wait: bool) -> Iterator[None]:
    """Lock a folder, so that only one process at a time writes into it.

    Leftovers of killed processes are removed first.

    The operating system's lock ends with the process, however that ends. Its file stays in the folder.

    Args:
        folder: the folder, made if missing. Every writer into it must use this lock.
        wait: whether to wait (with a message) for another process that holds the lock, or to refuse.

    Raises:
        OutputError: another process holds the lock, and ``wait`` is false.
    """
    _make_folder(folder)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise OutputError(
                f"another process writes into {folder}: wait until it has ended, or choose another folder"
            ) from None
        print(f"another process writes into {folder}; waiting until it has ended", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        remove_leavings(folder)
        yield
    finally:
        lock.release()


def is_empty(folder: Path) -> bool:
    """Whether a folder has no content except the lock file and leftovers of killed writers."""
    return all(path.name == _LOCK or _LEAVING.fullmatch(path.name) for path in folder.iterdir())


def remove_leavings(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove temporary files and folders that killed writers left in a folder.

    Args:
        folder: a folder that only this process writes into, unless ``older_than`` is given.
        older_than: minimal seconds since the last write.
    """
    for stale in folder.iterdir():
        with suppress(FileNotFoundError):  # its writer has just finished
            if _LEAVING.fullmatch(stale.name) and time.time() - stale.stat().st_mtime >= older_than:
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def is_lfs_pointer(path: Path) -> bool:
    """Whether Git LFS has left its pointer in a file's place."""
    with path.open("rb") as file:
        return file.read(24) == b"version https://git-lfs."


def files_digest(paths: Iterable[Path]) -> str:
    """Hash of the names and bytes of files (xxh3, 128 bits)."""
    found = xxh3_128()
    for path in paths:
        found.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            while piece := file.read(2**24):
                found.update(piece)
    return found.hexdigest()


def safe_name(name: str) -> str:
    """Turn a name into one path component. Different names stay different.

    Small letters, digits, dots, dashes and underscores are kept. A name with other characters gets a digest at its end.
    So does a name that is special in some file system, or differs from another only in case.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_MAX_NAME]
    if kept == name == name.lower() and kept and not _DIGEST_AT_END.search(name):
        return name
    return f"{kept or 'name'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


TABLE_SUFFIXES = (".parquet",)
PAGE_SUFFIXES = (".html", ".htm")
_FORMATS = {
    ".arrow", ".bmp", ".csv", ".eps", ".feather", ".gif", ".gz", ".h5", ".hdf5", ".htm", ".html", ".jpeg", ".jpg",
    ".json", ".jsonl", ".md", ".npy", ".npz", ".ods", ".orc", ".parquet", ".pdf", ".pickle", ".pkl", ".png",
    ".ps", ".sqlite", ".svg", ".tif", ".tiff", ".tsv", ".txt", ".webp", ".xls", ".xlsx", ".xml", ".zip",
}  # fmt: skip


def check_suffix(path: Path, suffixes: Sequence[str], *, option: str = "") -> None:
    """Refuse a suffix of another format than that of the file. An unknown suffix is accepted.

    Args:
        path: path of the output.
        suffixes: suffixes of the format, the usual one first.
        option: the option that gave the path, for messages.

    Raises:
        OutputError: the suffix belongs to another known format.
    """
    if path.suffix.lower() in _FORMATS - set(suffixes):
        what = "figures are written as HTML pages" if suffixes == PAGE_SUFFIXES else "tables are written as parquet"
        raise OutputError(f"{f'{option} {path}'.strip()}: {what}; name it {path.with_suffix(suffixes[0]).name}")


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Mapping[str, str | Path | Sequence[str | Path] | None] = {},
    *,
    folders: Mapping[str, Path | None] = {},
) -> None:
    """Refuse outputs that cannot be written or would destroy something, before any work is done.

    Args:
        outputs: files to be written, by the name of the option; ``None`` if not requested.
        inputs: files and folders to be read, by the name of the option. Entries that do not exist are not paths.
        folders: folders in which the command chooses the file names, by the name of the option.

    Raises:
        OutputError: a file is a folder, a device or write-protected; a folder is a file; a place cannot be written; two
            outputs are the same; an output is an input, is in an input's folder (the next run would read it as input),
            or is in this package; or a folder holds an input, which the command's files could replace.
    """
    read = [(source, one) for source, given in inputs.items() for one in _each(given) if str(one)] + [
        ("this package", PACKAGE)
    ]
    taken: dict[Path, str] = {}
    for option, path in (*outputs.items(), *folders.items()):
        if path is None:
            continue
        target = _target(path, folder=option in folders)
        for other, whose in taken.items():
            if target == other or target in other.parents or other in target.parents:
                raise OutputError(f"{option} {path} and {whose} would overwrite each other; choose another path")
        # Some file systems ignore the case of letters.
        if str(target).casefold() in (str(other).casefold() for other in taken):
            raise OutputError(f"{option} {path} differs from another output only in the case of letters")
        taken[target] = f"{option} {path}"
        for source, given in read:
            if _covers(Path(given).expanduser(), target):
                raise OutputError(
                    f"{option} {path} would be written into the input {source}, {given}; choose another path"
                )
            # The command chooses the names of its files, and one may be that of the input.
            if option in folders and _covers(target, Path(given).expanduser().resolve()):
                raise OutputError(f"{option} {path} contains the input {source}, {given}; choose another folder")
        _check_writable(path, target, folder=option in folders)


def _each(given: str | Path | Sequence[str | Path] | None) -> Sequence[str | Path]:
    return [] if given is None else [given] if isinstance(given, (str, Path)) else given


def _target(path: Path, *, folder: bool = False) -> Path:
    """The file or folder that is really written. Refuses anything else."""
    try:
        str(path).encode()
        target = path.resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()
        if folder:
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path} is a file; name a folder for the results")
            return target
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file for the result")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is a device or a pipe, which would be replaced; name a file for the result")
        if path.exists() and not path.stat().st_mode & 0o222:
            raise OutputError(f"{path} is write-protected; nothing was replaced")
    except OutputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, links in a circle, no access
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise OutputError(f"{str(path)[:200]!r} cannot be written: {reason}") from error
    return target


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid4().hex}{_PARTIAL}")


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents. Each is on the disk before something is written into it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _covers(source: Path, target: Path) -> bool:
    """Whether a file is the source, or is inside it."""
    try:
        real = source.resolve()
        if not real.exists():
            return False
        same = target.exists() and os.path.samefile(real, target)
    except (OSError, ValueError, RuntimeError):  # the name cannot be a path
        return False
    return same or (real.is_dir() and target.is_relative_to(real))


def _check_writable(path: Path, target: Path, *, folder: bool) -> None:
    place = target if folder else target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{path} cannot be written: {place} is a file, not a folder")
    probe = place / f".{uuid4().hex}{_PARTIAL}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror} in {place}") from error
