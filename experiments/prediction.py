"""What does repetition explain of memorization, and what is left?

    python experiments/prediction.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

For each model a logistic regression of M = 1 on the repetition count, the compressed size of the text, the
log-probability of the prefix and the domain, cross-validated by document: AUC of all, of each alone, of all but each,
and of shuffled outcomes; calibration. Again among memorized windows and others that were shown as often.
"""

from __future__ import annotations

from experiment import EVERY, experiment

from interp.measurements.predict import PREDICT, PredictSettings

if __name__ == "__main__":
    experiment(__doc__, (PREDICT, PredictSettings()), sets=EVERY, per_set=None)
    experiment(__doc__, (PREDICT, PredictSettings(matched=True)), sets=EVERY, per_set=None, folder="matched")
