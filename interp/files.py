"""Writing files: whole or not at all, under a name that is safe, and never over what a user keeps.

A file is written to a temporary name of its own beside its place, synced to the disk, and renamed. So a kill, a full
disk or a power cut leaves either the old file or the new one, and two writers of one file do not mix.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from interp.errors import InterpError

_PARTIAL = ".partial"
_MAX_NAME = 100


class OutputError(InterpError, OSError):
    """An output that cannot be written, or that would replace something else than an earlier output."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends well, and is removed when it does not.

    Folders are made. A symbolic link is followed: its target is replaced, the link stays.

    Raises:
        OutputError: ``path`` is a folder or a device.
    """
    target = _target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(target)
    try:
        yield partial
        sync(partial)
        if target.exists():
            shutil.copymode(target, partial)
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
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes ``path`` when the block ends well, and is removed when it does not.

    Raises:
        OutputError: there is something at ``path`` already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
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


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def safe_name(name: str) -> str:
    """A name as one path component: different names stay different, and none is a path.

    Letters, digits, dots, dashes and underscores stay. A name with anything else, or one that a file system could
    take for something special, gets a digest at its end.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_MAX_NAME]
    return (
        kept if kept == name else f"{kept or 'name'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
    )


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, str | Path | None] = {}) -> None:
    """Refuse outputs that cannot be written or would destroy something, before any work is done.

    Args:
        outputs: files to be written, by the name of the option; ``None`` where none was asked for.
        inputs: files and folders that are read, by the name of the option; one that does not exist is no path.

    Raises:
        OutputError: a folder, a device, a place that cannot be written, a file that another output of the same
            command takes, or one that is an input or lies in an input's folder.
    """
    taken: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        target = _target(path)
        if target in taken:
            raise OutputError(f"{option} {path} is the file of {taken[target]} as well; give each a file of its own")
        taken[target] = option
        for source, given in inputs.items():
            if given is not None and _covers(Path(given).expanduser(), target):
                raise OutputError(
                    f"{option} {path} would be written into the input of {source}, {given}; choose another path"
                )
        _check_writable(path, target)


def _target(path: Path) -> Path:
    """The file that is really written; refuses what is no file."""
    target = path.resolve()
    if target.is_dir():
        raise OutputError(f"{path} is a folder; name a file for the result")
    if target.exists() and not target.is_file():
        raise OutputError(f"{path} is a device or a pipe, which would be replaced; name a file for the result")
    return target


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid4().hex}{_PARTIAL}")


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


def _check_writable(path: Path, target: Path) -> None:
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: {folder} is a file, not a folder")
    probe = folder / f".{uuid4().hex}{_PARTIAL}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror} in {folder}") from error
