"""Noise: nothing at alpha 0, the same draws however windows are batched, and cosines as the angle gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import config
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.noise.perturbation import Perturbation
from interp.internal.noise.residual import noise, perturb
from interp.models.hooks import HookError, activations, checked_hooks, hook_name, logits
from interp.results import Provenance
from interp.statistical.extraction import extract

FIELDS = ("cosine", "centred_cosine", "lens_kl", "score", "log_prob")


@pytest.fixture(scope="module")
def windows(windows: Windows) -> Windows:
    """Short continuations, since greedy decoding of random text is what takes the time here."""
    return replace(windows, tokens=windows.tokens[:, :32], prefix_len=24)


def assert_same(one: Perturbation, other: Perturbation, rows: np.ndarray, *, atol: float) -> None:
    for field in FIELDS:
        np.testing.assert_allclose(getattr(one, field), getattr(other, field)[..., rows], atol=atol, err_msg=field)


def test_alpha_zero_is_exact(model: TransformerBridge, windows: Windows) -> None:
    none = perturb(model, windows, alphas=(0.0,))
    clean = extract(model, windows)
    np.testing.assert_allclose(none.cosine, 1, atol=1e-12)
    np.testing.assert_allclose(none.centred_cosine, 1, atol=1e-12)
    assert (none.lens_kl == 0).all(), "not one bit of any layer may differ"
    np.testing.assert_array_equal(none.score[0], clean.score)
    np.testing.assert_array_equal(none.memorized[0], clean.memorized)
    np.testing.assert_allclose(none.log_prob[0], clean.log_prob.mean(axis=1), atol=1e-5)


def test_alpha_zero_keeps_what_is_memorized(model: TransformerBridge, windows: Windows) -> None:
    """Windows whose continuation is the model's own greedy text have M = 1, and lose it under heavy noise."""
    own = windows.tokens.clone()
    own[:, windows.prefix_len :] = torch.from_numpy(extract(model, windows).generated)
    memorized = replace(windows, tokens=own)
    noisy = perturb(model, memorized, alphas=(0.0, 5.0), lens=False)
    assert noisy.memorized[0].all()
    assert noisy.score[1].mean() < 0.9
    assert (noisy.score[noisy.memorized] == 1).all()
    assert (noisy.log_prob[0] > noisy.log_prob[1]).all()
    assert np.isnan(noisy.lens_kl).all()


def test_batch_size_and_other_windows_change_nothing(model: TransformerBridge, windows: Windows) -> None:
    whole = perturb(model, windows, alphas=(0.3,))
    assert_same(perturb(model, windows, alphas=(0.3,), batch_size=5), whole, np.arange(12), atol=1e-4)
    rows = np.array([7, 2, 11])
    some = perturb(model, windows.select(rows), alphas=(0.1, 0.3))
    np.testing.assert_allclose(some.cosine[1:], whole.cosine[..., rows], atol=1e-6)
    np.testing.assert_allclose(some.log_prob[1:], whole.log_prob[..., rows], atol=1e-4)


def test_draws_depend_on_seed_window_and_alpha_alone() -> None:
    ids = np.array([4, 9, 2])
    draw = noise(ids, 0.2, n_pos=64, d_model=32, seed=0)
    assert torch.equal(draw[[2, 0]], noise(ids[[2, 0]], 0.2, n_pos=64, d_model=32, seed=0))
    for other in (noise(ids, 0.2, n_pos=64, d_model=32, seed=1), noise(ids, 0.3, n_pos=64, d_model=32, seed=0)):
        assert not torch.equal(draw, other)
        assert abs(float((draw * other).mean())) < 0.05
    assert abs(float((draw[0] * draw[1]).mean())) < 0.1
    assert float(draw.mean()) == pytest.approx(0, abs=0.05)
    assert float(draw.std()) == pytest.approx(1, abs=0.05)


def test_seed_changes_the_result(models: dict[str, TransformerBridge], windows: Windows) -> None:
    one, two = (perturb(models["OLMo3"], windows, alphas=(0.3,), lens=False, seed=s).log_prob for s in (0, 1))
    assert not np.allclose(one, two)


def test_cosine_at_the_noisy_site(model: TransformerBridge, windows: Windows) -> None:
    """h' = h + alpha * rms(h) * e has the cosine that the same sum worked out from the clean run has."""
    alpha = 0.4
    noisy = perturb(model, windows, alphas=(alpha,))
    name = hook_name("hook_resid_pre", 0)
    assert noisy.point[0] == name
    h = activations(model, windows.tokens, [name])[name]
    rms = (h**2).mean(-1, keepdim=True).sqrt()
    e = noise(windows.window, alpha, n_pos=32, d_model=h.shape[-1], seed=0)
    cosine = torch.cosine_similarity(h, h + alpha * rms * e, dim=-1)[:, 23:31].mean(1)
    np.testing.assert_allclose(noisy.cosine[0, 0], cosine.numpy(), atol=1e-5)
    # |h'|^2 = |h|^2 (1 + alpha^2) on average, so the cosine is near 1 / sqrt(1 + alpha^2).
    assert noisy.cosine[0, 0].mean() == pytest.approx(1 / np.sqrt(1 + alpha**2), abs=0.02)
    assert (noisy.lens_kl[0, -1] > 0).all()


def test_against_a_plain_loop(model: TransformerBridge, windows: Windows) -> None:
    """Greedy text, log-probability and divergence as whole passes without a cache give them."""
    alpha, name = 0.3, hook_name("hook_resid_pre", 0)
    noisy = perturb(model, windows, alphas=(alpha,))
    e = noise(windows.window, alpha, n_pos=32, d_model=model.cfg.d_model, seed=0)

    def add(h: torch.Tensor, hook: object) -> torch.Tensor:
        return h + alpha * (h**2).mean(-1, keepdim=True).sqrt() * e[:, : h.shape[1]]

    def run(tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), checked_hooks(model, {name: add}):
            return logits(model, tokens).log_softmax(-1)

    text = windows.prefix
    for _ in range(windows.continuation_len):
        text = torch.cat([text, run(text)[:, -1:].argmax(-1)], dim=1)
    score = (text[:, 24:] == windows.continuation).float().mean(1)
    np.testing.assert_allclose(noisy.score[0], score.numpy(), atol=1e-6)
    with torch.no_grad():
        clean = logits(model, windows.tokens).log_softmax(-1)[:, 23:31]
    log_p = run(windows.tokens)[:, 23:31]
    true = log_p.gather(-1, windows.continuation[..., None]).mean(dim=(1, 2))
    np.testing.assert_allclose(noisy.log_prob[0], true.numpy(), atol=1e-5)
    kl = (clean.exp() * (clean - log_p)).sum(-1).mean(1)
    np.testing.assert_allclose(noisy.lens_kl[0, -1], kl.numpy(), atol=1e-5)


def test_stream_is_replaced(model: TransformerBridge, windows: Windows) -> None:
    """What stands before a layer decides all above it: another window's residual there gives its output."""
    names = [hook_name("hook_resid_pre", 2), hook_name("hook_resid_post", 3)]
    before, after = activations(model, windows.tokens, names).values()
    with checked_hooks(model, {names[0]: lambda _, hook: before.flip(0)}):
        swapped = activations(model, windows.tokens, names[1:])[names[1]]
    torch.testing.assert_close(swapped, after.flip(0))


@pytest.mark.parametrize(
    ("site", "first"),
    [
        ("hook_resid_pre", "blocks.1.hook_resid_pre"),
        ("hook_resid_post", "blocks.1.hook_resid_post"),
        ("hook_attn_out", "blocks.1.hook_resid_post"),
        ("hook_mlp_out", "blocks.1.hook_resid_post"),
    ],
)
def test_other_sites_and_layers(model: TransformerBridge, windows: Windows, site: str, first: str) -> None:
    noisy = perturb(model, windows, alphas=(0.0, 0.5), layer=1, site=site, lens=False)
    assert noisy.point[0] == first
    assert noisy.point[-1] == "blocks.3.hook_resid_post"
    assert list(noisy.depth) == sorted(set(noisy.depth))
    assert (noisy.cosine[0] > 1 - 1e-9).all()
    assert (noisy.cosine[1] < 1 - 1e-6).all(), "noise reaches every point from its site on"


def test_chosen_positions(model: TransformerBridge, windows: Windows) -> None:
    """Noise on the last position alone reaches no prediction; on one continuation position only those from it on."""
    last = perturb(model, windows, alphas=(0.5,), positions=[31])
    np.testing.assert_allclose(last.cosine, 1, atol=1e-9)
    assert (last.lens_kl == 0).all()
    prefix = perturb(model, windows, alphas=(0.5,), positions=range(23))
    np.testing.assert_allclose(prefix.cosine[0, 0], 1, atol=1e-12)  # the site itself, where nothing was added
    assert (prefix.cosine[0, -1] < 1 - 1e-6).all()


def made_up(windows: Windows, model: TransformerBridge) -> Perturbation:
    cosine = np.zeros((1, 2, 12))
    cosine[0, 0], cosine[0, 1] = 0.5, np.where(np.arange(12) < 4, 0.7, 0.9)
    memorized = (np.arange(12) < 4)[None]
    return Perturbation(
        alphas=np.array([0.1]),
        point=("a", "b"),
        depth=np.array([0.0, 1.0]),
        n_layers=1,
        cosine=cosine,
        centred_cosine=cosine,
        lens_kl=cosine,
        score=memorized.astype(float),
        memorized=memorized,
        log_prob=-np.ones((1, 12)),
        windows=windows,
        provenance=Provenance.of("perturb", model, windows),
    )


def test_summaries_by_hand(models: dict[str, TransformerBridge], windows: Windows) -> None:
    noisy = made_up(windows, models["Pythia"])
    groups = {"memorized": np.arange(12) < 4, "unmemorized": np.arange(12) >= 4}
    regained = noisy.regained(groups=groups).set_index("group")
    assert regained.loc["memorized", "value"] == pytest.approx(0.2)
    assert regained.loc["unmemorized", "value"] == pytest.approx(0.4)
    contrast = regained.loc["memorized - unmemorized"]
    assert contrast["value"] == pytest.approx(-0.2)
    assert contrast["n"] == 12
    assert contrast["n_documents"] == 2, "those of the smaller group"
    assert contrast[["low", "high"]].isna().all()
    scores = noisy.scores(structural={"code"}).set_index("statistic")
    assert scores.loc["rate", "value"] == pytest.approx(4 / 12)
    assert scores.loc["structural_share", "value"] == pytest.approx(2 / 4)  # domains alternate code, prose
    assert np.isnan(noisy.scores(groups={"none": np.zeros(12, dtype=bool)})["value"]).all()
    curve = noisy.curves("cosine", groups=groups)
    assert curve.query("group == 'memorized' and depth == 1")["value"].item() == pytest.approx(0.7)
    assert len(noisy.to_frame()) == 24


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["OLMo1"]
    with pytest.raises(ValueError, match="none negative, none twice"):
        perturb(model, windows, alphas=(0.1, 0.1))
    with pytest.raises(ValueError, match="none negative"):
        perturb(model, windows, alphas=(-0.1,))
    with pytest.raises(HookError, match="layer 4 is out of range"):
        perturb(model, windows, layer=4)
    with pytest.raises(WindowError, match="positions 0 to 31"):
        perturb(model, windows, positions=[64])
    with pytest.raises(WindowError, match="no windows"):
        perturb(model, windows.select(np.array([], dtype=int)))


def test_a_site_that_takes_no_noise_is_refused(models: dict[str, TransformerBridge], windows: Windows) -> None:
    # Without the tests' own type checks, which would refuse it first and are not there in use.
    config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(HookError, match="site 'hook_resid_mid' cannot have noise; choose from hook_resid_pre"):
            perturb(models["OLMo1"], windows, site="hook_resid_mid")
    finally:
        config.update("jaxtyping_disable", False)
