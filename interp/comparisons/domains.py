"""Domains: which kinds of text are memorized."""

from __future__ import annotations

from typing import Any

from interp.comparisons.comparison import Compared, Comparison, Given, read_scores
from interp.measurements.measurement import Figures
from interp.measurements.settings import Several, option, settings
from interp.measurements.tables import split


@settings
class DomainsSettings:
    """Rate in each domain, its share of the memorized windows, and the structural share, by model."""

    structural: Several[str] | None = option(
        "domain of structural text; may be given several times; by default code, formula and legal", default=None
    )
    column: str = option("column of the domain", default="domain")


def compare_domains(given: Given, chosen: DomainsSettings) -> Compared:
    from interp.figures.domains import draw_domain_rates, draw_domain_shares, draw_structural_share
    from interp.planted.corpus import STRUCTURAL_DOMAINS
    from interp.statistical.domains import domains
    from interp.wording import behind, percent

    how: dict[str, Any] = {
        "structural": chosen.structural or STRUCTURAL_DOMAINS,
        "column": chosen.column,
        "seed": given.seed,
    }
    result = domains(given.rows, **how)
    table = result.to_frame()

    def figures() -> Figures:
        yield "domain_rates", draw_domain_rates(table, caption=given.rests_on)
        yield "domain_shares", draw_domain_shares(table, caption=given.rests_on)
        if split(given.rows, alone="model")["panel"] == "size":
            by_family = domains(given.rows, by=("size", "family"), **how).to_frame()
            yield "structural_share", draw_structural_share(by_family, of="size", line="family", caption=given.rests_on)

    shares = zip(result.structural.groups["model"], result.structural.estimates, strict=True)
    said = "structural share of memorized windows: " + ", ".join(f"{model} {percent(share)}" for model, share in shares)
    said += behind(result.structural.estimates)
    return Compared({"domains": table}, said, figures)


DOMAINS = Comparison("domains", DomainsSettings, compare_domains, read_scores)
