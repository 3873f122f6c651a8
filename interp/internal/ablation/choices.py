"""The named choices of an ablation. A module of its own, so that the command line need not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from interp.errors import InterpError
from interp.several import several


class AblationError(InterpError, ValueError):
    """The ablation cannot be done, or its result would be misleading."""


Method = Literal["zero", "mean", "resample", "peer_mean"]
"""The replacement of an ablated head; see ``interp.internal.ablation.replacement``."""

Metric = Literal["log_prob", "rate", "score"]
"""The quantity whose fall is the importance."""

MeanOver = Literal["position", "all"]
"""For ``mean``: per position, or over all positions."""

Group = Literal["memorized", "unmemorized", "matched"]
"""Groups of windows by memorization."""


def metrics_asked(metrics: Metric | Sequence[Metric]) -> tuple[Metric, ...]:
    """The requested metrics.

    Raises:
        AblationError: a metric is unknown, or none is given.
    """
    asked: tuple[Metric, ...] = several(metrics)
    if not asked or set(asked) - set(get_args(Metric)):
        raise AblationError(f"metrics {list(asked)!r}: choose at least one of {', '.join(get_args(Metric))}")
    return asked
