"""The head map of a notebook: every head where it belongs, its interval on hover, white where nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.figures.ablation import draw_heads
from interp.figures.style import FigureError
from interp.internal.ablation.heads import ablate_heads


def test_every_head_and_its_interval(model: TransformerBridge, windows: Windows) -> None:
    ablation = ablate_heads(model, windows)
    fig = draw_heads(ablation.to_frame())
    cells = fig.data[0]
    drawn = {(y, x): z for x, y, z in zip(cells.x, cells.y, cells.z, strict=True)}
    assert drawn == dict(np.ndenumerate(ablation.importance()))
    axis = fig.layout.coloraxis
    assert axis.cmin == -axis.cmax == -np.abs(ablation.importance()).max()
    e = ablation.importance_intervals()[2][1]
    (told,) = (text for x, y, text in zip(cells.x, cells.y, cells.customdata, strict=True) if (y, x) == (2, 1))
    assert told.startswith(f"{e.value:+.3g} [{e.low:.3g}, {e.high:.3g}] nats per token")
    assert told.endswith("12 windows of 6 documents")
    assert (fig.layout.xaxis.title.text, fig.layout.yaxis.title.text) == ("head", "layer")
    assert fig.layout.meta["caption"].endswith("12 windows of 6 documents.")


def test_heads_that_were_not_ablated_stay_empty(models: dict[str, TransformerBridge], windows: Windows) -> None:
    ablation = ablate_heads(models["Pythia"], windows.select(np.arange(3)), heads=[(1, 2)])
    fig = draw_heads(ablation.to_frame().assign(method="zero"))
    cells = np.asarray(fig.data[0].z, dtype=float)
    assert np.isnan(cells).sum() == cells.size - 1
    assert f"{cells.size - 1} of {cells.size} heads were not ablated" in fig.layout.meta["caption"]
    assert "zero ablation" in fig.layout.meta["caption"]
    with pytest.raises(FigureError, match="score was not measured"):
        draw_heads(ablation.to_frame(), metric="score")
