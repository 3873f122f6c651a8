"""Opens a corpus: a file, a folder, a stored dataset or a dataset on the hub; and chooses its split."""

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
    """Rows of a corpus, in order, with the needed columns. Look up values with ``columns.look_up``.

    Args:
        source: a file or a folder of files that ``interp.data.local`` reads, a folder written by ``save_to_disk``, a
            dataset on the hub (``owner/name``), or an opened dataset. Only a hub dataset uses the network.
        columns: the needed columns. A path names a nested column (``meta.pile_set_name``).
        split: the split to read. Default: "train", or the only one.
        config: configuration of a hub dataset.
        tally: counts files that were not read.
        progress: show a bar: of bytes for files, otherwise of rows. The time left is shown if the dataset's length is
            known. Or a function that is called instead of the bar.

    Raises:
        WindowError: the file, folder, split or column does not exist, or the corpus cannot be read.
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
                f"{type(dataset).__name__} is not a corpus: give a path, a hub id or a dataset of the datasets library"
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
    """Name of a corpus in results: its path or id, and the part that was read."""
    part = ", ".join(f"{kind} {name}" for kind, name in (("config", config), ("split", split)) if name is not None)
    return (str(source) if isinstance(source, (str, Path)) else "dataset") + (f" ({part})" if part else "")


def _local(source: str | Path) -> Path | None:
    """The file or folder of that name; ``None`` if the name can only be on the hub."""
    name = str(source)
    try:
        path = Path(source).expanduser()
        if name.strip() and (path.is_file() or path.is_dir()):
            return path
        special = bool(name.strip()) and path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, no such user
        raise WindowError(f"{name!r} is not a path: {error}") from error
    if special:
        raise WindowError(f"{name} is neither a file nor a folder; write its content to a file first")
    if isinstance(source, Path) or not _may_be_on_hub(name):
        raise WindowError(
            f"there is no file or directory {name!r}; a dataset on the hub is called owner/name, without a suffix"
        )
    return None


def _may_be_on_hub(name: str) -> bool:
    """Whether a name is ``owner/name`` and not a mistyped path."""
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
    """Bytes of all files. ``None`` if one is missing; opening it will refuse it."""
    try:
        return sum(file.stat().st_size for file, _ in files)
    except OSError:
        return None


def _n_rows(dataset: Dataset | IterableDataset) -> int | None:
    """Number of rows of a dataset, if known."""
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
    """The requested split. Default: "train", or the only one."""
    names = sorted(found)
    wanted = split or ("train" if "train" in found or len(names) != 1 else names[0])
    if wanted not in found:
        raise WindowError(f"{where} has no split {wanted!r}; it has {', '.join(names)}: choose one")
    return found[wanted]
