"""How much of its prefix does a memorized window need?

    python experiments/compression_ratio.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

The shortest last part of the prefix that still gives the whole continuation, and the shortest from which every longer
part does too, over all 32 lengths. Beside it the compressed size of the window's own text, of memorized windows, of
others, and of others shown as often, so that predictable text is told from text seen often.
"""

from __future__ import annotations

from experiment import EVERY, experiment

from interp.measurements.compress import COMPRESS, CompressSettings

if __name__ == "__main__":
    experiment(__doc__, (COMPRESS, CompressSettings()), sets=EVERY, per_set=None)
