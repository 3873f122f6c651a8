"""Results on disk: nothing is lost, and every table says where it comes from."""

import pandas as pd
import pytest

from interp.results import Provenance, read_provenance, write_result, write_table
from interp.statistical.extraction import extract


def test_a_written_result_comes_back_with_its_provenance(model, windows, tmp_path):
    result = extract(model, windows, batch_size=5)
    path = write_result(result, tmp_path / "deep" / "scores.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), result.to_frame(), check_dtype=False)
    (provenance,) = read_provenance(path)
    assert provenance.model == model.cfg.model_name
    assert provenance.windows == "random tokens"
    assert provenance.n_windows == 12
    assert provenance.settings["batch_size"] == 5
    assert provenance.settings["prefix_len"] == 32
    assert provenance.dtype == "float32"
    assert set(provenance.versions) == {"torch", "transformers", "transformer-lens"}


def test_an_interrupted_write_leaves_the_old_file(tmp_path, windows, models, monkeypatch):
    provenance = Provenance.of("test", models["Pythia"], windows)
    path = write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet", provenance)

    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("interp.results.pq.write_table", dies)
    with pytest.raises(KeyboardInterrupt):
        write_table(pd.DataFrame({"a": [2]}), path, provenance)
    assert pd.read_parquet(path)["a"].tolist() == [1]


def test_a_foreign_file_has_no_provenance(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(ValueError, match=r"foreign\.parquet carries no provenance"):
        read_provenance(tmp_path / "foreign.parquet")
