"""Settings: frozen dataclasses whose fields are options of a command, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from interp.errors import InterpError
from interp.several import several

_S = TypeVar("_S")
_T = TypeVar("_T")


def _each_once(given: tuple[_T, ...]) -> tuple[_T, ...]:
    """What is asked for twice would be measured twice, and stand in a table as two results."""
    twice = [value for n, value in enumerate(given) if value in given[:n]]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice")
    return given


Several = Annotated[tuple[_T, ...], BeforeValidator(several), AfterValidator(_each_once)]
"""One or more, none of them twice; a single one is a sequence of one."""


class SettingsError(InterpError, ValueError):
    """A setting that does not exist, or a value that it cannot have."""


def option(
    help: str, *, default: Any = ..., ge: float | int | None = None, le: float | int | None = None, name: str = ""
) -> Any:
    """A field of settings.

    Args:
        help: what it is, with its unit.
        default: its value unless another is given; it must be given if it has none.
        ge, le: the least and the largest value.
        name: of the option on the command line, such as ``--set``; made from the field's name unless given.
    """
    return Field(default, description=help, ge=ge, le=le, json_schema_extra={"option": name} if name else None)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def settings(cls: type[_S]) -> type[_S]:
    """Declare settings: a frozen dataclass that refuses unknown fields and wrong values."""
    declared: Any = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(cls)
    return declared


def make(kind: type[_S], given: Mapping[str, Any]) -> _S:
    """Settings of a kind from what a command line or a file gives.

    Raises:
        SettingsError: what is wrong, and what is allowed.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or kind.__name__}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{wrong}. Given: {dict(given)}") from None
