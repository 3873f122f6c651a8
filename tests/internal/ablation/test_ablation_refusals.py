"""What head ablation refuses, and what must not depend on how it is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_windows, write_checkpoint, written_by
from test_head_ablation import METHODS
from transformer_lens.model_bridge import TransformerBridge
from transformers import LlamaConfig

from interp.data.windows import WindowError, Windows
from interp.errors import InterpError
from interp.internal.ablation.choices import Method
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation, AblationError
from interp.models.hooks import ActivationError
from interp.models.loading import load_model
from interp.stats.columns import estimate_of


@pytest.fixture
def llama(models: dict[str, TransformerBridge]) -> TransformerBridge:
    return models["OpenLLaMA"]


@pytest.mark.parametrize("method", METHODS)
def test_same_for_any_batch_size_and_budget(models: dict[str, TransformerBridge], method: Method) -> None:
    model = models["OLMo3"]
    windows = written_by(model, random_windows(9, seed=3))
    settings = dict(
        ablation=Ablation(method, reference=random_windows(5, seed=4) if method == "mean" else None),
        metrics=("log_prob", "score"),
    )
    one = ablate_heads(model, windows, batch_size=9, **settings)
    other = ablate_heads(model, windows, batch_size=2, memory_budget=2**18, **settings)
    np.testing.assert_allclose(one.log_prob, other.log_prob, atol=1e-5)
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.memorized, other.memorized)


def test_resample_is_fixed_by_its_seed_and_another_seed_changes_it(llama: TransformerBridge) -> None:
    windows = random_windows(8, seed=1)
    first, again, other = (ablate_heads(llama, windows, Ablation("resample", seed=s)).log_prob for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_resample_never_gives_a_window_itself(llama: TransformerBridge) -> None:
    # With two windows each can only be given the other: exchanging them must not reproduce the clean run.
    windows = random_windows(2, seed=1)
    result = ablate_heads(llama, windows, "resample")
    assert (np.abs(result.falls("log_prob")) > 1e-6).any(axis=(0, 1)).all()
    with pytest.raises(AblationError, match="a window other than the tested one"):
        ablate_heads(llama, windows.select(np.array([0])), "resample")


def test_mean_over_all_positions_is_one_value(llama: TransformerBridge) -> None:
    windows, reference = random_windows(4, seed=1), random_windows(6, seed=2)
    by_position = ablate_heads(llama, windows, Ablation("mean", reference=reference))
    over_all = ablate_heads(llama, windows, Ablation("mean", mean_over="all", reference=reference))
    assert not np.allclose(by_position.log_prob, over_all.log_prob)
    # Windows given twice have the mean of windows given once.
    doubled = Windows.from_tokens(reference.tokens.repeat(2, 1), prefix_len=reference.prefix_len)
    again = ablate_heads(llama, windows, Ablation("mean", reference=doubled))
    np.testing.assert_allclose(by_position.log_prob, again.log_prob, atol=1e-6)


def test_unmeasured_is_nan(llama: TransformerBridge) -> None:
    result = ablate_heads(llama, random_windows(4, seed=1), heads=[(2, 1)])
    assert np.isnan(result.score).all()
    assert np.isnan(result.score_clean).all()
    assert np.isnan(result.importance("rate")).sum() == 15
    assert result.top(5) == [(2, 1)]
    assert set(result.to_frame()["metric"]) == {"log_prob", "rate"}


def test_interval_by_hand(llama: TransformerBridge) -> None:
    result = ablate_heads(llama, random_windows(12, seed=1))
    interval = result.importance_intervals()[1][2]
    assert interval.value == pytest.approx(float((result.log_prob_clean - result.log_prob[1, 2]).mean()))
    assert interval.low < interval.value < interval.high
    assert (interval.n, interval.n_documents) == (12, 6)
    frame = result.to_frame()
    assert (frame["n_documents"] == 6).all()
    (row,) = frame[(frame["layer"] == 1) & (frame["head"] == 2) & (frame["metric"] == "log_prob")].to_dict("records")
    assert estimate_of(row) == interval


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ablation": Ablation("mean", reference=random_windows(4, seed=1))}, "4 reference windows share 21 tokens in"),
        (
            {"ablation": Ablation("mean", reference=random_windows(2, seed=9, n_pos=30))},
            "30 tokens, the tested ones 21",
        ),
        ({"heads": [(4, 0)]}, "no head 0 in layer 4: its layers are 0 to 3, its heads 0 to 3"),
        ({"heads": [(0, -1)]}, "no head -1 in layer 0"),
        ({"metrics": ()}, "choose at least one of log_prob, rate, score"),
    ],
)
def test_refusals(llama: TransformerBridge, settings: dict, message: str) -> None:
    with pytest.raises(AblationError, match=message):
        ablate_heads(llama, random_windows(4, seed=1), **settings)


def test_an_ablation_that_cannot_be_is_refused_before_any_model(llama: TransformerBridge) -> None:
    with pytest.raises(AblationError, match="mean needs reference windows"):
        Ablation("mean")
    with pytest.raises(AblationError, match="zero uses no reference"):
        Ablation("zero", reference=random_windows(2, seed=9))
    with pytest.raises(AblationError, match="mean needs reference windows"):
        ablate_heads(llama, random_windows(2, seed=1), "mean")
    with pytest.raises(InterpError, match="seed"):
        Ablation("resample", seed=-1)


def test_a_method_by_its_name_is_the_ablation_by_that_method(llama: TransformerBridge) -> None:
    windows = random_windows(2, seed=1)
    by_name, in_full = (
        ablate_heads(llama, windows, given, heads=[(1, 1)]) for given in ("peer_mean", Ablation("peer_mean"))
    )
    np.testing.assert_array_equal(by_name.log_prob, in_full.log_prob)
    assert by_name.provenance.settings == in_full.provenance.settings


def test_a_reference_that_is_cut_from_the_tested_text_is_refused(llama: TransformerBridge) -> None:
    """Not only the same windows: half of a tested window, at another place, is tested text too."""
    text = torch.randint(0, 2048, (1, 96), generator=torch.Generator().manual_seed(5))
    tested, shifted = (Windows.from_tokens(text[:, at : at + 64]) for at in (0, 32))
    other = Windows.from_tokens(text.flip(1)[:, :64], window=[8])
    for method in ("mean", "resample"):
        with pytest.raises(AblationError, match="1 reference windows share 32 tokens in a row .*window 0"):
            ablate_heads(llama, tested, Ablation(method, reference=shifted), heads=[(0, 0)])
        ablate_heads(llama, tested, Ablation(method, reference=other), heads=[(0, 0)])


def test_peer_mean_in_a_one_head_layer(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=2048, hidden_size=16, num_hidden_layers=2, num_attention_heads=1, intermediate_size=32,
        max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = load_model(write_checkpoint(config, tmp_path), device="cpu")
    with pytest.raises(AblationError, match="has one head per layer"):
        ablate_heads(model, random_windows(3, seed=1), "peer_mean")


def test_windows_that_do_not_fit(llama: TransformerBridge) -> None:
    with pytest.raises(WindowError, match="longer than the context"):
        ablate_heads(llama, random_windows(2, seed=1, n_pos=80))
    with pytest.raises(WindowError, match="no prefix or no continuation"):
        random_windows(2, seed=1, n_pos=18)


def test_activations_that_are_not_finite_name_layer_and_window(checkpoints: dict[str, Path]) -> None:
    model = load_model(checkpoints["OLMo1"], device="cpu")
    windows = random_windows(4, seed=1)
    token = next(i for i in range(2048) if i not in windows.tokens)
    windows.tokens[2, 5] = token
    with torch.no_grad():
        model.embed.original_component.weight[token] = float("nan")
    with pytest.raises(ActivationError, match=r"at blocks\.0\.hook_resid_post on window 2;"):
        ablate_heads(model, windows)
