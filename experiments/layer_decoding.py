"""Do memorized tokens pass p > 0.5 before the last layer (arXiv 2603.21658, layer decoding)?

    python experiments/layer_decoding.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Every quantity of the lens by layer, before and after attention, for memorized, unmemorized and matched windows; the
layer from which p > 0.5 holds; beside the plain lens a tuned one, trained on background windows.
"""

from __future__ import annotations

from experiment import experiment

from interp.measurements.lens import LENS, LensSettings

if __name__ == "__main__":
    experiment(
        __doc__,
        (LENS, LensSettings(after_attention=True, tuned=True, positions=True)),
        per_set=16,
        without=["decoding"],
    )
