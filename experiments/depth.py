"""How far does recitation go on past the continuation?

    python experiments/depth.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

The small models were trained on texts of 64 tokens, so here 16 tokens are given, the next 16 are the continuation that
makes a window memorized, and up to 32 more are tried. Windows still exact at the end are censored, not counted as
missed.
"""

from __future__ import annotations

from experiment import EVERY, experiment

from interp.measurements.depth import DEPTH, DepthSettings

if __name__ == "__main__":
    experiment(__doc__, (DEPTH, DepthSettings()), sets=EVERY, per_set=None)
