from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.results import write_result, write_table
from interp.statistical.extraction import extract
from interp.statistical.flags import write_flags
from interp.statistical.rates import ScoresError
from interp.statistical.scores import read_scores


def test_tables_and_folders_of_parts_are_stacked_by_model(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path
) -> None:
    one, other = models["Pythia"], models["OLMo1"]
    write_result(extract(one, windows), tmp_path / "one.parquet")
    write_flags(other, [windows.select(np.arange(2)), windows.select(np.array([2]))], tmp_path / "parts")
    scores, provenance = read_scores([tmp_path / "one.parquet", tmp_path / "parts"])
    assert scores.groupby("model").size().to_dict() == {one.cfg.model_name: 12, other.cfg.model_name: 3}
    assert [p.measurement for p in provenance] == ["extract", "memorized_flags", "memorized_flags"]


def test_family_and_size_are_the_tables_own_or_the_registrys(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path
) -> None:
    result = extract(models["Pythia"], windows)
    table = result.to_frame()
    write_table(table.assign(model="pythia-160m"), tmp_path / "known.parquet", result.provenance)
    write_table(table.assign(model="mine", family="F", n_params=9), tmp_path / "own.parquet", result.provenance)
    scores, _ = read_scores([tmp_path / "known.parquet", tmp_path / "own.parquet"], of_families=True)
    facts = scores.drop_duplicates("model").set_index("model")
    assert facts.loc["mine", ["family", "n_params"]].tolist() == ["F", 9]
    assert facts.loc["pythia-160m", "family"] == "Pythia"
    assert 1.4e8 < facts.loc["pythia-160m", "n_params"] < 1.8e8
    write_result(result, tmp_path / "unknown.parquet")
    assert len(read_scores([tmp_path / "unknown.parquet"])[0]) == 12
    with pytest.raises(ScoresError, match="`family` and `n_params`"):
        read_scores([tmp_path / "unknown.parquet"], of_families=True)


def test_what_is_no_table_of_scores_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"window": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(ScoresError, match="has no provenance"):
        read_scores([tmp_path / "foreign.parquet"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoresError, match="no tables of scores"):
        read_scores([tmp_path / "empty"])
