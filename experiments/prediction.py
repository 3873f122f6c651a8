"""What does repetition explain of memorization, and what is left?

    python experiments/prediction.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

For each model a logistic regression of M = 1 on the repetition count, the compressed size of the text, the
log-probability of the prefix and the domain, cross-validated by document: AUC of all, of each alone, of all but each,
and of shuffled outcomes; calibration. Again among memorized windows and others that were shown as often.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from extracted import experiment_windows, parse, scores_table
from grouped import write_figure
from transformers import AutoTokenizer

from interp.figures.prediction import draw_auc, draw_reliability
from interp.models.small import TOKENIZER
from interp.results import write_table
from interp.statistical.groups import equally_shown
from interp.statistical.prediction import Prediction, predict
from interp.statistical.rates import ScoresError
from interp.statistical.text_size import text_size


def at_one_count(factors: pd.DataFrame, seed: int) -> Prediction | None:
    """Prediction among windows that were shown equally often; ``None`` where too few are left."""
    try:
        return predict(equally_shown(factors), seed=seed)
    except ScoresError as error:
        print(f"{factors['model'].iloc[0]}: passed over where shown equally often, {error}")
        return None


def main() -> None:
    args = parse(__doc__)
    scores, provenance = scores_table(args.scores, args.models, per_set=args.per_set, seed=args.seed)
    windows = experiment_windows(per_set=args.per_set, seed=args.seed)
    size = text_size(AutoTokenizer.from_pretrained(TOKENIZER), windows)
    bits = pd.Series(size.zlib, index=windows.window)
    factors = scores.assign(log2_count=np.log2(1 + scores["count"]), compressed_bits=scores["window"].map(bits))
    results: dict[str, Prediction] = {}
    for name, group in factors.groupby("model", sort=False):
        try:
            results[str(name)] = predict(group.reset_index(drop=True), seed=args.seed)
        except ScoresError as error:
            print(f"{name}: passed over, {error}")
    auc = [result.to_frame().assign(model=name) for name, result in results.items()]
    reliability = [result.reliability.to_frame().assign(model=name) for name, result in results.items()]
    brier = [
        {"model": name, "of": of, "value": e.value, "low": e.low, "high": e.high}
        for name, result in results.items()
        for of, e in (("all factors", result.brier), ("the rate alone", result.brier_of_rate))
    ]
    write_table(pd.concat(auc, ignore_index=True), args.out / "auc.parquet", provenance)
    write_table(pd.concat(reliability, ignore_index=True), args.out / "reliability.parquet", provenance)
    write_table(pd.DataFrame(brier), args.out / "brier.parquet", provenance)
    caption = f"{len(windows)} windows, five folds of documents; 95 % intervals, documents resampled."
    write_figure(draw_auc(results, caption=caption), args.out / "auc.html")
    equal = {
        name: result
        for name, group in factors.groupby("model", sort=False)
        if (result := at_one_count(group, args.seed))
    }
    write_table(
        pd.concat([result.to_frame().assign(model=name) for name, result in equal.items()], ignore_index=True),
        args.out / "auc_matched.parquet",
        provenance,
    )
    caption = (
        "Memorized windows and as many others of the same domains that were shown as often: count and domain cannot "
        "tell them apart. Five folds of documents; 95 % intervals, documents resampled."
    )
    write_figure(draw_auc(equal, caption=caption), args.out / "auc-matched.html")
    write_figure(draw_reliability(results, caption=caption), args.out / "reliability.html")


if __name__ == "__main__":
    main()
