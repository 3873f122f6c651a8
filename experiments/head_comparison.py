"""Which heads carry memorized text, in which domains, in which families (arXiv 2603.21658, head importance)?

    python experiments/head_comparison.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Reads what ``head_ablation.py`` left in ``figures/`` (the paper's method, memorized windows): what each window loses by
each head, nats a token. Compares the top heads of a model's domains, and the models by importance over relative depth
and by sorted importance. Beside it: what the heads look at while memorized windows are predicted, and how that goes
with importance.
"""

from __future__ import annotations

from experiment import FIGURES, compare, experiment, parse

from interp.comparisons.heads import HEADS, HeadsSettings
from interp.measurements.attention import ATTENTION, AttentionSettings

if __name__ == "__main__":
    args = parse(__doc__, per_set=16)
    experiment(__doc__, (ATTENTION, AttentionSettings(importance=True, method="peer_mean")), per_set=16)
    compare(
        FIGURES / "head_ablation" / "by_window.parquet",
        args.out,
        (HEADS, HeadsSettings(method="peer_mean")),
        seed=args.seed,
    )
