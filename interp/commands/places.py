"""Where a command writes: known to be right before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OUTPUTS = {"out": "--out", "page": "--out", "figure": "--figure", "cache": "--cache"}
FOLDERS = {"parts": "--parts", "folder": "--folder"}
INPUTS = {
    "model": "the model",
    "tables": "a table",
    "corpus": "the corpus",
    "index": "--index",
    "tokenizer": "--tokenizer",
}


def check_places(given: Mapping[str, Any], *, folders: Sequence[str] = ()) -> None:
    """Refuse outputs that cannot be written, or that would be written over an input or over one another.

    Args:
        given: arguments of a command by the names of its parameters; those that name no place are passed over.
        folders: outputs that are folders in this command.

    Raises:
        OutputError: see ``interp.files.check_outputs``; a suffix that promises another format.
    """
    from interp.files import PAGE_SUFFIXES, TABLE_SUFFIXES, check_outputs, check_suffix

    options = OUTPUTS | FOLDERS
    asked = {name: given[name] for name in options if given.get(name) is not None}
    inside = {name for name in asked if name in FOLDERS or name in folders}
    for name, suffixes in {"out": TABLE_SUFFIXES, "page": PAGE_SUFFIXES, "figure": PAGE_SUFFIXES}.items():
        if name in asked and name not in inside:
            check_suffix(asked[name], suffixes, option=options[name])
    check_outputs(
        {options[name]: path for name, path in asked.items() if name not in inside},
        {name: given.get(parameter) for parameter, name in INPUTS.items()},
        folders={options[name]: path for name, path in asked.items() if name in inside},
    )
