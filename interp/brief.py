"""Short reprs: a notebook shows a result in one or two lines, never its arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

_LONGEST = 400
_LONGEST_FACT = 60
_WRITTEN_OUT = 4
"""Longest sequence or mapping that is shown in full."""


class Brief:
    """Base of the dataclasses that hold arrays, tables, tensors or models. Declare them with ``repr=False``.

    If they hold arrays, declare them with ``eq=False`` too: arrays have no single truth value, so a comparison would
    raise. Two results are then equal only if they are the same object.
    """

    def found(self) -> str:
        """Headline that replaces the plain fields; quick to compute. Empty by default."""
        return ""

    def __repr__(self) -> str:
        said, held = [self.found()], []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name, None)
            if isinstance(value, Brief) and field.name in {"windows", "provenance"}:
                said.append(value.found())
            elif _shape(value) is not None:
                held.append(f"{field.name} {_shape(value)}")
            elif not said[0]:
                said.append(f"{field.name}={shortened(_brief(value), _LONGEST_FACT)}")
        first = f"{type(self).__name__}: {'; '.join(filter(None, said))}"
        second = f"\n  holds {', '.join(held)}" if held else ""
        half = _LONGEST // 2
        return shortened(first, _LONGEST - min(len(second), half)) + shortened(second, half)


def _shape(value: Any) -> str | None:
    """The shape of an array, table or tensor, as ``8 x 64``."""
    shape = getattr(value, "shape", None)
    return " x ".join(map(str, shape)) if isinstance(shape, tuple) and shape else None


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        pairs = (f"{key}: {_brief(entry)}" for key, entry in value.items())
        return f"{{{', '.join(pairs)}}}" if len(value) <= _WRITTEN_OUT else f"{len(value)} entries"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_brief, value))})" if len(value) <= _WRITTEN_OUT else f"{len(value)} entries"
    # Objects without a ``__str__`` of their own (a model, a generator) are shown as their type.
    own = type(value).__str__ is not object.__str__ or type(value).__module__ == "builtins"  # type: ignore[comparison-overlap]
    return _shape(value) or (str(value) if own else f"<{type(value).__name__}>")


def shortened(text: str, longest: int) -> str:
    """A text cut to ``longest`` characters, with dots if it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."
