"""Commands of the internal level: heads, layers, noise, prefix tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from interp.commands.measuring import measuring
from interp.commands.run import Outcome, Run

if TYPE_CHECKING:
    import plotly.graph_objects as go

app = typer.Typer()

MethodOption = Annotated[Literal["zero", "resample", "peer_mean"], typer.Option(help="what replaces a head's output")]
ScreenOption = Annotated[
    float | None, typer.Option(help="look only for this share of the heads, the most important; 0.2, for instance")
]
_HEADS = ("--figure", "--heatmap")


@measuring(app, per_set=16, figure=_HEADS)
def ablate(run: Run, method: MethodOption = "zero", screen: ScreenOption = None) -> Outcome:
    """Ablate every head in turn on memorized windows: fall in rate and log-probability (nats a token).

    With --screen all heads are estimated in one backward pass, and only those that could be among the most important
    are ablated; the fall of the others is empty. How many that spares depends on how good the estimate is.
    """
    from interp.figures.ablation import head_heatmap
    from interp.internal.ablation import ablate_heads
    from interp.internal.screening import screen_heads

    if screen is not None:
        found = screen_heads(run.model, run.memorized, share=screen, method=method, seed=run.seed)
        top = ", ".join(f"{layer}.{head}" for layer, head in found.top)
        swept = f"{found.n_ablated} of {found.exact.importance().size} heads ablated"
        said = f"{run.name}: {swept} on {len(run.memorized)} memorized windows; the most important: {top}"
        return Outcome.of(found, said, lambda: head_heatmap(found.exact))
    result = ablate_heads(run.model, run.memorized, method=method, seed=run.seed, progress=True)
    top = ", ".join(f"{layer}.{head}" for layer, head in result.top(5))
    said = f"{run.name}: heads that carry most on {len(run.memorized)} memorized windows: {top}"
    return Outcome.of(result, said, lambda: head_heatmap(result))


@measuring(app, per_set=16)
def cumulative(
    run: Run,
    method: MethodOption = "zero",
    random_orders: Annotated[int, typer.Option(help="random orders of heads to compare with", min=1)] = 5,
) -> Outcome:
    """Ablate more and more heads together, most important first, beside random orders.

    Heads are ranked on one half of the documents and the curve is measured on the other.
    """

    from interp.data.windows import WindowError
    from interp.figures.ablation_curves import cumulative_curve
    from interp.internal.ablation import ablate_heads
    from interp.internal.cumulative import cumulative_ablation, ranking_half

    ranks = ranking_half(run.memorized, seed=run.seed)
    if ranks.all():
        raise WindowError(
            "all memorized windows are of one document or share text: none is left to measure the curve on"
        )
    ranking = ablate_heads(run.model, run.memorized.select(ranks), method=method, seed=run.seed, progress=True)
    result = cumulative_ablation(
        run.model,
        run.memorized.select(~ranks),
        ranking.top(run.model.cfg.n_layers * run.model.cfg.n_heads),
        method=method,
        n_random=random_orders,
        seed=run.seed,
        progress=True,
    )
    table = result.to_frame(seed=run.seed)
    left = ", ".join(f"{row.rate:.2f} without {row.n_ablated}" for row in table.iloc[1:4].itertuples())
    said = f"{run.name}: share still recited of {int((~ranks).sum())} memorized windows: {left} heads"
    return Outcome(
        table,
        [ranking.provenance, result.provenance],
        said,
        lambda: cumulative_curve(table.assign(model=run.name)),
    )


@measuring(app, per_set=16)
def lens(run: Run) -> Outcome:
    """Decode every layer: probability, rank, entropy and KL (nats) of each true continuation token."""
    from interp.figures.lens import layer_curves
    from interp.internal.lens import logit_lens

    result = logit_lens(run.model, run.windows)
    return Outcome.of(
        result,
        f"{run.name}: {len(result.point)} points of {len(run.windows)} windows",
        lambda: layer_curves(
            result.curves("probability", groups=run.groups(), seed=run.seed), "probability", d_vocab=result.d_vocab
        ),
    )


@measuring(app, per_set=16)
def attribute(run: Run) -> Outcome:
    """Split the logit of each true token of memorized windows into what embedding, heads, MLPs and biases add."""
    from interp.figures.ablation_curves import attribution_bars
    from interp.internal.logit_attribution import logit_attribution

    result = logit_attribution(run.model, run.memorized)
    said = f"{run.name}: mean logit {result.logit.mean():.3g} of {len(run.memorized)} memorized windows, split"
    return Outcome.of(result, said, lambda: attribution_bars(result.to_frame(seed=run.seed)))


@measuring(app, per_set=8)
def perturb(
    run: Run, layer: Annotated[int, typer.Option(help="layer whose input gets the noise", min=0)] = 0
) -> Outcome:
    """Add noise of 0 to 0.5 rms to the residual stream and see in which layers it heals."""
    from interp.figures.noise import recovery_by_layer
    from interp.internal.noise import perturb as measure

    result = measure(run.model, run.windows, layer=layer, seed=run.seed)
    return Outcome.of(
        result,
        f"{run.name}: noise at layer {layer} on {len(run.windows)} windows",
        lambda: recovery_by_layer(result.curves("cosine", groups=run.groups(), seed=run.seed), "cosine"),
    )


@measuring(app, per_set=8)
def substitute(
    run: Run, draws: Annotated[int, typer.Option(help="substitutes for each window and position", min=1)] = 4
) -> Outcome:
    """Replace each prefix token in turn: fall in the continuation's log-probability (nats a token)."""
    from interp.figures.noise import carried_by_position
    from interp.internal.substitution import substitute as measure

    result = measure(run.model, run.windows, n_draws=draws, seed=run.seed)
    return Outcome.of(
        result,
        f"{run.name}: {len(result.position)} prefix positions of {len(run.windows)} windows",
        lambda: carried_by_position(result.curves(groups=run.groups(), seed=run.seed)),
    )


@measuring(app, per_set=16)
def attention(run: Run) -> Outcome:
    """What each head looks at: share of attention to rare tokens, to earlier matches, to the start; entropy (nats).

    On memorized windows. The figure compares the heads that matter most when zeroed with the others.
    """
    from interp.figures.attention_targets import targets_of_top_heads
    from interp.internal.ablation import ablate_heads
    from interp.internal.attention_targets import TARGETS, attention_targets

    result = attention_targets(run.model, run.memorized)

    def draw() -> go.Figure:
        importance = ablate_heads(run.model, run.memorized, seed=run.seed, progress=True).importance("log_prob")
        evenly = result.to_frame().groupby("target")["uniform"].first()
        top = result.top_against_rest(importance, seed=run.seed)
        return targets_of_top_heads(top, {target: float(evenly[target]) for target in TARGETS})

    said = f"{run.name}: attention of every head on {len(run.memorized)} memorized windows"
    return Outcome.of(result, said, draw)
