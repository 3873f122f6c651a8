"""What the ablation writes by window, the comparison of heads reads back in the same places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from head_ablation import _by_window
from head_comparison import read_falls
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.internal.ablation import ablate_heads
from interp.results import write_table


def test_falls_by_window_come_back(models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path) -> None:
    # Ids that are neither in order nor from 0, as those of drawn windows.
    drawn = windows.select(np.array([9, 2, 5, 7, 0]))
    measured = {
        name: ablate_heads(models[family], drawn, method="peer_mean")
        for name, family in (("olmo2-small-0.2m", "OLMo2"), ("pythia-small-0.2m", "Pythia"))
    }
    tables = [_by_window(ablation).assign(model=name) for name, ablation in measured.items()]
    provenance = [ablation.provenance for ablation in measured.values()]
    write_table(pd.concat(tables).sample(frac=1, random_state=0), tmp_path / "by_window.parquet", provenance)
    found, read = read_falls(tmp_path)
    assert list(found) == ["pythia-small-0.2m", "olmo2-small-0.2m"], "the order of the registry, not of the file"
    assert read == provenance
    order = np.argsort(drawn.window)
    for name, ablation in measured.items():
        np.testing.assert_array_equal(found[name].fall, ablation.falls("log_prob")[:, :, order])
        assert found[name].document.tolist() == drawn.document[order].tolist()
        code = drawn.domain == "code"
        by_domain = ablation.falls("log_prob")[:, :, code].mean(axis=-1)
        np.testing.assert_allclose(found[name].by_domain()["code"], by_domain)
