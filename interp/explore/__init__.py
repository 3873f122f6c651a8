"""The head explorer, in a notebook and as a page. ``interp.explore(...)`` is the function, and this its package."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A callable package, because Python puts it in the place of the function of the same name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from interp.explore.explorer import explore

        return explore(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
