"""Rates of groups of windows, and the histogram of scores."""

from __future__ import annotations

from interp.comparisons.comparison import Compared, Comparison, Given, read_scores
from interp.measurements.measurement import Figures
from interp.measurements.settings import Several, option, settings


@settings
class RatesSettings:
    """Memorization rate of each group of windows, such as by model and domain."""

    by: Several[str] = option("column to group by; may be given several times")


def compare_rates(given: Given, chosen: RatesSettings) -> Compared:
    from interp.figures.rates import draw_rates
    from interp.statistical.rates import rates
    from interp.wording import percent

    result = rates(given.rows, by=chosen.by, seed=given.seed)

    def figures() -> Figures:
        x, line = chosen.by[0], chosen.by[-1]
        yield "rates", draw_rates(result.to_frame(), x=x, line=line, caption=given.rests_on)

    ranked = sorted(zip(result.groups.itertuples(index=False), result.estimates, strict=True), key=lambda p: p[1].value)
    ends = [", ".join(map(str, group)) + f" {percent(rate)}" for group, rate in (ranked[-1], ranked[0])]
    said = f"rates of {len(ranked)} groups: highest {ends[0]}, lowest {ends[1]}"
    return Compared({"rates": result.to_frame()}, said, figures)


@settings
class HistogramSettings:
    """Share of windows in each bin of the score M, by model."""


def compare_histogram(given: Given, chosen: HistogramSettings) -> Compared:
    from interp.figures.rates import draw_score_histogram
    from interp.statistical.rates import score_histogram

    result = score_histogram(given.rows, by=("model",), seed=given.seed)

    def figures() -> Figures:
        yield "score_histogram", draw_score_histogram(result.to_frame(), panel="model", caption=given.rests_on)

    scores = given.rows["score"].dropna()
    said = f"{((scores == 0) | (scores == 1)).mean():.0%} of all windows lie at M = 0 or M = 1"
    return Compared({"score_histogram": result.to_frame()}, said, figures)


RATES = Comparison("rates", RatesSettings, compare_rates, read_scores)
HISTOGRAM = Comparison("histogram", HistogramSettings, compare_histogram, read_scores)
