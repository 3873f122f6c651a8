"""Tokens substituted together: one alone is the single substitution, none is nothing, and a plain loop agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.noise.substitution import blocks, draw_substitutes, ends, substitute, substitute_sets
from interp.models.hooks import logits
from interp.statistical.extraction import extract


def test_a_set_of_one_is_the_single_substitution_and_the_empty_set_is_nothing(
    model: TransformerBridge, windows: Windows
) -> None:
    single = substitute(model, windows, positions=[3, 31], n_draws=2, seed=4)
    sets = substitute_sets(model, windows, {"none": [], "31": [31], "3": [3]}, n_draws=2, seed=4)
    np.testing.assert_array_equal(sets.fall[:, 1:], single.fall[:, ::-1])
    np.testing.assert_array_equal(sets.log_prob, single.log_prob)
    assert (sets.fall[:, 0] == 0).all()
    assert sets.positions == ((), (31,), (3,))


def test_against_a_plain_loop(model: TransformerBridge, windows: Windows) -> None:
    """Every token of the set is another, at once, and no other token is."""
    chosen = [0, 5, 30]
    result = substitute_sets(model, windows, {"three": chosen}, n_draws=2, seed=5)
    unigrams = np.bincount(windows.tokens.numpy().ravel(), minlength=2048).astype(float)

    def log_prob(tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            log_p = logits(model, tokens)[:, 31:63].log_softmax(-1)
        return log_p.gather(-1, windows.continuation[..., None])[..., 0].mean(1)

    falls = []
    for draw in range(2):
        tokens = windows.tokens.clone()
        for position in chosen:
            tokens[:, position] = draw_substitutes(windows, position, n_draws=2, unigrams=unigrams, seed=5)[:, draw]
        assert ((tokens != windows.tokens).sum(dim=1) == 3).all()
        falls.append(log_prob(windows.tokens) - log_prob(tokens))
    np.testing.assert_allclose(result.fall[:, 0], torch.stack(falls).mean(0).numpy(), atol=1e-5)


def test_recited_is_what_greedy_decoding_says(model: TransformerBridge, windows: Windows) -> None:
    """Windows that continue as the model does are recited; after a new prefix as often as ``extract`` says."""
    short = replace(windows, tokens=windows.tokens[:, :28], prefix_len=24)
    own = short.tokens.clone()
    own[:, 24:] = torch.from_numpy(extract(model, short).generated)
    memorized = replace(short, tokens=own)
    unigrams = np.bincount(own.numpy().ravel(), minlength=2048).astype(float)
    result = substitute_sets(model, memorized, {"none": [], "first": [0, 1], "all": range(24)}, n_draws=3, seed=2)
    assert (result.memorized[:, 0] == 1).all()
    for column, chosen in ((1, range(2)), (2, range(24))):
        kept = np.zeros(12)
        for draw in range(3):
            tokens = own.clone()
            for position in chosen:
                drawn = draw_substitutes(memorized, position, n_draws=3, unigrams=unigrams, seed=2)
                tokens[:, position] = drawn[:, draw]
            kept += extract(model, replace(memorized, tokens=tokens)).memorized
        np.testing.assert_allclose(result.memorized[:, column], kept / 3)


def test_batch_size_and_other_windows_change_nothing(model: TransformerBridge, windows: Windows) -> None:
    sets = {"first": range(4), "last": range(28, 32)}
    whole = substitute_sets(model, windows, sets, n_draws=3, corpus=windows)
    rows = np.array([9, 1])
    some = substitute_sets(model, windows.select(rows), sets, n_draws=3, corpus=windows, batch_size=5)
    np.testing.assert_allclose(some.fall, whole.fall[rows], atol=1e-5)
    assert not np.allclose(substitute_sets(model, windows, sets, n_draws=3, seed=1).fall, whole.fall)


def test_ends_and_blocks() -> None:
    assert ends(8, sizes=(1, 3)) == {
        "first 1": range(1), "first 3": range(3), "last 1": range(7, 8), "last 3": range(5, 8),
    }  # fmt: skip
    assert blocks(10, size=4) == {"0-3": range(4), "4-7": range(4, 8), "8-9": range(8, 10)}


def test_curves_and_frame(models: dict[str, TransformerBridge], windows: Windows) -> None:
    result = substitute_sets(models["OLMo2"], windows, blocks(32, size=16), n_draws=1)
    curve = result.curves("fall", groups={"half": np.arange(12) < 6})
    assert curve["set"].tolist() == ["0-15", "16-31"]
    assert curve["n_positions"].tolist() == [16, 16]
    np.testing.assert_allclose(curve["value"], result.fall[:6].mean(axis=0))
    np.testing.assert_allclose(result.curves("memorized")["value"], result.memorized.mean(axis=0))
    frame = result.to_frame()
    assert len(frame) == 24
    np.testing.assert_array_equal(frame[frame["set"] == "16-31"]["fall"], result.fall[:, 1])


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["StarCoder"]
    with pytest.raises(WindowError, match=r"positions \[-1, 32\] are outside the prefix, 0 to 31"):
        substitute_sets(model, windows, {"far": [3, 32, -1]})
    with pytest.raises(WindowError, match="'twice' names a position twice"):
        substitute_sets(model, windows, {"twice": [3, 3]})
    with pytest.raises(WindowError, match="no set"):
        substitute_sets(model, windows, {})
    with pytest.raises(ValueError, match="n_draws=0"):
        substitute_sets(model, windows, {"one": [1]}, n_draws=0)
