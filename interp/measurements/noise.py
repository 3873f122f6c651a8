"""Noise: in which layers the residual stream recovers from noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.measurements.measurement import Figures, Measurement
from interp.measurements.settings import Several, option, settings
from interp.measurements.tables import Finished, Tables, models_of, records

if TYPE_CHECKING:
    from interp.measurements.subject import Subject

SHOWN = 0.3
"""The noise level in figures by layer."""


@settings
class PerturbSettings:
    """Add noise of 0 to 0.5 rms to the residual stream, and measure in which layers it recovers."""

    layer: int = option("layer whose input gets the noise", default=0, ge=0)
    alphas: Several[float] = option(
        "noise relative to the rms; may be given several times", default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5), name="--alpha"
    )
    at_most: int | None = option("maximal number of windows per group", default=None, ge=1)


def measure(subject: Subject, chosen: PerturbSettings) -> Tables:
    from interp.internal.noise.perturbation import RECOVERIES
    from interp.internal.noise.residual import perturb

    windows, groups = subject.grouped(at_most=chosen.at_most)
    noisy = perturb(
        subject.model,
        windows,
        alphas=chosen.alphas,
        layer=chosen.layer,
        **subject.how,
        seed=subject.seed,
    )
    tables = Tables()
    tables.add("noise", noisy.to_frame(), noisy.provenance)
    for quantity in RECOVERIES:
        curves = noisy.curves(quantity, groups=groups, seed=subject.seed)
        tables.add("curves", curves.assign(quantity=quantity), noisy.provenance)
        regained = noisy.regained(quantity, groups=groups, seed=subject.seed)
        tables.add("regained", regained.assign(quantity=quantity), noisy.provenance)
    tables.add("scores", noisy.scores(groups=groups, seed=subject.seed), noisy.provenance)
    return tables


def finding(found: Finished) -> str:
    from interp.wording import interval

    regained = found["regained"]
    regained = regained[(regained["quantity"] == "cosine") & (regained["alpha"] == _shown(regained["alpha"].max()))]
    said = []
    for model, rows in models_of(regained):
        values = ", ".join(
            f"{row['group']} {row['value']:+.3f} {interval(row['low'], row['high'], '+.3f')}" for row in records(rows)
        )
        said.append(
            f"{model}: under noise of {rows['alpha'].iloc[0]:g} rms the cosine with the clean stream changes from the "
            f"first to the last layer by {values}"
        )
    return "; ".join(said)


def _shown(largest: float) -> float:
    return min(SHOWN, largest)


def figures(found: Finished) -> Figures:
    from interp.figures.noise import draw_recovery, draw_scores_by_noise
    from interp.internal.noise.perturbation import RECOVERIES

    curves, scores = found["curves"], found["scores"]
    alpha = _shown(curves["alpha"].max())
    several = curves["model"].nunique() > 1
    for quantity in RECOVERIES:
        curve = curves[curves["quantity"] == quantity]
        # All noise levels are drawn for one model, one level for several models.
        drawn = curve[curve["alpha"] == alpha] if several else curve.drop(columns="model")
        yield f"recovery-{quantity}", draw_recovery(drawn, quantity)
    for statistic in scores["statistic"].unique():
        yield str(statistic), draw_scores_by_noise(scores, statistic)


PERTURB = Measurement("perturb", PerturbSettings, measure, finding, figures, per_set=8)
