"""Token substitution: one token changes and no other, and the fall is what a plain loop gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.noise.substitution import draw_substitutes, substitute
from interp.models.hooks import logits


def test_fall_against_a_plain_loop(model: TransformerBridge, windows: Windows) -> None:
    result = substitute(model, windows, positions=[3, 31], n_draws=2, seed=5)
    unigrams = np.bincount(windows.tokens.numpy().ravel(), minlength=2048).astype(float)

    def log_prob(tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            log_p = logits(model, tokens)[:, 31:63].log_softmax(-1)
        return log_p.gather(-1, windows.continuation[..., None])[..., 0].mean(1)

    clean = log_prob(windows.tokens)
    np.testing.assert_allclose(result.log_prob, clean.numpy(), atol=1e-5)
    for column, position in enumerate((3, 31)):
        drawn = draw_substitutes(windows, position, n_draws=2, unigrams=unigrams, seed=5)
        falls = []
        for draw in range(2):
            tokens = windows.tokens.clone()
            tokens[:, position] = drawn[:, draw]
            falls.append(clean - log_prob(tokens))
        np.testing.assert_allclose(result.fall[:, column], torch.stack(falls).mean(0).numpy(), atol=1e-5)


def test_batch_size_and_other_windows_change_nothing(model: TransformerBridge, windows: Windows) -> None:
    # The corpus is fixed: the tested windows' own unigrams would change with the selection.
    whole = substitute(model, windows, positions=[7], n_draws=3, corpus=windows)
    rows = np.array([9, 1])
    some = substitute(model, windows.select(rows), positions=[7], n_draws=3, corpus=windows, batch_size=5)
    np.testing.assert_allclose(some.fall, whole.fall[rows], atol=1e-5)


def test_draws() -> None:
    """Never the token itself, only tokens of the corpus, and as often as they stand in it."""
    windows = Windows.from_tokens(torch.tensor([[5, 1, 1, 1]] * 200), prefix_len=2)
    unigrams = np.array([0.0, 3.0, 1.0, 0.0, 0.0, 9.0])
    drawn = draw_substitutes(windows, 0, n_draws=20, unigrams=unigrams, seed=0).numpy()
    assert set(drawn.ravel()) == {1, 2}
    assert (drawn == 1).mean() == pytest.approx(0.75, abs=0.03)  # 3 of 4 once token 5 is out
    assert not np.array_equal(drawn, draw_substitutes(windows, 0, n_draws=20, unigrams=unigrams, seed=1))
    assert not np.array_equal(drawn, draw_substitutes(windows, 1, n_draws=20, unigrams=unigrams, seed=0))
    np.testing.assert_array_equal(drawn, draw_substitutes(windows, 0, n_draws=20, unigrams=unigrams, seed=0))


def test_curves_and_frame(models: dict[str, TransformerBridge], windows: Windows) -> None:
    result = substitute(models["OLMo2"], windows, n_draws=1, positions=[0, 31])
    curve = result.curves()
    np.testing.assert_allclose(curve["value"], result.fall.mean(axis=0))
    assert curve["position"].tolist() == [0, 31]
    frame = result.to_frame()
    assert len(frame) == 24
    assert (frame[frame["position"] == 31]["token"].to_numpy() == windows.tokens[:, 31].numpy()).all()


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["StarCoder"]
    with pytest.raises(WindowError, match=r"positions \[32\] are outside the prefix, 0 to 31"):
        substitute(model, windows, positions=[32])
    with pytest.raises(ValueError, match="n_draws=0"):
        substitute(model, windows, n_draws=0)
    with pytest.raises(WindowError, match="the only token of the distribution"):
        substitute(model, Windows.from_tokens(torch.ones(2, 4, dtype=torch.int64), prefix_len=2))
    with pytest.raises(WindowError, match="no windows"):
        substitute(model, windows.select(np.array([], dtype=int)))
