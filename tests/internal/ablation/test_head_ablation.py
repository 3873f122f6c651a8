"""Head ablation: the fast sweep is the plain loop, in every architecture, by every method and metric."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_windows, written_by
from transformer_lens.model_bridge import TransformerBridge

from interp.internal.ablation.choices import Method
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.reference import ablate_heads_plainly

METHODS: tuple[Method, ...] = ("zero", "mean", "resample", "peer_mean")


@pytest.mark.parametrize("method", METHODS)
def test_fast_sweep_is_the_plain_loop(model: TransformerBridge, method: Method) -> None:
    windows = written_by(model, random_windows(11, seed=3))
    settings = dict(
        method=method,
        metrics=("log_prob", "rate", "score"),
        reference=random_windows(5, seed=4) if method == "mean" else None,
        seed=5,
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
