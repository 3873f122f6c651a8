"""Head ablation: the fast sweep is the plain loop, in every architecture, by every method and metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.internal.ablation import ablate_heads
from interp.internal.ablation_reference import ablate_heads_plainly
from interp.internal.choices import Method

METHODS: tuple[Method, ...] = ("zero", "mean", "resample", "peer_mean")


def random_windows(n: int, *, seed: int, n_pos: int = 21, prefix_len: int = 18) -> Windows:
    """Longer than OLMo3's sliding window of 16, with a short continuation so that the plain loop is quick."""
    ids = torch.randint(0, 2048, (n, n_pos), generator=torch.Generator().manual_seed(seed))
    return Windows.from_tokens(ids, prefix_len=prefix_len, document=[f"document-{i // 2}" for i in range(n)])


def written_by(model: TransformerBridge, windows: Windows) -> Windows:
    """Windows whose continuation the model itself writes, in part: memorized ones, ones missed early, and late."""
    tokens = windows.tokens.clone()
    for pos in range(windows.prefix_len, tokens.shape[1]):
        tokens[:, pos] = model(tokens[:, :pos], return_type="logits", prepend_bos=False)[:, -1].argmax(-1)
    for row in range(0, len(tokens), 4):
        tokens[row, windows.prefix_len + row % windows.continuation_len] = 7
    return Windows.from_tokens(tokens, prefix_len=windows.prefix_len, document=list(windows.document))


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
