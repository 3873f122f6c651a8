"""Rate against size: slopes, ratios between families, transitions of windows from one size to the next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from interp.comparisons.comparison import Compared, Comparison, Given, read_family_scores
from interp.measurements.measurement import Figures
from interp.measurements.settings import option, settings
from interp.measurements.tables import records, split

if TYPE_CHECKING:
    from interp.stats.estimates import Estimate

    pass


@settings
class ScalingSettings:
    """Rate against log10(parameters) in each family: slope of a line and of a logistic curve, R2."""


def compare_scaling(given: Given, chosen: ScalingSettings) -> Compared:
    from interp.figures.scaling import draw_scaling
    from interp.statistical.rates import rates
    from interp.statistical.scaling import scaling
    from interp.wording import behind

    # A larger model cannot memorize windows that were never shown. They give the floor.
    never = given.rows["count"] == 0
    result = scaling(given.rows[~never], seed=given.seed)
    tables = {"fits": result.to_frame(), "rates": result.rates.to_frame()}
    floor = rates(given.rows[never], by=(), seed=given.seed).estimates[0].value if never.any() else None

    def figures() -> Figures:
        yield "scaling", draw_scaling(tables["rates"], tables["fits"], floor=floor, caption=given.rests_on)

    slopes = zip(result.families, result.linear_slope, strict=True)
    said = "rise in rate for ten times the parameters: " + ", ".join(f"{family} {slope}" for family, slope in slopes)
    said += behind(result.linear_slope)
    return Compared(tables, said, figures)


@settings
class RatiosSettings:
    """Ratio of memorization rates between families at one size, or at each size in the tables."""

    n_params: float | None = option("the size, in parameters, such as 7e9", default=None, ge=1)
    within: float = option("largest accepted factor between a model's size and this size", default=1.5, ge=1)
    reference: str | None = option("reference family of the figure", default=None)


def compare_ratios(given: Given, chosen: RatiosSettings) -> Compared:
    import pandas as pd

    from interp.figures.scaling import draw_family_ratios
    from interp.statistical.measured import ScoresError
    from interp.statistical.scaling import family_ratios
    from interp.stats.columns import estimate_of
    from interp.wording import behind

    def ratios(rows: pd.DataFrame, n_params: float) -> pd.DataFrame:
        return family_ratios(rows, n_params=n_params, within=chosen.within, seed=given.seed)

    if chosen.n_params is not None:
        table = ratios(given.rows, chosen.n_params).assign(size=f"{chosen.n_params:g}")
    elif "size" in given.rows:
        shown = given.rows[given.rows["count"] != 0]  # a model cannot memorize other windows
        sizes = [(size, rows) for size, rows in shown.groupby("size") if rows["family"].nunique() > 1]
        if not sizes:
            raise ScoresError("no two families have a model of one size; give --n-params, and --within if necessary")
        table = pd.concat([ratios(rows, rows["n_params"].median()).assign(size=size) for size, rows in sizes])
    else:
        raise ScoresError("the tables have no sizes; give --n-params")

    said = []
    for size, rows in table.groupby("size"):
        for row in records(rows.nlargest(1, "value")):
            ratio = estimate_of(row)
            said.append(f"{size}: {ratio}, {row['family']} over {row['other_family']}{behind([ratio])}")

    def figures() -> Figures:
        for size, rows in table.groupby("size"):
            families = sorted(rows["other_family"].unique())
            family = chosen.reference or ("Pythia" if "Pythia" in families else families[0])
            yield f"family_ratios-{size}", draw_family_ratios(rows, other=family, caption=given.rests_on)

    finding = (
        f"largest ratio of rates at {'; '.join(said)}"
        if said
        else "no ratio is defined: no family has memorized anything"
    )
    return Compared({"family_ratios": table}, finding, figures)


@settings
class TransitionsSettings:
    """How windows move between score bins from one size of a family to the next; the figure is a Sankey diagram."""

    family: str | None = option("family of the figure; by default the first", default=None)


def compare_transitions(given: Given, chosen: TransitionsSettings) -> Compared:
    from interp.figures.scaling import draw_transitions
    from interp.statistical.scaling import transitions

    moves = transitions(given.rows, seed=given.seed)
    table = moves.to_frame()
    families = [str(family) for family in moves.groups["family"].unique()]

    def figures() -> Figures:
        for family in [chosen.family] if chosen.family else families:
            yield f"transitions-{family}", draw_transitions(table, family=family, caption=given.rests_on)

    return Compared({"transitions": table}, f"moves of {len(families)} families", figures)


@settings
class DoseResponseSettings:
    """Rate against the number of showings, and the number at which half of the windows are memorized, by model."""


def compare_dose_response(given: Given, chosen: DoseResponseSettings) -> Compared:
    from interp.figures.rates import draw_dose_response
    from interp.statistical.dose_response import dose_response
    from interp.wording import behind

    by = ("size", "family") if split(given.rows, alone="model")["panel"] == "size" else ("family", "model")
    result = dose_response(given.rows, by=by, seed=given.seed)

    def figures() -> Figures:
        shown = (tables["dose_response_rates"], tables["dose_response"])
        yield "dose_response", draw_dose_response(*shown, panel=by[0], line=by[1], caption=given.rests_on)

    halves = ", ".join(
        f"{' '.join(map(str, group))} {_half(half)}"
        for group, half in zip(result.groups[list(by)].itertuples(index=False), result.half, strict=True)
    )
    tables = {"dose_response": result.to_frame(), "dose_response_rates": result.rates.to_frame()}
    return Compared(tables, f"showings at which half is memorized: {halves}{behind(result.half)}", figures)


def _half(half: Estimate) -> str:
    """The half-way count, in words if it is outside the counts shown."""
    if not math.isnan(half.value):
        return str(half)
    return "above every count" if half.high == math.inf else "below every count" if half.high == 0 else "not measured"


SCALING = Comparison("scaling", ScalingSettings, compare_scaling, read_family_scores)
RATIOS = Comparison("ratios", RatiosSettings, compare_ratios, read_family_scores)
TRANSITIONS = Comparison("transitions", TransitionsSettings, compare_transitions, read_family_scores)
DOSE_RESPONSE = Comparison("dose-response", DoseResponseSettings, compare_dose_response, read_family_scores)
