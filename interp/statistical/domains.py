"""Domains: where memorization happens.

For each model: the rate in each domain, each domain's share of all memorized windows, and the structural share, that of
code, formulae, licences and tables together (arXiv 2603.21658, "domains": structural text dominates, and scaling adds
free text). A share depends on the number of windows sampled from each domain. So the same share among all windows is
given beside it: the two are equal if all domains have one rate (ours).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp.data.domains import UNKNOWN, is_structural
from interp.planted.corpus import STRUCTURAL_DOMAINS
from interp.results import Result
from interp.several import several
from interp.statistical.measured import ScoresError, check_columns, outcomes
from interp.statistical.rates import Rates, rates
from interp.stats.estimates import Estimate


@dataclass(frozen=True, repr=False, eq=False)
class Domains(Result):
    """Memorization by domain."""

    rates: Rates
    """Rate in each group and ``domain``."""
    shares: Rates
    """Share of a group's memorized windows in each ``domain``. The shares sum to 1; NaN if none is memorized."""
    structural: Rates
    """Share of structural windows among a group's memorized windows of known domain; NaN if there are none."""
    windows: Rates
    """Each domain's share of all measured windows: the value of ``shares`` if all domains had one rate."""
    structural_windows: Rates
    """The same for structural text: the value of ``structural`` if all domains had one rate."""

    def to_frame(self) -> pd.DataFrame:
        """One row per estimate: ``quantity`` (the field), group, ``domain`` ("structural" for structural shares)."""
        named = {
            "rate": self.rates,
            "share": self.shares,
            "structural share": self.structural,
            "share of windows": self.windows,
            "structural share of windows": self.structural_windows,
        }
        table = pd.concat([r.to_frame().assign(quantity=name) for name, r in named.items()], ignore_index=True)
        return table.assign(domain=table["domain"].fillna("structural"))


def domains(
    scores: pd.DataFrame,
    *,
    by: str | Sequence[str] = ("model",),
    structural: str | Collection[str] = STRUCTURAL_DOMAINS,
    column: str = "domain",
    names: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Domains:
    """Rates and shares by domain, with intervals clustered by document.

    Args:
        scores: a row for each window and model. Windows whose ``memorized`` is NaN are left out. Windows whose domain
            is missing or "unknown" form a domain of their own; they are neither structural nor free text.
        by: columns of a group.
        structural: domains of structural text. All others are free text.
        column: column of the domain, for other data.
        names: domain for each value of that column. Default: the values themselves.
        seed: seed of the bootstrap.

    Raises:
        ScoresError: ``names`` lacks a value, or no window is of a structural domain.
    """
    by, structural = several(by), several(structural)
    check_columns(scores, [*by, column, "document", "memorized"], what="domains")
    named = scores[column].astype(str).where(scores[column].notna(), UNKNOWN)
    if names is not None:
        unknown = sorted(set(named) - set(names) - {UNKNOWN})
        if unknown:
            raise ScoresError(f"column {column!r} has the values {unknown[:5]}, which `names` does not name")
        named = named.map({UNKNOWN: UNKNOWN, **names})
    outcome, structural_text = outcomes(scores["memorized"]), is_structural(named.to_numpy(), structural)
    measured = ~np.isnan(outcome)
    table = scores.assign(domain=named, memorized=outcome)
    if not (structural_text == 1).any():
        raise ScoresError(
            f"no window is of the structural domains {sorted(structural)}; the domains are {sorted(named.unique())}"
        )
    # A group without memorized windows keeps its rows, as not measured.
    memorized, asked = (
        table.assign(is_structural=np.where(inside, structural_text, np.nan)) for inside in (outcome == 1, measured)
    )
    return Domains(
        rates=rates(table, by=[*by, "domain"], seed=seed),
        shares=_shares(table.assign(inside=outcome == 1), by, seed),
        structural=rates(memorized, by=by, outcome="is_structural", seed=seed),
        windows=_shares(table.assign(inside=measured), by, seed),
        structural_windows=rates(asked, by=by, outcome="is_structural", seed=seed),
    )


def _shares(table: pd.DataFrame, by: Sequence[str], seed: int) -> Rates:
    """Share of each domain among the rows of a group with ``inside``."""
    groups: list[pd.DataFrame] = []
    estimates: list[Estimate] = []
    for domain in sorted(table["domain"].unique()):
        outcome = (table["domain"] == domain).astype(np.float64).where(table["inside"])
        part = rates(table.assign(outcome=outcome), by=by, outcome="outcome", seed=seed)
        groups.append(part.groups.assign(domain=domain))
        estimates.extend(part.estimates)
    order = pd.concat(groups, ignore_index=True).sort_values([*by, "domain"])
    return Rates(groups=order.reset_index(drop=True), estimates=tuple(estimates[i] for i in order.index))
