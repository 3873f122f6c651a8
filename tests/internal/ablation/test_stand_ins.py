"""No text stands in for itself: copies and overlapping windows under other ids, as donors, halves and training text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.disjoint import by_text, linked, sharing
from interp.data.windows import WindowError, Windows
from interp.internal.ablation.cumulative import ranking_half
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation, AblationError
from interp.internal.ablation.screening import screen_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.lens.tuned_lens import TunedLens, train_tuned_lens, tuned_lens


def tokens(n: int, *, seed: int = 0, length: int = 64) -> torch.Tensor:
    return torch.randint(0, 2048, (n, length), generator=torch.Generator().manual_seed(seed))


def kin() -> Windows:
    """0 and 1 are copies; 2 has the prefix of 0; 3 is 0 moved on by 32 tokens; 4 has 31 tokens of it; 5 nothing."""
    ids = tokens(6)
    ids[1], ids[2, :32], ids[3, :32], ids[4, :31] = ids[0], ids[0, :32], ids[0, 32:], ids[0, 33:]
    return Windows.from_tokens(ids, window=[10, 11, 12, 13, 14, 15])


def test_who_shares_text_by_hand() -> None:
    assert [s.tolist() for s in sharing(kin())] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2], [0, 1, 3], [4], [5]]
    named = by_text(kin())
    assert named.tolist() == ["window-0"] * 4 + ["window-4", "window-5"]
    apart = Windows.from_tokens(tokens(4), document=["b", "a", "b", "c"])
    assert by_text(apart).tolist() == ["b", "a", "b", "c"]


def test_documents_are_linked_through_others() -> None:
    names = np.array(["a", "b", "c", "d", "d"])
    # a and b have text 0 in common, b's neighbour in a second kind is d; c stands alone.
    first, second = (np.array([0, 1]), np.array([0, 0])), (np.array([1, 4]), np.array([3, 3]))
    assert linked(names, first, second).tolist() == ["a", "a", "c", "a", "a"]
    assert linked(names).tolist() == names.tolist()


def donors(model: TransformerBridge, windows: Windows, seed: int) -> torch.Tensor:
    found = Ablation("resample", seed=seed).prepared(model, windows, lambda _: [])
    assert found.donors is not None
    return found.donors


def test_donors_share_nothing_with_the_window_they_stand_in_for(models: dict[str, TransformerBridge]) -> None:
    windows, shared = kin(), sharing(kin())
    seen: list[set[int]] = [set() for _ in range(6)]
    for seed in range(40):
        for i, donor in enumerate(donors(models["Pythia"], windows, seed)):
            seen[i].add(int((windows.tokens == donor).all(dim=1).nonzero()[0]))
    # A copy of window 0 is named by 0, the first that holds its tokens.
    for i, found in enumerate(seen):
        assert not found & set(shared[i].tolist())
        assert {0 if j == 1 else j for j in set(range(6)) - set(shared[i].tolist())} == found


def test_donors_of_distinct_windows_are_uniform_over_the_others(models: dict[str, TransformerBridge]) -> None:
    windows = Windows.from_tokens(tokens(4))
    drawn = [donors(models["Pythia"], windows, seed)[1] for seed in range(300)]
    counts = np.bincount([int((windows.tokens == d).all(dim=1).nonzero()[0]) for d in drawn], minlength=4)
    assert counts[1] == 0
    assert (np.abs(counts[[0, 2, 3]] - 100) < 35).all()


def test_copies_alone_are_refused(models: dict[str, TransformerBridge]) -> None:
    model, copies = models["Pythia"], Windows.from_tokens(tokens(1).repeat(3, 1))
    calls = (
        lambda: ablate_heads(model, copies, "resample"),
        lambda: estimate_heads(model, copies, "resample"),
        lambda: ablate_sets(model, copies, [[(0, 0)]], "resample"),
        lambda: screen_heads(model, copies, "resample"),
    )
    for call in calls:
        with pytest.raises(AblationError, match="all 3 share 32 tokens in a row with window 0"):
            call()
    for method in ("mean", "resample"):
        other = Windows.from_tokens(copies.tokens[:1], window=[77], document=["another"])
        with pytest.raises(AblationError, match="32 tokens in a row"):
            ablate_heads(model, copies, Ablation(method, reference=other))


def test_heads_are_not_ranked_on_text_that_they_are_tested_on() -> None:
    ids = tokens(12)
    ids[6:] = ids[:6]
    copies = Windows.from_tokens(ids)
    for seed in range(8):
        ranks = ranking_half(copies, seed=seed)
        assert (ranks[:6] == ranks[6:]).all()
        assert ranks.sum() == 6
    documents = Windows.from_tokens(tokens(12), document=[f"d{i // 3}" for i in range(12)])
    assert ranking_half(documents, seed=0).sum() == 6


def test_a_lens_is_not_used_on_what_it_was_trained_on(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path
) -> None:
    model = models["Pythia"]
    training = Windows.from_tokens(tokens(8, seed=3))
    lens = train_tuned_lens(model, training, tested=windows, n_steps=1, batch_size=2)
    loaded = TunedLens.load(lens.save(tmp_path / "lens"))
    assert tuned_lens(model, windows, loaded).log_prob.shape[1] == len(windows)
    moved = Windows.from_tokens(torch.cat([tokens(1, seed=5, length=32), training.tokens[2:3, 16:48]], dim=1))
    for kept in (lens, loaded):
        with pytest.raises(WindowError, match="shares 32 tokens in a row with a tested window"):
            tuned_lens(model, moved, kept)
    # The step is chosen on held-out text: copies in another document are not held out from their own text.
    with pytest.raises(WindowError, match="two documents that share no text"):
        train_tuned_lens(model, Windows.from_tokens(training.tokens[:1].repeat(4, 1)), tested=windows)


def test_windows_are_selected_by_truth_or_place() -> None:
    windows = Windows.from_tokens(tokens(3))
    assert windows.select(np.array([True, False, True])).window.tolist() == [0, 2]
    assert windows.select(np.array([2, 0])).window.tolist() == [2, 0]
    assert len(windows.select(np.array([], dtype=np.int64))) == 0
    for odd in (np.array([1.0, np.nan, 0.0]), np.array([1.0, 0.0, 1.0]), np.array([True, None, False], dtype=object)):
        with pytest.raises(WindowError, match="by true and false or by positions"):
            windows.select(odd)
