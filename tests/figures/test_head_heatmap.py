"""The head map of a notebook: every head where it belongs, its interval on hover, white where nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.figures.ablation import head_heatmap
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import AblationError


def test_every_head_and_its_interval(model: TransformerBridge, windows: Windows) -> None:
    ablation = ablate_heads(model, windows)
    fig = head_heatmap(ablation)
    cells = fig.data[0]
    np.testing.assert_array_equal(np.asarray(cells.z, dtype=float), ablation.importance())
    assert cells.zmin == -cells.zmax == -np.abs(ablation.importance()).max()
    e = ablation.importance_intervals()[2][1]
    assert cells.customdata[2][1].startswith(f"{e.value:+.3g} [{e.low:.3g}, {e.high:.3g}] nats a token")
    assert "12 windows, 6 documents" in cells.customdata[2][1]
    assert (fig.layout.xaxis.title.text, fig.layout.yaxis.title.text) == ("head", "layer")
    assert fig.layout.meta["caption"].endswith("zero ablation, 12 windows of 6 documents.")


def test_heads_that_were_not_ablated_stay_empty(models: dict[str, TransformerBridge], windows: Windows) -> None:
    ablation = ablate_heads(models["Pythia"], windows.select(np.arange(3)), heads=[(1, 2)])
    fig = head_heatmap(ablation)
    cells = np.asarray(fig.data[0].z, dtype=float)
    assert np.isnan(cells).sum() == cells.size - 1
    assert f"{cells.size - 1} of {cells.size} heads were not ablated" in fig.layout.meta["caption"]
    with pytest.raises(AblationError, match="score was not measured"):
        head_heatmap(ablation, metric="score")
