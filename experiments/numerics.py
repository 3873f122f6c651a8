"""How far do the flags depend on the number format and on the batch size?

    python experiments/numerics.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Extraction in bfloat16 and float16, and at other batch sizes, against float32 at a batch size of 64: the share of
windows whose flag M = 1 flips, the share with any other token, and the share with a near tie.
"""

from __future__ import annotations

from experiment import EVERY, experiment

from interp.measurements.numerics import NUMERICS, NumericsSettings

if __name__ == "__main__":
    experiment(__doc__, (NUMERICS, NumericsSettings()), sets=EVERY, per_set=None)
