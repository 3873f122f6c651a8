"""Memory sizes as text, such as ``"2GiB"``."""

from __future__ import annotations

import re
from typing import TypeAlias

from pydantic import ByteSize, TypeAdapter, ValidationError

from interp.brief import shortened
from interp.errors import InterpError

Size: TypeAlias = int | str
"""Bytes, or a text such as ``"512MiB"``, ``"2GiB"``, ``"1.5 GB"``."""

_WRITTEN = re.compile(r"\s*[0-9.]+\s*[A-Za-z]*\s*")


class SizeError(InterpError, ValueError):
    """The size is not a number of bytes."""


def in_bytes(size: Size) -> int:
    """A size in bytes, at least 1.

    Raises:
        SizeError: the value is not such a size.
    """
    try:
        if isinstance(size, str) and not _WRITTEN.fullmatch(size):  # pydantic ignores what follows the unit
            raise ValueError(size)
        found = int(TypeAdapter(ByteSize).validate_python(size))
    except (ValidationError, ValueError, OverflowError):
        found = 0
    if isinstance(size, bool) or found < 1:
        given = shortened(repr(size), 40)
        raise SizeError(
            f"{given} is not a memory size: give bytes, or a number and a unit, such as 512MiB, 2GiB or 4GB"
        )
    return found
