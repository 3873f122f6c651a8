"""Turns settings into options of a command: each field becomes one, with its help, limits and default."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ModelArgument = Annotated[str, typer.Argument(help="registry name (see `interp models`), hub id or local directory")]


def parameter(name: str, annotation: Any, *default: Any) -> inspect.Parameter:
    """A parameter of a command. It is required if it has no default."""
    given = {"default": default[0]} if default else {}
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **given)


def option_of(settings: type, name: str) -> Any:
    """One field as an option, for a command written by hand."""
    return next(made.annotation.__metadata__[0] for made in options(settings) if made.name == name)


def options(settings: type, defaults: Mapping[str, Any] | None = None) -> list[inspect.Parameter]:
    """A parameter of a typer command for each field of some settings.

    Args:
        settings: declared with ``interp.measurements.settings.settings``.
        defaults: defaults that replace the fields' own.
    """
    hints = get_type_hints(settings)
    return [_option(field.name, hints[field.name], field.default, defaults or {}) for field in fields(settings)]


def _option(name: str, hint: Any, told: Any, defaults: Mapping[str, Any]) -> inspect.Parameter:
    assert isinstance(told, FieldInfo), name
    kind, several = _kind(hint)
    numbers = {int, float, int | None, float | None}
    limits: dict[str, Any] = {"min": _limit(told, "ge"), "max": _limit(told, "le")} if kind in numbers else {}
    extra: Any = told.json_schema_extra or {}
    names = [extra["option"]] if "option" in extra else []
    if kind is bool:
        names = names or [f"--{name.replace('_', '-')}"]  # without --no-...
    if several and get_origin(kind) is Literal:  # typer accepts lists of enumerations only
        kind = _enumeration(name, get_args(kind))
    default = defaults.get(name, told.default)
    given = () if default is PydanticUndefined else (_listed(default, several),)
    annotation = Annotated[list[kind] if several else kind, typer.Option(*names, help=told.description, **limits)]  # type: ignore[valid-type]
    return parameter(name, annotation, *given)


def _enumeration(name: str, values: Sequence[str]) -> Any:
    made: Any = StrEnum
    return made(name, {value: value for value in values})


def plain(given: Any) -> Any:
    """The values from typer in the form of settings: names instead of the enumerations made by ``options``."""
    if isinstance(given, list):
        return [plain(value) for value in given]
    return given.value if isinstance(given, StrEnum) else given


def _listed(default: Any, several: bool) -> Any:
    return list(default) if several and default is not None else default


def _limit(told: FieldInfo, name: str) -> float | int | None:
    return next((getattr(rule, name) for rule in told.metadata if hasattr(rule, name)), None)


def _kind(hint: Any) -> tuple[Any, bool]:
    """Type of an option, and whether it may be given several times."""
    if get_origin(hint) in {Union, types.UnionType}:
        inner, none = (arg for arg in get_args(hint) if arg is not type(None)), type(None)
        kind, several = _kind(next(inner))
        return (kind if several else kind | none), several
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False
