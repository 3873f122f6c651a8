"""Does structural text dominate what is memorized, and does scaling add free text (arXiv 2603.21658, domains)?

    python experiments/domains.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

Rate in each domain, each domain's share of the memorized windows and the structural share, by model, beside the
shares among the windows asked about. Every domain has as many windows of every repetition count.
"""

from __future__ import annotations

from experiment import FIGURES, compare, parse, scores

from interp.comparisons.domains import DOMAINS, DomainsSettings

if __name__ == "__main__":
    args = parse(__doc__, per_set=None)
    compare(scores(args, FIGURES / "scaling"), args.out, (DOMAINS, DomainsSettings()), seed=args.seed)
