"""A YAML file as plain values with their lines, so that errors can give the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from interp.errors import InterpError

Place = tuple[str | int, ...]
"""Path to a value: keys and positions."""


class StudyError(InterpError, ValueError):
    """A study file cannot be read, or refers to something that does not exist."""


@dataclass(frozen=True)
class Document:
    """The values of a file, and their lines."""

    path: Path
    values: dict[str, Any]
    lines: Mapping[Place, int]

    def where(self, place: Sequence[str | int]) -> str:
        """File and line of a value, or of the nearest enclosing one in the file."""
        inner = tuple(place)
        while inner and inner not in self.lines:
            inner = inner[:-1]
        return f"{self.path}, line {self.lines.get(inner, 1)}"


def read_document(path: Path) -> Document:
    """Read a file with a mapping.

    Raises:
        StudyError: the file is not UTF-8, YAML or a mapping, or has a key twice. Gives the line.
        OSError: no such file.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise StudyError(f"{path} has no keys and values; `interp init` writes an example")
        reader = _Reader(path, loader)
        return Document(path, reader.value(node, ()), reader.lines)
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not UTF-8 text: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise StudyError(f"{path}{line}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: {error}") from error


class _Reader:
    """Makes values from YAML nodes and records their lines."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path, self._loader = path, loader
        self._around: list[yaml.Node] = []
        self.lines: dict[Place, int] = {(): 1}

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        if any(node is outer for outer in self._around):
            raise StudyError(f"{self._path}, line {line}: an alias is inside its own anchor")
        self._around.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*place, i)) for i, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            return self._loader.construct_object(node)
        finally:
            self._around.pop()

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        known: set[str] = set()
        for key, line in [self._key(key_node) for key_node, _ in node.value]:
            if key in known:
                raise StudyError(f"{self._path}, line {line}: the key {key!r} occurs twice")
            known.add(key)
        self._loader.flatten_mapping(node)  # merged keys come first, and are overridden
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, self.lines[*place, key] = self._key(key_node)
            values[key] = self.value(value_node, (*place, key))
        return values

    def _key(self, node: yaml.Node) -> tuple[str, int]:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise StudyError(f"{self._path}, line {line}: a key must be a name")
        return node.value, line
