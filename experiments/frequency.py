"""Do memorized windows stand in the corpus more often, and does frequency jump where the continuation begins?

    python experiments/frequency.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

An index of what the small models were shown, exact counts of n-grams (1 to 8) at every position and of whole windows,
for memorized, unmemorized (M = 0) and matched windows. The index must give back the planted counts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from extracted import experiment_windows, parse, scores_table
from grouped import write_figure
from transformers import AutoTokenizer

from interp.curves import memorization_groups
from interp.data.counts.build import build_index
from interp.data.counts.documents import shown_documents
from interp.data.counts.manifest import tokenizer_fingerprint
from interp.figures.frequency import draw_boundary, draw_frequency
from interp.files import safe_name
from interp.models.small import TOKENIZER, VOCAB_SIZE
from interp.results import write_table
from interp.statistical.frequency import frequency
from interp.statistical.matching import MatchingError, match


def main() -> None:
    args = parse(__doc__)
    scores, provenance = scores_table(args.scores, args.models, per_set=args.per_set, seed=args.seed)
    windows = experiment_windows(per_set=args.per_set, seed=args.seed)
    index = build_index(
        shown_documents(),
        args.out / "index",
        d_vocab=VOCAB_SIZE,
        tokenizer=tokenizer_fingerprint(AutoTokenizer.from_pretrained(TOKENIZER)),
        source="windows as shown to the small models",
    )
    counted = frequency(index, windows)
    wrong = int((counted.table["window_count"].to_numpy() != windows.count).sum())
    print(f"planted counts that the index does not give back: {wrong} of {len(windows)}")
    write_table(counted.to_frame(), args.out / "window_counts.parquet", counted.provenance)

    tables: dict[str, list[pd.DataFrame]] = {"curves": [], "boundary": [], "whole": [], "balance": []}
    for name, group in scores.groupby("model", sort=False):
        rows = group.set_index("window").loc[windows.window].reset_index()
        score = rows["score"].to_numpy()
        covariates = rows.assign(log_count_1=counted.to_frame()["log_count_1"])
        try:
            matching = match(covariates, on=["log_count_1"], control=score == 0)
        except MatchingError as error:
            print(f"{name}: passed over, {error}")
            continue
        groups = memorization_groups(score, matched=matching.controls)
        tables["curves"].append(counted.curves(groups, seed=args.seed).assign(model=name))
        tables["boundary"].append(counted.boundary(groups, seed=args.seed).assign(model=name))
        tables["whole"].append(counted.whole(groups, seed=args.seed).assign(model=name))
        tables["balance"].append(matching.balance.assign(model=name, n_unmatched=matching.n_unmatched))
        sizes = ", ".join(f"{np.sum(mask)} {kind}" for kind, mask in groups.items())
        caption = (
            f"{name}: {sizes} windows; matched: the same domain, nearest in mean log frequency of single tokens. "
            "95 % bands, documents resampled."
        )
        write_figure(
            draw_frequency(tables["curves"][-1].drop(columns="model"), caption=caption),
            args.out / f"{safe_name(str(name))}.html",
        )
        write_figure(
            draw_boundary(tables["boundary"][-1], caption=caption), args.out / f"{safe_name(str(name))}-boundary.html"
        )
    for table, parts in tables.items():
        if parts:
            write_table(pd.concat(parts, ignore_index=True), args.out / f"{table}.parquet", provenance)


if __name__ == "__main__":
    main()
