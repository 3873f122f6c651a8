"""The quick test for the greedy choice says what ``argmax`` says, ties and all."""

from __future__ import annotations

import torch

from interp.engine.readout import is_argmax


def test_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [3.0, 1.0, 3.0], [3.0, 1.0, 3.0], [0.0, 0.0, 0.0], [2.0, 1.0, 3.0]])
    token = torch.tensor([1, 0, 2, 1, 0])
    assert is_argmax(logits, token).tolist() == [True, True, False, False, False]


def test_is_argmax_on_many_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 4, (50, 40, 9), generator=generator).float()
    token = torch.randint(0, 9, (50, 40), generator=generator)
    wanted = logits.argmax(dim=-1) == token
    assert 0 < int(wanted.sum()) < wanted.numel()
    assert torch.equal(is_argmax(logits.clone(), token), wanted)


def test_nothing_is_the_choice_where_logits_are_not_numbers() -> None:
    logits = torch.tensor([[1.0, float("nan"), 0.0], [float("nan"), 1.0, 0.0]])
    assert is_argmax(logits, torch.tensor([0, 0])).tolist() == [False, False]
