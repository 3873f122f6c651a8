"""Output places of a command, checked before anything is loaded."""

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
    """Refuse outputs that cannot be written, or that would overwrite an input or another output.

    Args:
        given: arguments of a command by parameter name. Those that are not places are ignored.
        folders: outputs of this command that are folders.

    Raises:
        OutputError: see ``interp.files.check_outputs``; or a suffix belongs to another format.
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
