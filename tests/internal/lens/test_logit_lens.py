"""Layer decoding: the last point is the model, and the quantities are what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.lens import distributions
from interp.internal.lens.distributions import READ, Distribution, decode, slices
from interp.internal.lens.first_layer import FirstLayer, first_holding
from interp.internal.lens.layer_decoding import QUANTITIES
from interp.internal.lens.logit_lens import lens_logits, logit_lens
from interp.models.hooks import ActivationError, activations, checked_hooks, hook_name, logits
from interp.models.loading import load_model
from interp.stats.curves import memorization_groups


def own_output(model: TransformerBridge, windows: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        log_p = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1].log_softmax(-1)
    return log_p, log_p.gather(-1, windows.continuation[..., None])[..., 0]


def test_last_point_is_the_model(model: TransformerBridge, windows: Windows) -> None:
    decoding = logit_lens(model, windows)
    log_p, true = own_output(model, windows)
    np.testing.assert_allclose(decoding.log_prob[-1], true.numpy(), atol=1e-5, rtol=0)
    better = (log_p > true[..., None]).sum(-1).numpy()
    assert (decoding.rank[-1] == better).all()
    np.testing.assert_allclose(decoding.entropy[-1], -(log_p.exp() * log_p).sum(-1).numpy(), atol=1e-4)
    assert (decoding.kl[-1] == 0).all()


def test_last_point_is_the_model_in_float64(checkpoints: dict, family: str, windows: Windows) -> None:
    model = load_model(checkpoints[family], device="cpu").to(torch.float64)
    decoding = logit_lens(model, windows)
    _, true = own_output(model, windows)
    assert decoding.log_prob.dtype == np.float64
    np.testing.assert_allclose(decoding.log_prob[-1], true.numpy(), atol=1e-10, rtol=0)


def test_first_point_decodes_the_embedding(model: TransformerBridge, windows: Windows) -> None:
    """Before layer 0 stands what Hugging Face hands its first layer, learned positions included."""
    decoding = logit_lens(model, windows)
    with torch.no_grad():
        embedded = model.original_model(windows.tokens, output_hidden_states=True).hidden_states[0]
        lens = lens_logits(model, embedded)[:, windows.prefix_len - 1 : -1].log_softmax(-1)
    true = lens.gather(-1, windows.continuation[..., None])[..., 0]
    np.testing.assert_allclose(decoding.log_prob[0], true.numpy(), atol=1e-5, rtol=0)


def test_middle_points_decode_hugging_face_hidden_states(model: TransformerBridge, windows: Windows) -> None:
    decoding = logit_lens(model, windows)
    with torch.no_grad():
        hidden = model.original_model(windows.tokens, output_hidden_states=True).hidden_states
        lens = lens_logits(model, hidden[2])[:, windows.prefix_len - 1 : -1].log_softmax(-1)
    true = lens.gather(-1, windows.continuation[..., None])[..., 0]
    assert decoding.depth[2] == 2
    np.testing.assert_allclose(decoding.log_prob[2], true.numpy(), atol=1e-5, rtol=0)


def test_batch_size_changes_nothing(model: TransformerBridge, windows: Windows) -> None:
    one, many = logit_lens(model, windows, batch_size=5), logit_lens(model, windows)
    np.testing.assert_allclose(one.log_prob, many.log_prob, atol=1e-4)
    np.testing.assert_allclose(one.kl, many.kl, atol=1e-4)


def test_after_attention(model: TransformerBridge, family: str, windows: Windows) -> None:
    decoding = logit_lens(model, windows, after_attention=True)
    plain = logit_lens(model, windows)
    assert list(decoding.depth) == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    np.testing.assert_array_equal(decoding.log_prob[decoding.after_layer], plain.log_prob)
    between = decoding.log_prob[~decoding.after_layer]
    if family == "Pythia":
        assert np.isnan(between).all(), "parallel blocks have no residual stream between attention and MLP"
        return
    assert np.isfinite(between).all()
    # The point is the stream before the layer plus what attention adds to it, after OLMo2's and OLMo3's own norm.
    added = "blocks.1.ln1_post.hook_out" if family in {"OLMo2", "OLMo3"} else "blocks.1.attn.hook_out"
    names = [hook_name("hook_resid_pre", 1), hook_name("hook_resid_mid", 1), added]
    pre, mid, attention = activations(model, windows.tokens, names).values()
    torch.testing.assert_close(mid, pre + attention)


def test_quantities_by_hand() -> None:
    """Three tokens with probabilities 1/2, 1/4, 1/4; the final layer says 1/4, 1/2, 1/4. The true token is the last."""
    lens = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log() + 7.0
    final = Distribution.of(torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64).log() - 3.0)
    assert final.divergence(lens.clone()).item() == pytest.approx(0.25 * np.log(2))
    found = decode(lens, final, torch.tensor([2]))
    decoded = {name: value.item() for name, value in zip(READ, found, strict=True)}
    assert decoded["log_prob"] == pytest.approx(np.log(0.25))
    assert decoded["rank"] == 1.5  # above it one; the token it ties with counts half, as if ties were broken at random
    assert decoded["entropy"] == pytest.approx(1.5 * np.log(2))  # 1/2 log 2 + 2 * 1/4 log 4
    assert decoded["kl"] == pytest.approx(0.25 * np.log(2))  # 1/4 log(1/2) + 1/2 log 2 + 1/4 log 1


def test_slices_leave_nothing_out(model: TransformerBridge, windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = logit_lens(model, windows)
    monkeypatch.setattr(distributions, "POSITIONS", 50)  # a slice begins and ends within a window
    assert [some.stop - some.start for some in slices(120, torch.device("cpu"))] == [50, 50, 20]
    cut = logit_lens(model, windows)
    for name in ("log_prob", "entropy", "kl"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), atol=1e-4)
    assert (cut.rank == whole.rank).mean() > 0.99, "two logits may change places by rounding"


def test_rows_in_cache_are_read_as_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also ties, and logits far from zero."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randint(-3, 60, (7, 50), generator=rng).double()
    final = torch.randn(7, 50, generator=rng, dtype=torch.float64)
    truth = torch.randint(50, (7,), generator=rng)
    monkeypatch.setattr(distributions, "IN_CACHE", 100)  # two rows
    log_prob, rank, entropy, kl = decode(logits.clone(), Distribution.of(final.clone()), truth)
    log_p, log_final = logits.log_softmax(-1), final.log_softmax(-1)
    own = logits.gather(-1, truth[:, None])
    assert torch.equal(rank, (logits > own).sum(-1) + ((logits == own).sum(-1) - 1) / 2)
    assert (rank % 1 != 0).any()
    torch.testing.assert_close(log_prob, log_p.gather(-1, truth[:, None])[:, 0])
    torch.testing.assert_close(entropy, -(log_p.exp() * log_p).sum(-1))
    torch.testing.assert_close(kl, (log_final.exp() * (log_final - log_p)).sum(-1))


def test_ranges(model: TransformerBridge, windows: Windows) -> None:
    decoding = logit_lens(model, windows)
    assert (decoding.kl > -1e-4).all()
    assert (decoding.entropy >= 0).all()
    assert (decoding.entropy <= np.log(decoding.d_vocab) + 1e-4).all()
    assert (decoding.rank[decoding.probability > 0.5] == 0).all()


def test_first_holding_by_hand() -> None:
    p = np.array(
        [  # tokens: always; drops and comes back; only at the end; lost at the end; never
            [0.9, 0.9, 0.1, 0.9, 0.1],
            [0.9, 0.1, 0.1, 0.9, 0.1],
            [0.9, 0.8, 0.6, 0.5, 0.1],
        ]
    )[:, None, :]
    first = first_holding(p, np.array([0.0, 1.0, 2.0]), 0.5)
    np.testing.assert_array_equal(first, [[0.0, 2.0, 2.0, np.nan, np.nan]])


def four_windows() -> Windows:
    return Windows.from_tokens(torch.zeros(4, 4, dtype=torch.int64), prefix_len=2)


def test_first_layer_summary_by_hand() -> None:
    layer = np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan], [2.0, 2.0]])
    first = FirstLayer(layer=layer, threshold=0.5, n_layers=3, windows=four_windows())
    summary = first.summary(
        {"some": np.array([True, True, False, True]), "none": np.array([False, False, True, False])}
    )
    value = summary.set_index(["group", "statistic"])["value"]
    # Tokens of "some": 1, 2, 2, 2, 3, never. Third of six: 2.
    assert value["some", "holds"] == pytest.approx(5 / 6)
    assert value["some", "holds_before_last"] == pytest.approx(4 / 6)
    assert value["some", "median"] == 2
    assert value["none", "holds"] == 0
    assert value["none", "median"] == np.inf
    curve = first.holding().set_index("depth")["value"]
    np.testing.assert_allclose(curve, [0, 1 / 8, 4 / 8, 5 / 8])


def test_first_layer_agrees_with_kaplan_meier() -> None:
    """statsmodels' survival function, with tokens that never hold censored at the last layer."""
    from statsmodels.duration.survfunc import SurvfuncRight

    rng = np.random.default_rng(0)
    layer = rng.integers(0, 5, size=(4, 30)).astype(float)
    layer[rng.random(layer.shape) < 0.3] = np.nan
    windows = Windows.from_tokens(torch.zeros(4, 32, dtype=torch.int64), prefix_len=2)
    first = FirstLayer(layer=layer, threshold=0.5, n_layers=4, windows=windows)
    survival = SurvfuncRight(np.nan_to_num(layer, nan=4).ravel() + 1, ~np.isnan(layer).ravel())
    np.testing.assert_allclose(1 - first.holding()["value"], survival.surv_prob)
    assert first.summary().set_index("statistic")["value"]["median"] == survival.quantile(0.5) - 1


def test_curves(model: TransformerBridge, windows: Windows) -> None:
    decoding = logit_lens(model, windows)
    groups = memorization_groups(np.array([1.0, 0.0, 0.5] * 4))
    curve = decoding.curves("probability", groups=groups)
    assert list(curve["group"].unique()) == ["memorized", "unmemorized"]
    assert (curve["n"] == 4).all()
    by_hand = decoding.probability[:, groups["memorized"]].mean(axis=(1, 2))
    np.testing.assert_allclose(curve.query("group == 'memorized'")["value"], by_hand, rtol=1e-5)
    assert curve[["low", "high"]].isna().all(axis=None), "four documents give no interval"
    every = decoding.curves("probability")
    assert ((every["low"] <= every["value"]) & (every["value"] <= every["high"])).all()
    again, other = decoding.curves("kl", seed=3), decoding.curves("kl", seed=4)
    assert again.equals(decoding.curves("kl", seed=3))
    assert not again["low"].equals(other["low"])
    # Geometric: exp(mean(log(rank + 1))).
    ranks = decoding.curves("rank")["value"]
    np.testing.assert_allclose(ranks, np.exp(np.log(decoding.rank + 1.0).mean(axis=(1, 2))), rtol=1e-5)


def test_curves_by_position(models: dict[str, TransformerBridge], windows: Windows) -> None:
    decoding = logit_lens(models["OLMo3"], windows)
    by_position = decoding.curves_by_position("kl")
    assert len(by_position) == 5 * 32
    row = by_position[(by_position["depth"] == 2) & (by_position["position"] == 9)].iloc[0]
    assert row["value"] == pytest.approx(decoding.kl[2, :, 9].mean(), rel=1e-5)
    together = by_position.groupby("depth")["value"].mean()
    np.testing.assert_allclose(together, decoding.curves("kl")["value"], rtol=1e-5, atol=1e-9)


def test_frame(model: TransformerBridge, windows: Windows) -> None:
    decoding = logit_lens(model, windows)
    frame = decoding.to_frame()
    assert len(frame) == 5 * 12 * 32
    row = frame[(frame["depth"] == 3) & (frame["window"] == 7) & (frame["position"] == 32 + 5)].iloc[0]
    for quantity in QUANTITIES:
        assert row[quantity] == getattr(decoding, quantity)[3, 7, 5]


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["OLMo2"]
    with pytest.raises(WindowError, match="longer than the context"):
        logit_lens(model, Windows.from_tokens(torch.zeros(1, 65, dtype=torch.int64)))
    with pytest.raises(WindowError, match=r"shape \(3,\); it must be a mask"):
        logit_lens(model, windows).curves("kl", groups={"a": np.array([True, False, True])})
    with pytest.raises(ValueError, match="not a probability"):
        logit_lens(model, windows).first_layer(1.0)

    def spoil(activation: torch.Tensor, hook: object) -> torch.Tensor:
        activation[:, 3] = torch.inf
        return activation

    with (
        pytest.raises(ActivationError, match=r"blocks\.2\.hook_resid_post on window 0"),
        checked_hooks(model, {"blocks.2.hook_resid_post": spoil}),
    ):
        logit_lens(model, windows)
