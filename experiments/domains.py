"""Does structural text dominate what is memorized, and does scaling add free text (arXiv 2603.21658, domains)?

    python experiments/domains.py --out DIRECTORY [--models pythia-small-1.2m ...] [--per-set 16]

Rate in each domain, each domain's share of the memorized windows and the structural share, by model, beside the
shares among the windows asked about. Every domain has as many windows of every repetition count.
"""

from __future__ import annotations

from extracted import by_size, parse, scores_table
from grouped import write_figure

from interp.figures.domains import draw_domain_rates, draw_domain_shares, draw_structural_share
from interp.results import write_table
from interp.statistical.domains import domains


def main() -> None:
    args = parse(__doc__)
    scores, provenance = scores_table(args.scores, args.models, per_set=args.per_set, seed=args.seed)
    shown = by_size(scores[scores["count"] > 0])
    result = domains(shown, seed=args.seed)
    write_table(result.to_frame(), args.out / "domains.parquet", provenance)
    caption = f"{shown['window'].nunique()} windows shown 1 to 256 times, as many of each domain; 95 % intervals."
    write_figure(draw_domain_rates(result, caption=caption), args.out / "domain_rates.html")
    write_figure(draw_domain_shares(result, caption=caption), args.out / "domain_shares.html")
    by_family = domains(shown, by=("size", "family"), seed=args.seed)
    write_figure(
        draw_structural_share(by_family, of="size", line="family", caption=caption), args.out / "structural_share.html"
    )


if __name__ == "__main__":
    main()
