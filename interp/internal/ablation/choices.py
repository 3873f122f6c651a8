"""What can be chosen about an ablation, by name. Apart from the rest: the command line must not wait for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from interp.errors import InterpError
from interp.several import several


class AblationError(InterpError, ValueError):
    """An ablation that cannot be done, or whose result would not mean what it says."""


Method = Literal["zero", "mean", "resample", "peer_mean"]
"""What stands in for an ablated head; see ``interp.internal.ablation.replacement``."""

Metric = Literal["log_prob", "rate", "score"]
"""What its importance is measured in."""

MeanOver = Literal["position", "all"]
"""For ``mean``: at each position, or over all."""

Group = Literal["memorized", "unmemorized", "matched"]
"""Windows by what the model recites of them."""


def metrics_asked(metrics: Metric | Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics that are asked for.

    Raises:
        AblationError: an unknown metric, or none at all.
    """
    asked: tuple[Metric, ...] = several(metrics)
    if not asked or set(asked) - set(get_args(Metric)):
        raise AblationError(f"metrics {list(asked)!r}: choose at least one of {', '.join(get_args(Metric))}")
    return asked
