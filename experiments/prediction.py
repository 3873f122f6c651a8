"""What does repetition explain of memorization, and what is left?

    python experiments/prediction.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

For each model a logistic regression of M = 1 on the repetition count, the compressed size of the text, the
log-probability of the prefix and the domain, cross-validated by document: AUC of all, of each alone, of all but each,
and of shuffled outcomes; calibration. Again among memorized windows and others that were shown as often.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from extracted import by_size, experiment_windows, parse, scores_table
from grouped import write_figure
from transformers import AutoTokenizer

from interp.figures.prediction import draw_auc, draw_reliability
from interp.models.registry import find
from interp.models.small import TOKENIZER
from interp.results import write_table
from interp.statistical.groups import equally_shown
from interp.statistical.prediction import FACTORS, UNMATCHED, Prediction, predict
from interp.statistical.rates import ScoresError, estimates_frame
from interp.statistical.text_size import text_size


def main() -> None:
    args = parse(__doc__)
    scores, provenance = scores_table(args.scores, args.models, per_set=args.per_set, seed=args.seed)
    windows = experiment_windows(per_set=args.per_set, seed=args.seed)
    size = text_size(AutoTokenizer.from_pretrained(TOKENIZER), windows)
    bits = pd.Series(size.zlib, index=windows.window)
    factors = scores.assign(log2_count=np.log2(1 + scores["count"]), compressed_bits=scores["window"].map(bits))
    of_models = {str(name): group for name, group in factors.groupby("model", sort=False)}
    results = {name: predicted(group, seed=args.seed) for name, group in of_models.items()}
    equal = {name: predicted(group, seed=args.seed, equally=True) for name, group in of_models.items()}
    if not (any(results.values()) and any(equal.values())):
        raise SystemExit("too few windows, or all memorized or none: give more")
    auc, matched = (stacked(found, Prediction.to_frame) for found in (results, equal))
    reliability = stacked(results, lambda result: result.reliability.to_frame())
    brier = stacked(
        results,
        lambda result: estimates_frame([result.brier, result.brier_of_rate]).assign(
            of=["all factors", "the rate alone"]
        ),
    )
    tables = {"auc": auc, "auc_matched": matched, "reliability": reliability, "brier": brier}
    for name, table in tables.items():
        write_table(table, args.out / f"{name}.parquet", provenance)
    panels = {"panel": "size", "line": "family"}
    caption = f"{len(windows)} windows, five folds of documents; 95 % intervals, documents resampled."
    write_figure(draw_auc(auc, caption=caption, **panels), args.out / "auc.html")
    write_figure(draw_reliability(reliability, caption=caption, **panels), args.out / "reliability.html")
    caption = (
        "Memorized windows and as many others of the same domains that were shown as often, so that neither count nor "
        f"domain tells them apart. {matched['n'].min()} to {matched['n'].max()} windows a model, five folds of "
        "documents; 95 % intervals, documents resampled."
    )
    write_figure(draw_auc(matched, caption=caption, **panels), args.out / "auc-matched.html")


def predicted(factors: pd.DataFrame, *, seed: int, equally: bool = False) -> Prediction | None:
    """Prediction of one model's windows, or of those shown equally often; ``None`` where too few are left."""
    try:
        table = equally_shown(factors, seed=seed) if equally else factors.reset_index(drop=True)
        return predict(table, factors=UNMATCHED if equally else FACTORS, seed=seed)
    except ScoresError as error:
        print(f"{factors['model'].iloc[0]}{' where shown equally often' if equally else ''}: passed over, {error}")
        return None


def stacked(results: dict[str, Prediction | None], table: Callable[[Prediction], pd.DataFrame]) -> pd.DataFrame:
    """A table of every model's result, in order of size and family."""
    parts = [
        table(result).assign(model=name, family=find(name).family, size=name.rsplit("-", 1)[1])
        for name, result in results.items()
        if result is not None
    ]
    return by_size(pd.concat(parts, ignore_index=True))


if __name__ == "__main__":
    main()
