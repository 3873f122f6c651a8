"""Where several names or numbers are taken, a single one is one, never its letters; what is unknown is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import config

import interp
from interp.data.counts.build import build_index
from interp.data.counts.web import InfiniGram, WebCount
from interp.data.windows import WindowError
from interp.errors import InterpError
from interp.figures.noise import draw_carried_together
from interp.internal.ablation.cumulative import cumulative_ablation
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.reference import ablate_heads_plainly
from interp.internal.ablation.replacement import AblationError
from interp.internal.ablation.screening import screen_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.lens.first_layer import FirstLayer
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import ends, substitute, substitute_sets
from interp.models.hooks import HookError, activations
from interp.models.loading import load_model
from interp.models.measuring import StateError
from interp.planted.corpus import planted_windows
from interp.several import several
from interp.statistical.compression import compression_summary, ratio_distribution
from interp.statistical.domains import domains
from interp.statistical.dose_response import dose_response
from interp.statistical.extraction import extract
from interp.statistical.frequency import frequency
from interp.statistical.frequency_parts import chunks, stream_frequency
from interp.statistical.matching import match
from interp.statistical.numerics import numerics
from interp.statistical.rates import rates, score_histogram
from interp.statistical.survival import depth_summary, survival
from interp.stats.curves import group_masks


@pytest.mark.parametrize(
    ("given", "taken"),
    [("rate", ("rate",)), (3, (3,)), (0.5, (0.5,)), (np.int64(3), (3,)), (["a", "b"], ("a", "b")), (range(2), (0, 1))],
)
def test_a_single_one_is_one(given, taken):
    assert several(given) == taken
    assert several(()) == ()


@pytest.fixture
def as_users_run_it():
    """Arguments are not checked against their types, as they are in the other tests."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def scores():
    """Windows of two models in two domains, shown once or twice."""
    rng, n = np.random.default_rng(0), 80
    ratio = rng.choice([0.25, 0.5, 1.0], n)
    return pd.DataFrame(
        {
            "model": np.repeat(["a", "b"], n // 2),
            "domain": np.tile(["code", "prose"], n // 2),
            "document": [f"d{i % 20}" for i in range(n)],
            "count": np.tile([1.0, 1.0, 2.0, 2.0], n // 4),
            "size": rng.normal(size=n),
            "memorized": rng.random(n) < 0.5,
            "score": rng.choice([0.0, 0.5, 1.0], n),
            "ratio": ratio,
            "ratio_every_longer": np.minimum(1, 2 * ratio),
            "depth": rng.integers(0, 9, n).astype(float),
            "censored": rng.random(n) < 0.3,
        }
    )


OF_TABLES = {
    "rates": (lambda table, names: rates(table, by=names).to_frame(), "domain"),
    "score_histogram": (lambda table, names: score_histogram(table, by=names).to_frame(), "domain"),
    "domains by": (lambda table, names: domains(table, by=names).to_frame(), "model"),
    "domains structural": (lambda table, names: domains(table, structural=names).to_frame(), "code"),
    "dose_response": (lambda table, names: dose_response(table, by=names, n_resamples=20).to_frame(), "model"),
    "compression_summary": (lambda table, names: compression_summary(table, by=names), "domain"),
    "ratio_distribution": (lambda table, names: ratio_distribution(table, by=names), "domain"),
    "depth_summary by": (lambda table, names: depth_summary(table, by=names, n_resamples=20), "domain"),
    "depth_summary at": (lambda table, at: depth_summary(table, at=at, n_resamples=20), 4),
    "match on": (lambda table, names: match(table, on=names).pairs, "size"),
    "match exact": (lambda table, names: match(table, on="size", exact=names).pairs, "domain"),
}


@pytest.mark.parametrize("name", OF_TABLES)
def test_a_single_column_of_a_table(name, scores):
    measure, single = OF_TABLES[name]
    pd.testing.assert_frame_equal(measure(scores, single), measure(scores, [single]))
    if name != "depth_summary at":
        with pytest.raises(InterpError, match="no such"):
            measure(scores, "no such")


def test_a_single_depth(scores):
    depths, censored = scores["depth"].to_numpy(), scores["censored"].to_numpy()
    np.testing.assert_array_equal(survival(depths, censored, 3), survival(depths, censored, [3]))


def test_a_single_set_or_domain_of_the_shipped_corpus():
    one = interp.planted_windows(sets="planted-64", domains="code", per_set=2)
    same = interp.planted_windows(sets=["planted-64"], domains=["code"], per_set=2)
    np.testing.assert_array_equal(one.tokens, same.tokens)
    for given in ({"sets": "planted-3"}, {"domains": "cod"}, {"sets": "planted-64", "domains": "verse"}):
        with pytest.raises(WindowError, match=r"the corpus has no (set|domain) \['[\w-]+'\]; it has \['(back|code)"):
            interp.planted_windows(**given)


ABLATIONS = {
    "ablate_heads": ablate_heads,
    "ablate_heads_plainly": ablate_heads_plainly,
    "screen_heads": screen_heads,
    "ablate_sets": lambda model, windows, **more: ablate_sets(model, windows, [[(0, 0)]], **more),
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_single_metric(name, as_users_run_it, models, windows):
    model, two = models["OLMo1"], windows.select(np.arange(2))
    one, same = (ABLATIONS[name](model, two, metrics=given) for given in ("rate", ["rate"]))
    assert one.provenance.settings == same.provenance.settings
    assert one.provenance.settings["metrics"] == ["rate"]
    pd.testing.assert_frame_equal(one.to_frame(), same.to_frame())
    with pytest.raises(AblationError, match=r"\['rates'\]: choose at least one of log_prob, rate, score"):
        ABLATIONS[name](model, two, metrics="rates")


def test_heads_are_pairs(as_users_run_it, models, windows):
    """One pair could be one head or a set of two: it is refused, and the message says how it is written."""
    model, two = models["Pythia"], windows.select(np.arange(2))
    for wrong in ((0, 1), [0], "0.1", [(0, 1, 2)]):
        with pytest.raises(AblationError, match=r"is not a head: give \(layer, head\) pairs, \[\(0, 1\)\]"):
            ablate_heads(model, two, heads=wrong)
        with pytest.raises(AblationError, match="is not a head"):
            cumulative_ablation(model, two, wrong)
    with pytest.raises(AblationError, match="0 is not a head"):
        ablate_sets(model, two, [(0, 1), (2, 3)])
    ablated = ablate_heads(model, two, heads=np.array([[0, 1]])).importance()
    assert np.argwhere(~np.isnan(ablated)).tolist() == [[0, 1]]


def test_a_single_number(models, windows, checkpoints):
    model, two = models["OLMo1"], windows.select(np.arange(2))
    for single, several_of in (
        (substitute(model, two, positions=3, n_draws=1), substitute(model, two, positions=[3], n_draws=1)),
        (substitute_sets(model, two, {"a": 3}, n_draws=1), substitute_sets(model, two, {"a": [3]}, n_draws=1)),
        (perturb(model, two, alphas=0.5, positions=3), perturb(model, two, alphas=[0.5], positions=[3])),
        (
            cumulative_ablation(model, two, [(0, 0), (0, 1)], n_ablated=1, n_random=1),
            cumulative_ablation(model, two, [(0, 0), (0, 1)], n_ablated=[1], n_random=1),
        ),
        (
            numerics(checkpoints["OLMo1"], two, dtypes="float32", batch_sizes=1),
            numerics(checkpoints["OLMo1"], two, dtypes=["float32"], batch_sizes=[1]),
        ),
    ):
        assert single.provenance.settings == several_of.provenance.settings
        pd.testing.assert_frame_equal(single.to_frame(), several_of.to_frame())
    assert ends(8, sizes=2) == ends(8, sizes=[2])


def test_a_single_hook(models, windows):
    name = "blocks.0.attn.hook_z"
    (one,) = activations(models["Pythia"], windows.tokens[:2], name).values()
    torch.testing.assert_close(one, activations(models["Pythia"], windows.tokens[:2], [name])[name])
    with pytest.raises(HookError, match="no hook 'hook_z'"):
        activations(models["Pythia"], windows.tokens[:2], "hook_z")


def test_a_single_structural_domain_of_a_perturbation(models, windows):
    """Letter by letter no domain is structural, and the share was a silent 0."""
    result = perturb(models["OLMo1"], windows, alphas=[0.0], lens=False)
    memorized = result.memorized.copy()
    memorized[:] = True
    object.__setattr__(result, "memorized", memorized)
    table = result.scores(structural="code").set_index("statistic")
    assert table.loc["structural_share", "value"] == 0.5


def test_groups_are_masks_by_name(as_users_run_it, models, windows):
    decoding = interp.logit_lens(models["OLMo1"], windows)
    noisy = perturb(models["OLMo1"], windows, alphas=[0.0], lens=False)
    first = FirstLayer(np.ones((12, 32)), 0.5, 4, windows)
    substituted = substitute(models["OLMo1"], windows, positions=[1], n_draws=1)
    for curves in (
        lambda groups: decoding.curves("probability", groups=groups),
        lambda groups: noisy.curves("cosine", groups=groups),
        lambda groups: noisy.regained(groups=groups),
        lambda groups: noisy.scores(groups=groups),
        first.summary,
        first.holding,
        lambda groups: substituted.curves(groups=groups),
    ):
        for wrong in (
            "memorized",
            ["memorized"],
            {},
            {"a": np.arange(12)},
            {"a": np.ones(11, bool)},
            {"a": "memorized"},
        ):
            with pytest.raises(WindowError, match="masks by name|must be a mask"):
                curves(wrong)
    assert list(group_masks(None, 3)) == ["all windows"]


def test_a_single_group_is_drawn(models, windows):
    """And a group that is not there is refused: the figure would be empty."""
    result = substitute_sets(models["OLMo1"], windows, ends(32, sizes=[1, 2]), n_draws=1)
    curves = result.curves("fall")
    one = draw_carried_together(curves, "fall", groups="all windows")
    assert one.to_dict() == draw_carried_together(curves, "fall", groups=["all windows"]).to_dict()
    assert len(one.data) >= 2
    with pytest.raises(InterpError, match=r"no group \['memorized'\]; the curves have \['all windows'\]"):
        draw_carried_together(curves, "fall", groups="memorized")


def test_a_single_query_is_asked_whole(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(InfiniGram, "count", lambda self, query: asked.append(query) or WebCount(1, False, 1))
    assert list(InfiniGram("i", cache=tmp_path / "c").count_all("two words")["query"]) == ["two words"]
    assert asked == ["two words"]


def test_a_single_length_is_counted(tmp_path, models, windows):
    built = build_index([windows.tokens.numpy()[0]], tmp_path / "i", d_vocab=2048, tokenizer="t", source="s")
    single, same = frequency(built, windows, lengths=3), frequency(built, windows, lengths=[3])
    pd.testing.assert_frame_equal(single.table, same.table)
    streamed = stream_frequency(built, chunks(windows), tmp_path / "parts", lengths=3)
    pd.testing.assert_frame_equal(streamed.table, same.table)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "given", [{"sets": []}, {"domains": ()}, *({"per_set": n} for n in (0, -1, 1.5, "2"))], ids=str
)
def test_a_choice_that_leaves_no_windows_is_refused(given):
    with pytest.raises(WindowError, match="no windows are left|per_set must be at least 1"):
        planted_windows(**given)


@pytest.mark.usefixtures("as_users_run_it")
def test_what_is_no_model_and_no_windows_is_refused():
    windows = planted_windows(sets="held_out", per_set=1)
    with pytest.raises(StateError, match="str given as the model; load one first"):
        extract("pythia-small-0.2m", windows)
    model = load_model("pythia-small-0.2m", device="cpu")
    with pytest.raises(WindowError, match="Tensor given as windows"):
        extract(model, windows.tokens)
    with pytest.raises(WindowError, match="batch_size must be at least 1, not 2.5"):
        extract(model, windows, batch_size=2.5)
