"""Checked copies of the caller's values: the token ids, names and numbers that windows own.

Valid values are copied and all others refused with ``WindowError``. Nothing is rounded, cut or guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interp.errors import InterpError


class WindowError(InterpError, ValueError):
    """The windows do not fit the model, or would give a wrong number."""


def check_number(option: str, number: object) -> None:
    """Refuse a value that is not a number of windows or tokens.

    Raises:
        WindowError: the value is not a whole number of at least 1.
    """
    if not isinstance(number, (int, np.integer)) or number < 1:
        raise WindowError(f"{option} must be at least 1, not {number!r}; a whole number")


def token_ids(ids: Any) -> Int[Tensor, "window pos"]:
    """A matrix of token ids, copied to an int64 tensor.

    Raises:
        WindowError: the ids are not a matrix of integers, or exceed 64 bits.
    """
    given = _array(ids, "token ids")
    if given.ndim != 2 or given.dtype.kind not in "iu":
        raise WindowError(f"token ids must be a matrix of integers, not {given.dtype} of shape {given.shape}")
    # A tensor made in inference mode could never be used for gradients.
    with torch.inference_mode(False):
        return torch.from_numpy(_int64(given, "token ids"))


def window_ids(ids: Any) -> Int[np.ndarray, " window"]:
    """Window ids as a read-only int64 array.

    Raises:
        WindowError: the ids are not a list of distinct whole numbers from 0 on.
    """
    given = _array(ids, "window ids")
    if given.size == 0:
        given = given.astype(np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise WindowError(f"window ids must be a list of whole numbers, not {given.dtype} of shape {given.shape}")
    owned = _int64(given, "window ids")
    if (owned < 0).any():
        raise WindowError(f"window id {owned.min()} is below 0; ids fix random draws and count from 0")
    if len(np.unique(owned)) != len(owned):
        raise WindowError("window ids are not unique; per-window results would be ambiguous")
    return _read_only(owned)


def names(values: Any, what: str) -> Shaped[np.ndarray, " window"]:
    """Names as a read-only array of objects.

    Raises:
        WindowError: the names are not a list of texts or of whole numbers.
    """
    if isinstance(values, (str, bytes, Set, Mapping)) or not isinstance(values, Iterable):
        raise WindowError(f"{what} must be a list of names, one per window, not {type(values).__name__}")
    listed = _listed(_array(values, what) if isinstance(values, (Tensor, np.ndarray)) else values, what)
    plain = [v.item() if isinstance(v, np.generic) else v for v in listed]
    kinds = set(map(type, plain))
    if kinds != {int} and not all(issubclass(kind, str) for kind in kinds):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise WindowError(f"{what} must be all texts or all whole numbers, not {found}")
    if kinds != {int}:
        plain = [str.__str__(v) for v in plain]
        try:
            "".join(plain).encode()
        except UnicodeEncodeError as error:
            raise WindowError(f"{what} holds a name that is not text: {error}") from error
    owned = np.empty(len(plain), dtype=object)
    owned[:] = plain
    return _read_only(owned)


def counts(values: Any) -> Float[np.ndarray, " window"]:
    """Counts as a read-only float64 array.

    Raises:
        WindowError: the counts are not a list of numbers of at least 0, or NaN where unknown.
    """
    given = _array(values, "count")
    if given.ndim != 1 or given.dtype.kind not in "iuf":
        raise WindowError(
            f"count must be a list of numbers, NaN where unknown, not {given.dtype} of shape {given.shape}"
        )
    owned = given.astype(np.float64)
    if (owned < 0).any() or np.isinf(owned).any():
        raise WindowError(
            f"count {owned[(owned < 0) | np.isinf(owned)][0]} is not a number of times; give NaN where it is unknown"
        )
    return _read_only(owned)


def _array(values: Any, what: str) -> np.ndarray:
    """The values as an array, possibly the caller's own."""
    if isinstance(values, np.ma.MaskedArray):
        raise WindowError(f"{what} are masked; select the valid entries")
    try:
        return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    # An object's own conversion may raise any exception.
    except Exception as error:
        raise WindowError(f"{what} cannot be read as an array: {error}") from error


def _listed(values: Iterable[Any], what: str) -> list[Any]:
    try:
        return list(values)
    except Exception as error:
        raise WindowError(f"{what} cannot be read as a list: {error}") from error


def _int64(values: np.ndarray, what: str) -> Int[np.ndarray, ...]:
    """A copy in int64. Refuses numbers that do not fit."""
    if values.dtype.kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise WindowError(f"{what} go up to {values.max()}, beyond any vocabulary")
    return np.array(values, dtype=np.int64, order="C")


def _read_only(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
