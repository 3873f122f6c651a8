"""The table of scores that experiments share is taken over only where it is of these models and this text."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from experiment import scores
from transformer_lens.model_bridge import TransformerBridge

from interp.models.loading import load_model
from interp.results import read_table

NAME = "pythia-small-0.2m"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows of each measurement were extracted."""
    from interp.statistical import extraction

    sizes: list[int] = []
    whole = extraction.extract

    def counting(model: TransformerBridge, windows, **settings):
        sizes.append(len(windows))
        return whole(model, windows, **settings)

    monkeypatch.setattr(extraction, "extract", counting)
    return sizes


def test_a_table_of_other_windows_or_weights_is_measured_again(
    tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(seed: int = 0) -> int:
        before = len(asked)
        path = scores(argparse.Namespace(models=[NAME], per_set=1, seed=seed), tmp_path)
        assert len(read_table(path)) == 40
        return len(asked) - before

    assert [measured(), measured()] == [1, 0]
    assert [measured(seed=1), measured(seed=1)] == [1, 0]

    def trained_on(name: str, **settings: object) -> TransformerBridge:
        model = load_model(name)
        with torch.no_grad():
            next(model.original_model.parameters()).mul_(1.5)
        return model

    monkeypatch.setattr("interp.models.loading.load_model", trained_on)
    assert [measured(seed=1), measured(seed=1)] == [1, 0]
