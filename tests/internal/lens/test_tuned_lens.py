"""Tuned lens: the identity is the plain lens, training brings layers nearer the final one, overlap is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.lens.logit_lens import logit_lens
from interp.internal.lens.tuned_lens import TunedLens, TunedLensError, refuse_overlap, train_tuned_lens, tuned_lens


@pytest.fixture(scope="module")
def training() -> Windows:
    ids = torch.randint(0, 2048, (24, 40), generator=torch.Generator().manual_seed(9))
    return Windows.from_tokens(ids, document=[f"training-{i // 2}" for i in range(24)], source="more random tokens")


def test_untrained_is_the_plain_lens(model: TransformerBridge, windows: Windows, training: Windows) -> None:
    lens = train_tuned_lens(model, training, tested=windows, n_steps=0)
    tuned, plain = tuned_lens(model, windows, lens), logit_lens(model, windows)
    np.testing.assert_allclose(tuned.log_prob, plain.log_prob, atol=1e-6)
    assert tuned.provenance.measurement == "tuned_lens"


def test_training(model: TransformerBridge, windows: Windows, training: Windows, tmp_path: Path) -> None:
    before = {name: p.clone() for name, p in model.named_parameters()}
    grads = {name: p.requires_grad for name, p in model.named_parameters()}
    lens = train_tuned_lens(model, training, tested=windows, n_steps=10, learning_rate=1e-2, batch_size=4)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), "the model is not trained"
        assert p.requires_grad == grads[name]
        assert p.grad is None
    # On held-out windows no layer is worse than the plain lens, and the layers together are better.
    assert (lens.held_out_kl.min(axis=0) <= lens.held_out_kl[0]).all()
    tuned, plain = tuned_lens(model, windows, lens), logit_lens(model, windows)
    assert tuned.kl.mean() < plain.kl.mean(), "also on windows that it has never seen"
    np.testing.assert_array_equal(tuned.log_prob[-1], plain.log_prob[-1])
    loaded = TunedLens.load(lens.save(tmp_path / "lens"))
    np.testing.assert_array_equal(tuned_lens(model, windows, loaded).kl, tuned.kl)
    assert loaded.provenance == lens.provenance
    np.testing.assert_array_equal(loaded.held_out_kl, lens.held_out_kl)
    translators = tmp_path / "lens" / "translators.safetensors"
    translators.write_bytes(translators.read_bytes()[:-1] + b"?")
    with pytest.raises(TunedLensError, match="does not match its cfg.json"):
        TunedLens.load(tmp_path / "lens")
    (tmp_path / "lens" / "cfg.json").write_text("[]")
    with pytest.raises(TunedLensError, match="does not describe a tuned lens"):
        TunedLens.load(tmp_path / "lens")


def test_kept_step_is_the_best(models: dict[str, TransformerBridge], windows: Windows, training: Windows) -> None:
    """A learning rate that does harm leaves the identity."""
    lens = train_tuned_lens(models["OLMo1"], training, tested=windows, n_steps=2, learning_rate=30.0, batch_size=4)
    assert (lens.held_out_kl[1:, :-1] > lens.held_out_kl[0, :-1]).all(), "the rate was meant to do harm"
    assert (lens.weight == 0).all()
    assert (lens.bias == 0).all()


def test_seed(models: dict[str, TransformerBridge], windows: Windows, training: Windows) -> None:
    one, same, other = (
        train_tuned_lens(models["Pythia"], training, tested=windows, n_steps=2, batch_size=4, seed=s).weight
        for s in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_overlap_is_refused(models: dict[str, TransformerBridge], windows: Windows, training: Windows) -> None:
    tokens = training.tokens.clone()
    tokens[5, 3:35] = windows.tokens[2, 20:52]
    with pytest.raises(WindowError, match="training window 5 shares 32 tokens in a row"):
        train_tuned_lens(models["Pythia"], replace(training, tokens=tokens), tested=windows)
    tokens[5, 3] = (tokens[5, 3] + 1) % 2048  # 31 in a row are not an overlap
    refuse_overlap(replace(training, tokens=tokens), windows)


def test_refusals(models: dict[str, TransformerBridge], windows: Windows, training: Windows) -> None:
    with pytest.raises(WindowError, match="two documents"):
        train_tuned_lens(models["Pythia"], training.select(np.array([0, 1])), tested=windows)
    lens = train_tuned_lens(models["Pythia"], training, tested=windows, n_steps=0)
    shorter = {"point": lens.point[1:], "weight": lens.weight[1:], "bias": lens.bias[1:]}
    with pytest.raises(ValueError, match="3 layers"):
        tuned_lens(models["Pythia"], windows, replace(lens, held_out_kl=lens.held_out_kl[:, 1:], **shorter))
