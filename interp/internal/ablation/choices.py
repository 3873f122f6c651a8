"""What can be chosen about an ablation, by name. Apart from the rest: the command line must not wait for torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Method = Literal["zero", "mean", "resample", "peer_mean"]
"""What stands in for an ablated head; see ``interp.internal.ablation.replacement``."""

Metric = Literal["log_prob", "rate", "score"]
"""What its importance is measured in."""

MeanOver = Literal["position", "all"]
"""For ``mean``: at each position, or over all."""

Group = Literal["memorized", "unmemorized", "matched"]
"""Windows by what the model recites of them."""

Progress = Callable[[int], object]
"""Told how many windows were done since the last call, of each head or set."""
