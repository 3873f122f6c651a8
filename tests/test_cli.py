"""The command line, end to end on a random model."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from interp.cli import app
from interp.results import read_provenance


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    return invoke


def test_models_lists_all(run):
    output = run("models").output
    assert "pythia-160m" in output
    assert "olmo3-small-1.2m" in output
    assert output.count("-small-") == 18


def test_models_small_lists_only_ours(run):
    assert "pythia-160m" not in run("models", "--small").output


def test_extract_and_lens_write_tables_with_provenance(run, checkpoints, tmp_path):
    for command in ("extract", "lens"):
        out = tmp_path / f"{command}.parquet"
        result = run(command, checkpoints["OLMo3"], "--out", out, "--set", "held_out", "--per-set", 2)
        assert result.exit_code == 0
        assert pd.read_parquet(out)["window"].nunique() == 8
        assert read_provenance(out)[0].windows == "shipped corpus"


def test_extract_from_another_corpus(run, checkpoints, tmp_path):
    pd.DataFrame({"text": ["some words and others. " * 80]}).to_parquet(tmp_path / "c.parquet")
    result = run("extract", checkpoints["Pythia"], "--out", tmp_path / "o.parquet", "--corpus", tmp_path / "c.parquet")
    assert result.exit_code == 0
    assert read_provenance(tmp_path / "o.parquet")[0].windows.endswith("c.parquet")


def test_ablate_refuses_a_model_that_memorized_nothing(run, checkpoints, tmp_path):
    result = run("ablate", checkpoints["Pythia"], "--out", tmp_path / "a.parquet", "--set", "held_out", "--per-set", 2)
    assert result.exit_code == 1
    assert not (tmp_path / "a.parquet").exists()


def test_compress_and_perturb_write_tables(run, checkpoints, tmp_path):
    for command in ("compress", "perturb"):
        out = tmp_path / f"{command}.parquet"
        assert run(command, checkpoints["StarCoder"], "--out", out, "--set", "held_out", "--per-set", 1).exit_code == 0
        assert read_provenance(out)[0].settings["prefix_len"] == 32


def test_index_counts_what_was_built(run, checkpoints, tmp_path):
    pd.DataFrame({"text": ["one fish two fish", "red fish blue fish"]}).to_parquet(tmp_path / "c.parquet")
    shared = ("--tokenizer", checkpoints["Pythia"])
    assert run("index", "build", tmp_path / "c.parquet", "--out", tmp_path / "index", *shared).exit_code == 0
    assert run("index", "count", " fish", "--index", tmp_path / "index", *shared).output.strip() == "4"
    assert run("index", "count", " two fish", "--index", tmp_path / "index", *shared).output.strip() == "1"


def test_help_is_there_for_every_command(run):
    for command in ("models", "extract", "ablate", "lens", "compress", "perturb", "demo", "index"):
        assert run(command, "--help").exit_code == 0
