"""Writing files: whole or not at all, under a name that is safe, and never over what a user keeps.

A file is written to a temporary name of its own beside its place, synced to the disk, and renamed. So a kill, a full
disk or a power cut leaves either the old file or the new one, and two writers of one file do not mix.
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
    """An output that cannot be written, or that would replace something else than an earlier output."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends well, and is removed when it does not.

    Folders are made. A symbolic link is followed: its target is replaced, the link stays. A file that is replaced
    hands on its mode and, where that is allowed, its owner.

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
    """Write a text file whole or not at all, in UTF-8; see ``whole_file``."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; its files take their places in ``folder`` when the block ends well, each whole.

    For a writer that chooses the names of its files itself. They are in place one by one: what tells a reader that all
    are there has to be written after them.
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


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes ``path`` when the block ends well, and is removed when it does not.

    Raises:
        OutputError: there is something at ``path`` already.
    """
    _make_folder(path.parent)
    partial = _beside(path)
    partial.mkdir()
    try:
        yield partial
        for root, _, files in os.walk(partial):
            for file in files:
                sync(Path(root, file))
            sync(Path(root))
        if path.exists():
            raise OutputError(f"{path} is there already; another process may have written it. Nothing was replaced")
        os.replace(partial, path)
        sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def into_place(source: Path, target: Path) -> None:
    """Give a written file of the same file system its place: all of it is there then, or what was there before."""
    _make_folder(target.parent)
    sync(source)
    os.replace(source, target)
    sync(target.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder so that a kill leaves all of it or nothing: it loses its name before its files go.

    What a kill leaves of it under the other name is removed by the next ``only_writer`` of the folder around it.
    """
    if path.exists():
        doomed = _beside(path)
        os.replace(path, doomed)
        sync(path.parent)
        shutil.rmtree(doomed)


@contextmanager
def only_writer(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder, so that one process at a time writes into it; leavings of killed ones are removed first.

    The lock is the operating system's and ends with the process, however that ends. Its file stays in the folder.

    Args:
        folder: made where it is not there. Everything that writes into it has to hold it.
        wait: whether to wait for another process that holds the folder, which is said, or to refuse.

    Raises:
        OutputError: another process holds the folder, and ``wait`` is false.
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
    """Whether a folder has no content: nothing but the file of a lock and what killed writers left there."""
    return all(path.name == _LOCK or _LEAVING.fullmatch(path.name) for path in folder.iterdir())


def remove_leavings(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove temporary files and folders that killed writers left in a folder.

    Args:
        folder: one that only this process writes into, unless their age is asked for.
        older_than: seconds since one was last written.
    """
    for stale in folder.iterdir():
        with suppress(FileNotFoundError):  # its writer lives and has just finished
            if _LEAVING.fullmatch(stale.name) and time.time() - stale.stat().st_mtime >= older_than:
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()


def sha256(path: Path) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
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
    """A name as one path component: different names stay different, and none is a path.

    Small letters, digits, dots, dashes and underscores stay. A name with anything else gets a digest at its end. So
    does one that a file system could take for something special, or for the same name in other letters.
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
    """Refuse a name that promises another format than the file will have. A name that promises none may be any.

    Args:
        path: of the output.
        suffixes: of the format that is written, the usual one first.
        option: that named the path, for the message.

    Raises:
        OutputError: the suffix of another known format.
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
        outputs: files to be written, by the name of the option; ``None`` where none was asked for.
        inputs: files and folders that are read, by the name of the option; one that does not exist is no path.
        folders: folders that files of the command's own choice are written into, by the name of the option.

    Raises:
        OutputError: a file that is a folder, a device or write-protected; a folder that is none; a place that cannot
            be written; one that another output of the same command takes; or one that is an input, lies in an input's
            folder (where it would be read as part of it the next time), or lies in this package; a folder that holds
            an input, which a file of the command's own choice could replace.
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
                raise OutputError(f"{option} {path} and {whose} would be written over each other; choose another path")
        # Some file systems take names for one that differ in the case of their letters only.
        if str(target).casefold() in (str(other).casefold() for other in taken):
            raise OutputError(f"{option} {path} differs from another output in capital letters only")
        taken[target] = f"{option} {path}"
        for source, given in read:
            if _covers(Path(given).expanduser(), target):
                raise OutputError(
                    f"{option} {path} would be written into what is read as {source}, {given}; choose another path"
                )
            # Its files have names of the command's own choice, and one may be the input's.
            if option in folders and _covers(target, Path(given).expanduser().resolve()):
                raise OutputError(f"{option} {path} holds what is read as {source}, {given}; choose another folder")
        _check_writable(path, target, folder=option in folders)


def _each(given: str | Path | Sequence[str | Path] | None) -> Sequence[str | Path]:
    return [] if given is None else [given] if isinstance(given, (str, Path)) else given


def _target(path: Path, *, folder: bool = False) -> Path:
    """The file or folder that is really written; refuses what is something else."""
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
    """Make a folder and those around it, each on the disk before something is written into it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _covers(source: Path, target: Path) -> bool:
    """Whether a file is the source, or lies in it."""
    try:
        real = source.resolve()
        if not real.exists():
            return False
        same = target.exists() and os.path.samefile(real, target)
    except (OSError, ValueError, RuntimeError):  # a name that can be no path
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
