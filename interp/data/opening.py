"""Opening a corpus: whether a name is a file, a folder, a stored dataset or one on the hub, and which split is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from datasets import Dataset, IterableDataset, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id

from interp.data.columns import needed, with_columns
from interp.data.local import DAMAGED, list_files, read_file, splits
from interp.data.owned import WindowError
from interp.data.tally import Tally
from interp.progress import Progress, along, bar

Source: TypeAlias = str | Path | Dataset | IterableDataset | Mapping[str, Dataset | IterableDataset]
T = TypeVar("T")


def read_rows(
    source: Source,
    columns: Sequence[str],
    *,
    split: str | None = None,
    config: str | None = None,
    tally: Tally | None = None,
    progress: bool | Progress = False,
) -> Iterator[Mapping[str, Any]]:
    """Rows of a corpus, one after the other, with what these columns need; look values up with ``columns.look_up``.

    Args:
        source: a file or a folder of files that ``interp.data.local`` reads, a folder written by ``save_to_disk``, a
            dataset on the hub (``owner/name``), or an opened dataset. Only a hub dataset asks the network.
        columns: the names that are needed; nested ones by a path (``meta.pile_set_name``).
        split: which split of several; "train" unless given, or the only one.
        config: configuration of a hub dataset.
        tally: counts files that were not read.
        progress: show a bar with the time left: of bytes where files are read, else of rows, whose number not every
            dataset says. Or a function that is told of them in its place.

    Raises:
        WindowError: no such file, folder, split or column, or a corpus that cannot be read.
    """
    where = str(source) if isinstance(source, (str, Path)) else "the dataset"
    path = _local(source) if isinstance(source, (str, Path)) else None
    if path is not None and config is not None:
        raise WindowError(f"config={config!r} was given with {where}; only a dataset on the hub has configurations")
    if path is not None and not _is_stored_dataset(path):
        files = list(_files(path, split, tally or Tally()))
        with bar(_total(files), f"reading {where}", progress, unit="B", unit_scale=True) as done:
            for file, name in files:
                yield from with_columns(read_file(file, columns, name, read=done), columns, str(file))
        return
    try:
        opened = _open(source, path, config)
        dataset = _choose(opened if isinstance(opened, dict) else {"train": opened}, split, where)
        if not isinstance(dataset, (Dataset, IterableDataset)):
            raise WindowError(
                f"{type(dataset).__name__} is no corpus: give a path, a hub id or a dataset of the datasets library"
            )
        if dataset.column_names is not None:
            dataset = dataset.select_columns(needed(columns, dataset.column_names, where))
        rows = along(dataset, f"reading {where}", progress, total=_n_rows(dataset), unit="row")
        yield from with_columns(rows, columns, where)
    except WindowError:
        raise
    except (*DAMAGED, DatasetsError) as error:
        raise WindowError(f"{where} cannot be read: {error}") from error


def corpus_name(source: Source, *, split: str | None = None, config: str | None = None) -> str:
    """What a corpus is called in results: its path or id, and which part was asked for."""
    part = ", ".join(f"{kind} {name}" for kind, name in (("config", config), ("split", split)) if name is not None)
    return (str(source) if isinstance(source, (str, Path)) else "dataset") + (f" ({part})" if part else "")


def _local(source: str | Path) -> Path | None:
    """The file or folder of that name; ``None`` for a name that can only be one of the hub."""
    name = str(source)
    try:
        path = Path(source).expanduser()
        if name.strip() and (path.is_file() or path.is_dir()):
            return path
        special = bool(name.strip()) and path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, no such user
        raise WindowError(f"{name!r} is no path: {error}") from error
    if special:
        raise WindowError(f"{name} is neither a file nor a folder; write what it gives to a file first")
    if isinstance(source, Path) or not _may_be_on_hub(name):
        raise WindowError(
            f"there is no file or directory {name!r}, and a dataset on the hub is called owner/name, without a suffix"
        )
    return None


def _may_be_on_hub(name: str) -> bool:
    """Whether a name is ``owner/name`` and not a path with a mistake in it."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    owner, slash, _ = name.partition("/")
    return bool(slash) and not re.search(r"\.[A-Za-z]{2,}\d?$", name) and not Path(owner).exists()


def _is_stored_dataset(path: Path) -> bool:
    return (path / "state.json").exists() or (path / "dataset_dict.json").exists()


def _files(path: Path, split: str | None, tally: Tally) -> Iterator[tuple[Path, str]]:
    """The files of a split, each with its name in the folder."""
    if path.is_file():
        _choose({"train": path}, split, str(path))
        yield path, path.name
        return
    files, others = list_files(path)
    chosen = _choose(splits(files, path), split, str(path))
    tally.other_files += len(others) + len(files) - len(chosen)
    for file in chosen:
        yield file, file.relative_to(path).as_posix()


def _total(files: Sequence[tuple[Path, str]]) -> int | None:
    """Bytes of all files; ``None`` where one of them is not to be had, which is refused when it is opened."""
    try:
        return sum(file.stat().st_size for file, _ in files)
    except OSError:
        return None


def _n_rows(dataset: Dataset | IterableDataset) -> int | None:
    """Rows of a dataset, where it says how many."""
    if isinstance(dataset, Dataset):
        return len(dataset)
    known = (dataset.info.splits or {}).get(str(dataset.split))
    return None if known is None else known.num_examples


def _open(source: Source, path: Path | None, config: str | None) -> Any:
    if not isinstance(source, (str, Path)):
        return source
    if path is not None:
        return load_from_disk(str(path))
    return load_dataset(str(source), name=config, streaming=True)


def _choose(found: Mapping[str, T], split: str | None, where: str) -> T:
    """The split asked for of several; without a wish "train", or the only one."""
    names = sorted(found)
    wanted = split or ("train" if "train" in found or len(names) != 1 else names[0])
    if wanted not in found:
        raise WindowError(f"{where} has no split {wanted!r}; it has {', '.join(names)}: choose one")
    return found[wanted]
