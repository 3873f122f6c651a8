"""Commands over tables of scores that were written earlier: rates, scaling, domains, dose-response."""

from __future__ import annotations

from typing import Annotated

import typer

from interp.commands.measuring import deriving
from interp.commands.run import Outcome, Scores

app = typer.Typer()


@deriving(app)
def rates(
    scores: Scores, by: Annotated[list[str], typer.Option(help="column to group by; may be given several times")]
) -> Outcome:
    """Memorization rate of each group of windows, for instance by model and domain."""
    from interp.figures.rates import draw_rates
    from interp.statistical.rates import rates as measure

    result = measure(scores.table, by=by, seed=scores.seed)
    return scores.outcome(
        result.to_frame(),
        f"rates of {len(result.groups)} groups",
        lambda: draw_rates(result, x=by[0], line=by[-1], title="Memorization rate", caption=scores.rests_on),
    )


@deriving(app)
def histogram(scores: Scores) -> Outcome:
    """Share of windows in each bin of the score M, by model."""
    from interp.figures.rates import draw_score_histogram
    from interp.statistical.rates import score_histogram

    result = score_histogram(scores.table, by=("model",), seed=scores.seed)
    return scores.outcome(
        result.to_frame(),
        f"scores of {scores.table['model'].nunique()} models",
        lambda: draw_score_histogram(result, panel="model", caption=scores.rests_on),
    )


@deriving(app, of_families=True)
def scaling(scores: Scores) -> Outcome:
    """Rate against log10(parameters) in each family: slope of a line and of a logistic curve, R2."""
    from interp.figures.scaling import draw_scaling
    from interp.statistical.scaling import scaling as measure
    from interp.wording import behind

    result = measure(scores.table, seed=scores.seed)
    slopes = zip(result.families, result.linear_slope, strict=True)
    return scores.outcome(
        result.to_frame(),
        "rise in rate for ten times the parameters: "
        + ", ".join(f"{family} {slope}" for family, slope in slopes)
        + behind(result.linear_slope),
        lambda: draw_scaling(result, caption=f"Linear (solid) and logistic (dashed) fits. {scores.rests_on}"),
    )


@deriving(app, of_families=True)
def ratios(
    scores: Scores,
    n_params: Annotated[float, typer.Option(help="the size, in parameters: 7e9, for instance")],
    within: Annotated[float, typer.Option(help="a model may be off by this factor", min=1)] = 1.5,
    reference: Annotated[str | None, typer.Option(help="family that the figure compares with")] = None,
) -> Outcome:
    """Ratio of memorization rates between families at one size."""
    from interp.figures.scaling import draw_family_ratios
    from interp.statistical.scaling import family_ratios
    from interp.wording import interval, of_documents

    table = family_ratios(scores.table, n_params=n_params, within=within, seed=scores.seed)
    said = "no ratio is defined: no family recites anything"
    for row in table.nlargest(1, "value").to_dict("records"):
        said = (
            f"largest ratio {row['value']:.3g} {interval(row['low'], row['high'])}: {row['family']} over "
            f"{row['other_family']}, {of_documents([row['n']], [row['n_clusters']])}"
        )
    family = reference or str(table["other_family"].iloc[0])
    return scores.outcome(table, said, lambda: draw_family_ratios(table, reference=family, caption=scores.rests_on))


@deriving(app, of_families=True)
def transitions(
    scores: Scores,
    family: Annotated[str | None, typer.Option(help="family of the figure; the first unless given")] = None,
) -> Outcome:
    """How windows move between score bins from one size of a family to the next; the figure is a Sankey diagram."""
    from interp.figures.scaling import draw_transitions
    from interp.statistical.scaling import transitions as measure

    moves = measure(scores.table, seed=scores.seed)
    shown = family or str(moves.groups["family"].iloc[0])
    return scores.outcome(
        moves.to_frame(),
        f"moves of {moves.groups['family'].nunique()} families",
        lambda: draw_transitions(moves, family=shown, caption=scores.rests_on),
    )


@deriving(app, of_families=True)
def dose_response(scores: Scores) -> Outcome:
    """Rate against the number of showings, and the number at which half is memorized, by model."""
    from interp.figures.rates import draw_dose_response
    from interp.statistical.dose_response import dose_response as measure
    from interp.wording import behind

    result = measure(scores.table, by=("family", "model"), seed=scores.seed)
    halves = ", ".join(f"{name} {half}" for name, half in zip(result.groups["model"], result.half, strict=True))
    return scores.outcome(
        result.to_frame(),
        f"showings at which half is memorized: {halves}{behind(result.half)}",
        lambda: draw_dose_response(
            result, panel="family", line="model", caption=f"Diamonds: half is memorized. {scores.rests_on}"
        ),
    )


@deriving(app)
def domains(
    scores: Scores,
    structural: Annotated[
        list[str] | None, typer.Option(help="domain of structural text; code, formula and legal unless given")
    ] = None,
    column: Annotated[str, typer.Option(help="column that tells the domain")] = "domain",
) -> Outcome:
    """Rate in each domain, its share of the memorized windows, and the structural share, by model."""
    from interp.data.corpus import STRUCTURAL_DOMAINS
    from interp.figures.domains import draw_domain_rates
    from interp.statistical.domains import domains as measure
    from interp.wording import behind

    result = measure(scores.table, structural=structural or STRUCTURAL_DOMAINS, column=column, seed=scores.seed)
    shares = zip(result.structural.groups["model"], result.structural.estimates, strict=True)
    return scores.outcome(
        result.to_frame(),
        "structural share of memorized windows: "
        + ", ".join(f"{model} {share}" for model, share in shares)
        + behind(result.structural.estimates),
        lambda: draw_domain_rates(result, caption=scores.rests_on),
    )
