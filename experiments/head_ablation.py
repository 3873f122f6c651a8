"""Which heads carry memorized text, and do the four ablation methods and the fast estimate name the same ones?

    python experiments/head_ablation.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Every head of every model ablated alone, by each method, on memorized windows and (log-probability) on unmemorized ones;
the gradient estimate beside it, plain and integrated; agreement of all pairs; direct shares of the true token's logit.
"""

from __future__ import annotations

from experiment import experiment

from interp.internal.ablation.choices import Group
from interp.measurements.ablate import ABLATE, AblateSettings
from interp.measurements.attribute import ATTRIBUTE, AttributeSettings

GROUPS: tuple[Group, ...] = ("memorized", "unmemorized")

if __name__ == "__main__":
    every = AblateSettings(
        methods=("zero", "mean", "resample", "peer_mean"), groups=GROUPS, estimate=True, by_window=True, at_most=64
    )
    experiment(__doc__, (ABLATE, every), (ATTRIBUTE, AttributeSettings(groups=GROUPS, at_most=64)), per_set=16)
