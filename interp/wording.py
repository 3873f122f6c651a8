"""Numbers in sentences, in one way."""

from __future__ import annotations

import math

from interp.stats import Estimate, no_interval


def percent(estimate: Estimate) -> str:
    """A share with its interval, all three to the same decimals: ``"97.0 % [94.1, 98.6]"``.

    As many decimals as the width of the interval needs for two digits, 4 at most. Or why there is no interval.
    """
    value, low, high = (100 * x for x in (estimate.value, estimate.low, estimate.high))
    if math.isnan(value):
        return "not measured"
    width = high - low
    digits = min(4, max(0, 1 - math.floor(math.log10(width) + 1e-9))) if width > 0 else 1
    # Rounded first: what floating point leaves of a 0 may be negative, and "-0.0" would be said.
    shown = [f"{round(x, digits) + 0.0:.{digits}f}" for x in (value, low, high)]
    interval = f"({no_interval(estimate.n_clusters)})" if math.isnan(width) else f"[{shown[1]}, {shown[2]}]"
    return f"{shown[0]} % {interval}"
