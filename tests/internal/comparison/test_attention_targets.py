"""What heads look at: masks by hand, shares against a plain loop, and correlations as scipy has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.internal.comparison.attention_targets import (
    ENTROPY,
    TARGETS,
    AttentionTargets,
    attention_targets,
    rare_types,
    spearman,
    target_masks,
)
from interp.models.hooks import activations, hook_name


@pytest.fixture(scope="module")
def repeating(windows: Windows) -> Windows:
    """Windows with few types, so that tokens come again; the last one never repeats."""
    tokens = windows.tokens % 30
    tokens[-1] = torch.arange(64) + 100
    return Windows.from_tokens(tokens, document=windows.document.tolist())


def test_masks_by_hand() -> None:
    tokens = torch.tensor([[7, 8, 7, 9, 7, 7]])
    rare = np.zeros(10, dtype=bool)
    rare[9] = True
    masks = target_masks(tokens, rare, slice(0, 6))[:, 0]
    by_name = dict(zip(TARGETS, masks, strict=True))
    assert by_name["first"].nonzero().tolist() == [[q, 0] for q in range(6)]
    assert by_name["start"][2].nonzero().ravel().tolist() == [1, 2]
    assert by_name["start"][5].nonzero().ravel().tolist() == [1, 2, 3, 4]
    assert by_name["rare"].nonzero().tolist() == [[3, 3], [4, 3], [5, 3]]
    # Token 7 at 2 came last at 0, so 1; at 4 last at 2, so 3; at 5 last at 4, so 5 itself.
    assert by_name["induction"].nonzero().tolist() == [[2, 1], [4, 3], [5, 5]]


def test_rare_types_by_hand() -> None:
    tokens = torch.tensor([[0] * 6 + [1] * 2 + [2, 3]])  # shares 0.6, 0.2, 0.1, 0.1; type 4 is never seen
    assert rare_types(tokens, d_vocab=5, share=0.2).tolist() == [False, False, True, True, True]
    assert rare_types(tokens, d_vocab=5, share=0.1).tolist() == [False] * 4 + [True]


def test_against_a_plain_loop(model: TransformerBridge, repeating: Windows) -> None:
    found = attention_targets(model, repeating)
    name = hook_name("hook_pattern", 1)
    pattern = activations(model, repeating.tokens, [name])[name]
    rare = rare_types(repeating.tokens, d_vocab=2048, share=0.1)
    for window in (0, 5, 11):
        tokens = repeating.tokens[window].tolist()
        to: dict[str, list[float]] = {target: [] for target in TARGETS}
        entropies = []
        for q in range(31, 63):
            row = pattern[window, 2, q].double()
            to["first"].append(float(row[0]))
            to["start"].append(float(row[1:5].sum()))
            to["rare"].append(sum(float(row[k]) for k in range(q + 1) if rare[tokens[k]]))
            previous = [j for j in range(q) if tokens[j] == tokens[q]]
            if previous:
                to["induction"].append(float(row[previous[-1] + 1]))
            entropies.append(-sum(float(p) * np.log(float(p)) for p in row[: q + 1] if p > 0))
        for i, target in enumerate(TARGETS):
            expected = np.mean(to[target]) if to[target] else np.nan
            assert found.share[i, 1, 2, window] == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert found.entropy[1, 2, window] == pytest.approx(np.mean(entropies), abs=1e-5)
    assert np.isnan(found.share[TARGETS.index("induction"), :, :, -1]).all(), "the last window has no repetition"
    assert found.uniform[0, 0] == pytest.approx(np.mean([1 / (q + 1) for q in range(31, 63)]))


def test_batch_size_changes_nothing(model: TransformerBridge, repeating: Windows) -> None:
    one, many = attention_targets(model, repeating, batch_size=5), attention_targets(model, repeating)
    np.testing.assert_allclose(one.share, many.share, atol=1e-5)
    np.testing.assert_allclose(one.uniform, many.uniform)


def test_sliding_window_cannot_look_back_further(models: dict[str, TransformerBridge], repeating: Windows) -> None:
    """OLMo3's local layers see 16 tokens: from position 31 on, the first position is out of sight."""
    found = attention_targets(models["OLMo3"], repeating)
    kinds = models["OLMo3"].original_model.config.layer_types
    for layer, kind in enumerate(kinds):
        assert (found.share[0, layer] == 0).all() == (kind == "sliding_attention")


def test_spearman_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 8, size=(2, 30)).astype(float)
    assert spearman(pair, np.zeros(30, dtype=int)) == pytest.approx(spearmanr(*pair).statistic)
    # Layer shifts alone correlate all heads, and nothing within layers.
    layers = np.repeat([0, 1], 4)
    shifted = np.array([[1, 2, 3, 4, 11, 12, 13, 14], [2, 4, 1, 3, 12, 14, 11, 13]], dtype=float)
    assert spearman(shifted, np.zeros(8, dtype=int)) > 0.6
    assert spearman(shifted, layers) == pytest.approx(0)
    assert np.isnan(spearman(np.ones((2, 4)), np.zeros(4, dtype=int)))


def test_correlation_finds_what_is_planted(models: dict[str, TransformerBridge], repeating: Windows) -> None:
    found = attention_targets(models["OpenLLaMA"], repeating)
    frame = found.correlation(found.mean("induction"), n_resamples=100).set_index(["target", "over"])
    assert frame.loc[("induction", "all_heads"), "value"] == pytest.approx(1)
    assert frame.loc[("induction", "within_layers"), "value"] == pytest.approx(1)
    other = frame.loc[(ENTROPY, "all_heads")]
    assert other["low"] < other["value"] < other["high"]
    assert other["n"] == 16
    table = found.top_against_rest(found.mean("first")).set_index(["target", "heads"])["value"]
    assert table["first", "top"] > table["first", "other"]


def test_frame(models: dict[str, TransformerBridge], repeating: Windows) -> None:
    found: AttentionTargets = attention_targets(models["Pythia"], repeating)
    frame = found.to_frame()
    assert len(frame) == 16 * 5
    row = frame[(frame["layer"] == 2) & (frame["head"] == 1) & (frame["target"] == "induction")].iloc[0]
    assert row["value"] == pytest.approx(np.nanmean(found.share[3, 2, 1]))
    assert row["n"] == 11
    assert frame[frame["target"] == ENTROPY]["uniform"].isna().all()


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    with pytest.raises(WindowError, match="beyond the vocabulary"):
        attention_targets(models["Pythia"], windows, corpus=Windows.from_tokens(windows.tokens + 2048))
