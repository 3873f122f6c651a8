"""How many heads must go before memorization does?

    python experiments/cumulative_ablation.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Heads ablated together, the most important first, beside random orders. The ranking is made on half of the memorized
windows' documents, the curve on the other half. Beside it, all heads of a layer together, layer by layer, on memorized
and unmemorized windows.
"""

from __future__ import annotations

from experiment import experiment

from interp.measurements.cumulative import CUMULATIVE, CumulativeSettings

if __name__ == "__main__":
    experiment(__doc__, (CUMULATIVE, CumulativeSettings(layers=True, at_most=64)), per_set=32)
