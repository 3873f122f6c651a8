"""Shows a head ablation as its map if it is the last line of a notebook cell.

It is registered with IPython by name, so head ablations do not depend on it, and nothing is loaded before one is shown.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.internal.ablation.heads import HeadAblation


def register() -> None:
    """Register with the running IPython, if there is one."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        formatter = shell.display_formatter.mimebundle_formatter
        formatter.for_type_by_name("interp.internal.ablation.heads", "HeadAblation", shown)


def shown(ablation: HeadAblation) -> Any:
    """A head ablation as an explorer, with its short repr as plain text."""
    from interp.explore.explorer import explore

    data, more = explore(ablation)._repr_mimebundle_()
    return {**data, "text/plain": repr(ablation)}, more
