"""How measurements run: the same options on every command, the same keywords in Python, and values that depend on none.

What is measured is found by introspection, so that a new function or command is held to it.
"""

import inspect
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

import interp
from interp import progress
from interp.cli import app
from interp.data.opening import read_rows
from interp.engine.budget import rows_at_once
from interp.measurements.registry import INTERNAL, STATISTICAL
from interp.models.loading import load_model
from interp.sizes import SizeError
from interp.statistical.numerics import NumericsError

SHARED = (
    *("device", "dtype", "revision", "batch-size", "memory-budget"),
    *("prefix-len", "split", "document-column", "json", "quiet"),
)
MEASURING = [measurement.name for measurement in (*STATISTICAL, *INTERNAL)] + ["flags"]


@pytest.mark.parametrize("name", MEASURING)
def test_every_measuring_command_has_the_shared_options(name):
    offered = {option for param in get_command(app).commands[name].params for option in param.opts}
    assert {f"--{option}" for option in SHARED} <= offered


@pytest.mark.parametrize("name", MEASURING)
def test_a_memory_budget_that_is_no_size_is_refused_in_a_line(name, tmp_path):
    needed = ("--corpus", "c.jsonl") if name == "flags" else ("--index", "i") if name == "frequency" else ()
    given = [name, "pythia-small-0.2m", "--out", str(tmp_path / "o.parquet"), "--memory-budget", "lots", *needed]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: memory_budget: ")
    assert "512MiB, 2GiB or 4GB" in refused.stderr
    assert refused.stderr.count("\n") == 1


def heads(model):
    return [(layer, head) for layer in range(2) for head in range(model.cfg.n_heads)]


def tuned(model, windows, **how):
    training = windows.select(np.arange(6, 12))
    lens = interp.train_tuned_lens(model, training, tested=windows.select(np.arange(6)), n_steps=3)
    return interp.tuned_lens(model, windows.select(np.arange(6)), lens, **how)


def trained(model, windows, **how):
    tested, training = windows.select(np.arange(2)), windows.select(np.arange(2, 12))
    return interp.train_tuned_lens(model, training, tested=tested, n_steps=4, **how)


def further(windows):
    return windows.tokens[:, 50:]


def shorter(windows):
    return interp.Windows.from_tokens(windows.tokens[:, :50], prefix_len=20, document=list(windows.document))


RUN = {
    "ablate_heads": lambda m, w, **how: interp.ablate_heads(m, w, metrics=("log_prob", "rate", "score"), **how),
    "ablate_sets": lambda m, w, **how: interp.ablate_sets(m, w, [heads(m)[:3], ()], **how),
    "attention_targets": interp.attention_targets,
    "compress": interp.compress,
    "cumulative_ablation": lambda m, w, **how: interp.cumulative_ablation(m, w, heads(m), n_random=1, **how),
    "depth": lambda m, w, **how: interp.depth(m, shorter(w), further(w), **how),
    "estimate_heads": interp.estimate_heads,
    "extract": interp.extract,
    "logit_attribution": interp.logit_attribution,
    "logit_lens": interp.logit_lens,
    "perturb": lambda m, w, **how: interp.perturb(m, w, alphas=(0.0, 0.3), **how),
    "prefix_log_prob": interp.prefix_log_prob,
    "screen_heads": interp.screen_heads,
    "substitute": lambda m, w, **how: interp.substitute(m, w, positions=(0, 9), n_draws=2, **how),
    "substitute_sets": lambda m, w, **how: interp.substitute_sets(m, w, {"ends": (0, 31)}, n_draws=2, **how),
    "train_tuned_lens": trained,
    "tuned_lens": tuned,
}
STREAMS = {"memorized_flags", "write_flags"}  # these go along with what is read, which has the bar
OF_A_NAME = {"numerics"}  # it loads the model itself


def asks(name):
    """Whether a public function runs a model, and so has to be told how."""
    function = getattr(interp, name)
    return inspect.isfunction(function) and bool({"model", "name_or_path"} & {*inspect.signature(function).parameters})


def test_every_function_that_runs_a_model_is_told_how():
    running = {name for name in interp.__all__ if asks(name)} - {"load_model", "load_tokenizer"}
    assert running == {*RUN} | STREAMS | OF_A_NAME
    for name in running:
        keywords = inspect.signature(getattr(interp, name)).parameters
        assert "memory_budget" in keywords, name
        assert ("batch_sizes" if name == "numerics" else "batch_size") in keywords, name
        assert ("progress" in keywords) is (name not in STREAMS), name
    assert "progress" in inspect.signature(interp.stream_windows).parameters


@pytest.fixture(scope="module")
def double(checkpoints):
    """In float64, so that another order of summation leaves no trace."""
    return load_model(checkpoints["Pythia"], device="cpu", dtype=torch.float64)


def arrays(result):
    """Every array of a result, its tables' columns among them."""
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, (np.ndarray, torch.Tensor)):
            yield field.name, np.asarray(value)
    if hasattr(result, "to_frame"):
        for column, values in result.to_frame().items():
            yield str(column), values.to_numpy()


@pytest.mark.parametrize("name", RUN)
def test_no_value_depends_on_the_memory_budget(double, windows, name):
    free, tight = dict(arrays(RUN[name](double, windows))), dict(arrays(RUN[name](double, windows, memory_budget=1)))
    assert free.keys() == tight.keys()
    assert free
    for field, values in free.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(tight[field], values, rtol=1e-6, atol=1e-6, err_msg=field)
        else:
            assert np.array_equal(tight[field], values), field


def test_flags_do_not_depend_on_it_either(double, windows):
    (free,) = interp.memorized_flags(double, [windows])
    (tight,) = interp.memorized_flags(double, [windows], memory_budget="1kB")
    pd.testing.assert_frame_equal(free.to_frame(), tight.to_frame())


def test_a_batch_is_made_smaller_by_a_budget_and_never_larger(double, monkeypatch):
    one = 2**40
    while rows_at_once(double, 64, 2, one) == 2:
        one //= 2  # bytes into which one row fits, and not two
    assert rows_at_once(double, 64, 64, 8 * one) in range(8, 33)
    assert rows_at_once(double, 64, 64, "1TiB") == rows_at_once(double, 64, 64, None) == 64
    assert rows_at_once(double, 64, 64, 1) == 1
    assert rows_at_once(double, 64, 64, 8 * one, unembedded=64) < rows_at_once(double, 64, 64, 8 * one)
    with pytest.raises(SizeError):
        rows_at_once(double, 64, 64, "lots")


def test_numerics_refuses_batches_that_do_not_fit(checkpoints, windows):
    with pytest.raises(NumericsError, match="batches of 64 windows need more than the memory budget of 1MB"):
        interp.numerics(checkpoints["Pythia"], windows, memory_budget="1MB", device="cpu")


@pytest.mark.parametrize("name", RUN)
def test_a_bar_with_the_time_left_is_shown_where_it_is_asked_for(models, windows, name, monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0)
    RUN[name](models["OLMo2"], windows)
    capsys.readouterr()
    RUN[name](models["OLMo2"], windows, progress=True)
    said = capsys.readouterr()
    assert "0%|" in said.err
    assert "<" in said.err  # elapsed<left
    assert not said.out


def test_quick_work_shows_no_bar(models, windows, capsys):
    monkeypatched = progress.DELAY
    assert monkeypatched >= 1
    interp.prefix_log_prob(models["OLMo2"], windows, progress=True)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("quiet", "terminal", "shown"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_bars_are_for_terminals(monkeypatch, quiet, terminal, shown):
    from interp.commands.saying import shows_bars

    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert shows_bars(quiet) is shown


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".jsonl.gz", ".csv"])
def test_the_bar_of_a_corpus_goes_from_nothing_to_all_of_it(tmp_path: Path, suffix):
    rows = pd.DataFrame({"text": [np.random.default_rng(i).bytes(100).hex() for i in range(2000)]})
    path = tmp_path / f"corpus{suffix}"
    write = {
        ".parquet": lambda p: rows.to_parquet(p, row_group_size=200),
        ".csv": lambda p: rows.to_csv(p, index=False),
    }
    write.get(suffix, lambda p: rows.to_json(p, orient="records", lines=True))(path)
    told, seen = [], []
    for _ in read_rows(path, ["text"], progress=told.append):
        seen.append(sum(told))
    assert len(seen) == 2000
    assert 0 < seen[0] < seen[-1]
    assert 0.9 * path.stat().st_size < seen[-1] <= path.stat().st_size


@pytest.mark.parametrize("name", ["extract", "numerics"])
def test_the_whole_command_is_silent_when_quiet(tmp_path, name):
    few = ("--set", "held_out", "--per-set", "1")
    given = [name, "pythia-small-0.2m", "--out", str(tmp_path / "o.parquet"), *few]
    assert CliRunner().invoke(app, [*given, "--quiet"]).output == ""
    assert CliRunner().invoke(app, given).stdout.startswith("pythia-small-0.2m: ")
