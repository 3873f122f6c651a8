"""What the ablation writes by window, the comparison of heads reads back in the same places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.comparisons.comparison import Given
from interp.comparisons.heads import Falls, HeadsSettings, compare_heads, read_falls
from interp.data.windows import Windows
from interp.internal.ablation.heads import HeadAblation, ablate_heads
from interp.measurements.ablate import by_window
from interp.measurements.tables import models_of
from interp.results import write_table
from interp.statistical.measured import ScoresError

NAMES = {"olmo2-small-0.2m": "OLMo2", "pythia-small-0.2m": "Pythia"}


@pytest.fixture(scope="module")
def drawn() -> Windows:
    """Windows with ids that are neither in order nor from 0, as those of drawn windows."""
    ids = np.random.default_rng(3).integers(0, 2048, (12, 64))
    windows = Windows.from_tokens(
        ids, domain=["code", "prose"] * 6, document=[f"document-{i // 2}" for i in range(12)], source="random tokens"
    )
    return windows.select(np.array([9, 2, 5, 7, 0, 11, 4]))


@pytest.fixture(scope="module")
def measured(models: dict[str, TransformerBridge], drawn: Windows) -> dict[str, HeadAblation]:
    return {name: ablate_heads(models[family], drawn, "peer_mean") for name, family in NAMES.items()}


def write(measured: dict[str, HeadAblation], path: Path, **more: object) -> Path:
    tables = [
        by_window(ablation).assign(model=name, family=NAMES[name], size="0.2m", group="memorized", **more)
        for name, ablation in measured.items()
    ]
    provenance = [ablation.provenance for ablation in measured.values()]
    return write_table(pd.concat(tables).sample(frac=1, random_state=0), path, provenance)


def test_falls_by_window_come_back(measured: dict[str, HeadAblation], drawn: Windows, tmp_path: Path) -> None:
    write(measured, tmp_path / "by_window.parquet", method="peer_mean")
    rows, read = read_falls([tmp_path])
    assert read == [ablation.provenance for ablation in measured.values()]
    found = {model: Falls.of(of_model) for model, of_model in models_of(rows)}
    order = np.argsort(drawn.window)
    for name, ablation in measured.items():
        np.testing.assert_array_equal(found[name].fall, ablation.falls("log_prob")[:, :, order])
        assert found[name].document.tolist() == drawn.document[order].tolist()
        code = drawn.domain == "code"
        by_domain = ablation.falls("log_prob")[:, :, code].mean(axis=-1)
        np.testing.assert_allclose(found[name].by_domain()["code"], by_domain)


def test_a_table_given_twice_or_of_several_methods_is_refused(
    measured: dict[str, HeadAblation], tmp_path: Path
) -> None:
    one = write(measured, tmp_path / "a.parquet", method="peer_mean")
    with pytest.raises(ScoresError, match="twice"):
        read_falls([one, one])
    other = write(measured, tmp_path / "b.parquet", method="zero")
    rows, provenance = read_falls([one, other])
    with pytest.raises(ScoresError, match=r"several values of method: \['peer_mean', 'zero'\]"):
        compare_heads(Given(rows, provenance, 0), HeadsSettings())
    with pytest.raises(ScoresError, match="no memorized windows"):
        compare_heads(Given(rows, provenance, 0), HeadsSettings(method="mean"))


def test_heads_are_compared_as_their_own_functions_compare_them(
    measured: dict[str, HeadAblation], drawn: Windows, tmp_path: Path
) -> None:
    from interp.internal.comparison.overlap import overlap
    from interp.internal.comparison.profiles import concentration

    rows, provenance = read_falls([write(measured, tmp_path / "a.parquet", method="peer_mean")])
    compared = compare_heads(Given(rows, provenance, 5), HeadsSettings())
    for name, ablation in measured.items():
        gini = compared.tables["concentration"].set_index("model").loc[name]
        alone = concentration(ablation.falls("log_prob"), drawn.document, seed=5)
        assert gini["value"] == pytest.approx(alone.value)
        assert gini["n_documents"] == alone.n_documents
        falls = ablation.falls("log_prob")
        maps = {domain: falls[:, :, drawn.domain == domain].mean(axis=-1) for domain in ("code", "prose")}
        pairs = compared.tables["overlap"].set_index("model").loc[name]
        assert pairs["jaccard"] == pytest.approx(overlap(maps, seed=5).pairs["jaccard"].iloc[0])
    assert "families" not in compared.tables, "one model a family: nothing is within a family"
    assert {name for name, _ in compared.figures()} >= {"profiles-depth", "overlap"}
