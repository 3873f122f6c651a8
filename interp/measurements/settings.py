"""Settings: frozen, validated dataclasses whose fields become options of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from interp.errors import InterpError
from interp.several import several

_S = TypeVar("_S")
_T = TypeVar("_T")


def _each_once(given: tuple[_T, ...]) -> tuple[_T, ...]:
    """A repeated value would be measured twice and appear in a table as two results."""
    twice = [value for n, value in enumerate(given) if value in given[:n]]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice")
    return given


Several = Annotated[tuple[_T, ...], BeforeValidator(several), AfterValidator(_each_once)]
"""One or more distinct values. A single value is a sequence of one."""


class SettingsError(InterpError, ValueError):
    """A setting does not exist, or cannot have this value."""


def option(
    help: str, *, default: Any = ..., ge: float | int | None = None, le: float | int | None = None, name: str = ""
) -> Any:
    """A field of settings.

    Args:
        help: description, with the unit.
        default: default value. Without one, the option is required.
        ge, le: smallest and largest value.
        name: name of the option on the command line, such as ``--set``. Default: from the field's name.
    """
    return Field(default, description=help, ge=ge, le=le, json_schema_extra={"option": name} if name else None)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def settings(cls: type[_S]) -> type[_S]:
    """Declare settings: a frozen dataclass that refuses unknown fields and wrong values."""
    declared: Any = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(cls)
    return declared


def told(error: ErrorDetails) -> str:
    """What pydantic says is wrong, without the name of the exception that a check of ours raised."""
    return error["msg"].removeprefix("Value error, ")


def make(kind: type[_S], given: Mapping[str, Any]) -> _S:
    """Settings from the values of a command line or a file.

    Raises:
        SettingsError: says what is wrong, and what is allowed.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or kind.__name__}: {told(e)}" for e in error.errors())
        raise SettingsError(f"{wrong}. Given: {dict(given)}") from None
