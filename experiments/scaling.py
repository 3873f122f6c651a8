"""Is the memorization rate log-linear in size within a family, and how far are families apart at one size?

    python experiments/scaling.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Rates by size with linear and logistic fits, ratios between families at each size, windows moving between score bins,
rate against repetition with the count at which half is memorized, and the histogram of scores.
"""

from __future__ import annotations

from experiment import compare, parse, scores

from interp.comparisons.rates import HISTOGRAM, HistogramSettings
from interp.comparisons.scaling import (
    DOSE_RESPONSE,
    RATIOS,
    SCALING,
    TRANSITIONS,
    DoseResponseSettings,
    RatiosSettings,
    ScalingSettings,
    TransitionsSettings,
)

if __name__ == "__main__":
    args = parse(__doc__, per_set=None)
    compare(
        scores(args, args.out),
        args.out,
        (SCALING, ScalingSettings()),
        (RATIOS, RatiosSettings()),
        (TRANSITIONS, TransitionsSettings()),
        (DOSE_RESPONSE, DoseResponseSettings()),
        (HISTOGRAM, HistogramSettings()),
        seed=args.seed,
    )
