"""Do later layers take noise back, and memorized windows less than others (arXiv 2603.21658, recovery)?

    python experiments/noise_recovery.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Noise on the first layer's residual stream, alpha 0 to 0.5: cosine, centred cosine and lens divergence by layer, and
rate, M and structural share, for memorized, unmemorized and matched windows. Beside it, which prefix tokens carry the
text: each replaced by another alone, and the first or last of them together.
"""

from __future__ import annotations

from experiment import experiment

from interp.measurements.noise import PERTURB, PerturbSettings
from interp.measurements.substitute import SUBSTITUTE, SubstituteSettings

if __name__ == "__main__":
    tokens = SubstituteSettings(draws=1, together=(2, 4, 8, 16, 32))
    experiment(__doc__, (PERTURB, PerturbSettings()), (SUBSTITUTE, tokens), per_set=12, without=["noise", "losses"])
