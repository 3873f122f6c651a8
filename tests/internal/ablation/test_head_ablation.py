"""Head ablation: the fast sweep is the plain loop, in every architecture, by every method and metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import random_windows, written_by
from transformer_lens.model_bridge import TransformerBridge

from interp.internal.ablation.choices import Method
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.reference import ablate_heads_plainly
from interp.internal.ablation.replacement import Ablation, AblationError
from interp.internal.ablation.sets import ablate_sets
from interp.models.hooks import checked_hooks, hook_name, logits

METHODS: tuple[Method, ...] = ("zero", "mean", "resample", "peer_mean")


@pytest.mark.parametrize("method", METHODS)
def test_fast_sweep_is_the_plain_loop(model: TransformerBridge, method: Method) -> None:
    windows = written_by(model, random_windows(11, seed=3))
    settings = dict(
        ablation=Ablation(method, reference=random_windows(5, seed=4) if method == "mean" else None, seed=5),
        metrics=("log_prob", "rate", "score"),
    )
    fast = ablate_heads(model, windows, batch_size=4, **settings)
    plain = ablate_heads_plainly(model, windows, batch_size=11, **settings)
    assert 0 < plain.memorized.mean() < 1
    assert 0 < plain.score.mean() < 1
    np.testing.assert_allclose(fast.log_prob_clean, plain.log_prob_clean, atol=1e-5)
    np.testing.assert_allclose(fast.log_prob, plain.log_prob, atol=1e-4)
    np.testing.assert_array_equal(fast.memorized_clean, plain.memorized_clean)
    np.testing.assert_array_equal(fast.memorized, plain.memorized)
    np.testing.assert_array_equal(fast.score_clean, plain.score_clean)
    np.testing.assert_array_equal(fast.score, plain.score)


def test_tokens_are_those_of_a_hooked_pass(model: TransformerBridge) -> None:
    windows = written_by(model, random_windows(5, seed=6))
    kept = ablate_heads(model, windows, by_token=True, batch_size=2, heads=[(1, 2), (3, 0)])

    def without_head(z: torch.Tensor, hook: object) -> torch.Tensor:
        z = z.clone()
        z[:, :, 2] = 0.0
        return z

    def by_hand(hooks: dict) -> np.ndarray:
        with checked_hooks(model, hooks):
            out = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1].log_softmax(-1)
        return out.gather(-1, windows.continuation[..., None]).squeeze(-1).detach().numpy()

    clean, ablated = by_hand({}), by_hand({hook_name("hook_z", 1): without_head})
    np.testing.assert_allclose(kept.token_log_prob_clean, clean, atol=1e-4)
    np.testing.assert_allclose(kept.token_log_prob[1, 2], ablated, atol=1e-4)
    np.testing.assert_allclose(kept.token_falls()[1, 2], clean - ablated, atol=1e-4)
    np.testing.assert_allclose(kept.token_falls().mean(-1), kept.falls("log_prob"), atol=1e-5)
    assert np.isnan(kept.token_log_prob).any(axis=(2, 3)).sum() == model.cfg.n_layers * model.cfg.n_heads - 2


def test_tokens_are_kept_only_where_asked(models: dict[str, TransformerBridge]) -> None:
    with pytest.raises(AblationError, match="by_token=True"):
        ablate_heads(models["Pythia"], random_windows(2, seed=1), heads=[(0, 0)]).token_falls()


def test_progress_is_told_and_ends_the_sweep(models: dict[str, TransformerBridge]) -> None:
    model, windows, told = models["Pythia"], random_windows(6, seed=1), []
    ablate_heads(model, windows, batch_size=4, progress=told.append)
    assert sum(told) == 6 * model.cfg.n_layers * model.cfg.n_heads

    def stop(n: int) -> None:
        raise KeyboardInterrupt

    for measure in (ablate_heads, lambda m, w, **settings: ablate_sets(m, w, [[(0, 0)]], **settings)):
        with pytest.raises(KeyboardInterrupt):
            measure(model, windows, progress=stop)
