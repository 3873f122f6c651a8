"""The table of scores that experiments share is taken over only where it is of these models and this text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from extracted import scores_table
from transformer_lens.model_bridge import TransformerBridge

from interp.models.loading import load_model

NAME = "pythia-small-0.2m"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows of each measurement were extracted."""
    import extracted

    sizes: list[int] = []
    whole = extracted.extract

    def counting(model: TransformerBridge, windows, **settings):
        sizes.append(len(windows))
        return whole(model, windows, **settings)

    monkeypatch.setattr(extracted, "extract", counting)
    return sizes


def test_a_table_of_other_windows_or_weights_is_measured_again(
    tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.parquet"

    def measured(seed: int = 0) -> int:
        before = len(asked)
        scores, _ = scores_table(path, [NAME], per_set=1, seed=seed)
        assert len(scores) == 40
        return len(asked) - before

    assert [measured(), measured()] == [1, 0]
    assert [measured(seed=1), measured(seed=1)] == [1, 0]

    def trained_on(name: str) -> TransformerBridge:
        model = load_model(name)
        with torch.no_grad():
            next(model.original_model.parameters()).mul_(1.5)
        return model

    monkeypatch.setattr("extracted.load_model", trained_on)
    assert [measured(seed=1), measured(seed=1)] == [1, 0]
