"""The command line, end to end: every command on a small model and few windows, and what it refuses."""

import inspect
import json
import shutil
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from html_pages import drawn, n_drawn, numbers, said
from typer.main import get_command
from typer.testing import CliRunner

import interp
from interp.cli import app
from interp.commands import refusals
from interp.planted import corpus
from interp.planted.corpus import DOCUMENTS, planted_windows
from interp.results import read_provenance
from interp.statistical import prediction

MODEL = "pythia-small-0.2m"


def figure_of(page):
    """Traces and layout of the one figure of a page, which is not empty."""
    ((data, layout),) = drawn(page.read_text()).values()
    assert n_drawn(data) > 0
    return data, layout


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def run():
    """Invoke and expect success."""

    def succeed(*arguments):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
        return result

    return succeed


def refused(*arguments):
    """Invoke, expect a refusal in one line, and return it."""
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.stderr.endswith(line + "\n")
    return line


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Tables of scores of two sizes of one family and one of another."""
    folder = tmp_path_factory.mktemp("scores")
    for name in ("pythia-small-0.2m", "pythia-small-0.5m", "olmo1-small-0.2m"):
        windows = ("--set", "planted-32", "--set", "planted-64", "--set", "held_out", "--per-set", 4)
        assert invoke("extract", name, "--out", folder / f"{name}.parquet", *windows).exit_code == 0
    return folder


def test_models_lists_all(run):
    output = run("models").output
    assert "pythia-160m" in output
    assert "olmo3-small-1.2m" in output
    assert output.count("-small-") == 18


def test_a_line_a_model_fits_a_terminal_and_one_model_is_told_in_full(run):
    assert max(map(len, run("models").output.splitlines())) <= 80
    told = run("models", "pythia-160m").output
    assert "EleutherAI/pythia-160m" in told
    assert "bos_rule" in told
    assert "pythia-160m" in refused("models", "pythia-161m")


def test_the_version_is_the_packages(run):
    assert run("--version").output == f"interp {interp.__version__}\n"
    assert "extract" in dir(interp)


def test_models_small_lists_only_ours(run):
    assert "pythia-160m" not in run("models", "--small").output


@pytest.mark.parametrize("command", ["extract", "lens", "perturb", "substitute"])
def test_measures_a_random_model_that_recites_nothing(run, checkpoints, tmp_path, command):
    """Unmemorized windows alone are drawn as one group; nothing is matched, and that is said."""
    out, page = tmp_path / "o.parquet", tmp_path / "o.html"
    run(command, checkpoints["OLMo3"], "--out", out, "--set", "held_out", "--per-set", 2, "--figure", page)
    assert pd.read_parquet(out)["window"].nunique() == 8 if command != "perturb" else out.exists()
    (found,) = read_provenance(out)
    assert (found.windows, found.settings["prefix_len"]) == ("shipped corpus", 32)
    assert "95 %" in said(figure_of(page)[1])


OWN_OPTIONS = {
    "ablate": ("--method", "peer_mean"),
    "cumulative": ("--random-orders", 1),
    "depth": ("--prefix-len", 12, "--continuation-len", 12),
    "extract": ("--batch-size", 3),
    "numerics": ("--batch-size", 4, "--batch-size", 3),
    "substitute": ("--draws", 1),
}


MEASURING = (
    "extract compress depth numerics ablate cumulative lens attribute perturb substitute attention"  # predict: below
)


@pytest.mark.parametrize("command", MEASURING.split())
def test_measures_memorized_windows_and_draws_them(run, tmp_path, command):
    out, page = tmp_path / "o.parquet", tmp_path / "o.html"
    sets = ("--set", "planted-256", "--set", "held_out", "--per-set", 2)
    told = run(command, MODEL, "--out", out, "--figure", page, *sets, *OWN_OPTIONS.get(command, ())).stdout
    assert told.splitlines()[0].startswith(f"{MODEL}: ")
    assert str(out) in told
    assert len(pd.read_parquet(out)) > 0
    assert {found.model for found in read_provenance(out)} == {MODEL}
    # The figure carries what it rests on; of a head map the intervals stand in the text of each head.
    data, layout = figure_of(page)
    assert "95 %" in said(layout) or command == "ablate"
    assert layout["title"]["text"]
    if command == "ablate":
        table = pd.read_parquet(out)
        falls = table.loc[table["metric"] == "log_prob", "value"]
        np.testing.assert_array_equal(numbers(data[0]["z"]).ravel(), falls)
        assert "8 windows of" in said(layout)


def test_screening_ablates_the_heads_that_could_be_the_most_important(run, tmp_path):
    sets = ("--set", "planted-256", "--per-set", 2)
    out, page = tmp_path / "screened.parquet", tmp_path / "o.html"
    run("ablate", MODEL, "--out", tmp_path / "all.parquet", *sets)
    told = run("ablate", MODEL, "--screen", 0.06, "--out", out, "--figure", page, *sets).stdout
    index = ["metric", "layer", "head"]
    exact, screened = (pd.read_parquet(file).set_index(index) for file in (tmp_path / "all.parquet", out))
    guess, swept = screened[screened["by"] == "gradient"], screened[screened["by"] == "ablation"]
    ablated = swept.loc["log_prob", "value"].notna()
    assert 0 < ablated.sum() < len(exact.loc["log_prob"]) == 16
    assert f"{ablated.sum()} of 16 heads ablated" in told
    data, layout = figure_of(page)
    assert f"{16 - ablated.sum()} of 16 heads were not ablated" in said(layout)
    assert n_drawn(data) == ablated.sum()
    assert guess["value"].notna().all()
    measured = swept.dropna(subset="value")
    for column in ("value", "low"):
        np.testing.assert_allclose(measured[column], exact.loc[measured.index, column], atol=1e-6)
    # One head is 6 % of 16.
    assert list(guess.index[guess["in_top_set"]]) == [exact.loc[["log_prob"], "value"].idxmax()]
    (found,) = read_provenance(out)
    assert (found.measurement, found.settings["share"]) == ("screen_heads", 0.06)
    assert "share=0.0 is not a share" in refused("ablate", MODEL, "--screen", 0, "--out", out, *sets)


def test_predicts_and_says_which_factors_are_left_out(run, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "predict", partial(prediction.predict, n_resamples=20))
    windows = [part for count in (16, 32, 64, 128) for part in ("--set", f"planted-{count}")]
    out, page = tmp_path / "o.parquet", tmp_path / "o.html"
    result = run("predict", MODEL, "--out", out, "--figure", page, *windows, "--per-set", 8)
    assert "left out" not in result.stderr
    auc = pd.read_parquet(out).set_index("factors")["value"]
    assert auc["count alone"] > 0.9
    run("predict", MODEL, "--matched", "--out", out, "--set", "planted-32", "--set", "planted-64", "--per-set", 32)
    matched = pd.read_parquet(out).set_index("factors")
    assert matched.loc["all factors", "n"] < 60
    assert "count alone" not in matched.index
    pd.DataFrame({"text": ["some words and others. " * 80]}).to_parquet(tmp_path / "c.parquet")
    given = ("predict", MODEL, "--out", tmp_path / "p.parquet", "--corpus", tmp_path / "c.parquet")
    told = refused(*given)
    assert "fewer than two factors" in told
    assert "count is not known for every window" in told
    assert "domain is the same for all windows" in told


def test_extracts_from_another_corpus_by_domain(run, checkpoints, tmp_path):
    rows = pd.DataFrame({"body": ["some words and others. " * 80, "short"], "kind": ["a", "b"]})
    rows.to_parquet(tmp_path / "c.parquet")
    columns = ("--text-column", "body", "--domain-column", "kind", "--max-windows", 5)
    out = tmp_path / "o.parquet"
    run("extract", checkpoints["Pythia"], "--out", out, "--corpus", tmp_path / "c.parquet", *columns)
    assert list(pd.read_parquet(out)["domain"]) == ["a"] * 5
    assert read_provenance(out)[0].windows.endswith("c.parquet")


def test_flags_a_corpus_in_parts_and_goes_on(run, checkpoints, tmp_path):
    pd.DataFrame({"text": ["some words and others. " * 80]}).to_parquet(tmp_path / "c.parquet")
    given = (checkpoints["Pythia"], "--corpus", tmp_path / "c.parquet", "--out", tmp_path / "parts", "--chunk", 3)
    assert "memorization rate 0" in run("flags", *given).output
    parts = sorted((tmp_path / "parts").glob("*.parquet"))
    assert sum(len(pd.read_parquet(part)) for part in parts) > 3
    before = [part.stat().st_mtime_ns for part in parts]
    run("flags", *given)
    assert [part.stat().st_mtime_ns for part in parts] == before
    pd.DataFrame({"text": ["other words. " * 200]}).to_parquet(tmp_path / "c.parquet")
    assert "choose an empty folder" in refused("flags", *given)
    run("rates", tmp_path / "parts", "--by", "model", "--out", tmp_path / "r.parquet")
    assert pd.read_parquet(tmp_path / "r.parquet")["n"].item() == sum(len(pd.read_parquet(part)) for part in parts)


COMPARING = {
    "rates": (("--by", "model", "--by", "count"), "value"),
    "histogram": ((), "bin"),
    "scaling": ((), "r2"),
    "ratios": (("--n-params", 3e5, "--within", 2), "other_family"),
    "transitions": ((), "to_bin"),
    "dose-response": ((), "slope"),
    "domains": ((), "quantity"),
}


DRAWN = {
    "rates": len,
    "histogram": len,
    "scaling": lambda table: len(table) // 2,
    "ratios": lambda table: 1,
    "transitions": lambda table: (table["n_windows"] > 0).sum() // 2,
    "dose-response": lambda table: 2 * len(table),
    "domains": lambda table: 1,
}
"""Numbers that the figure draws of the table, at least."""


@pytest.mark.parametrize("command", COMPARING)
def test_tables_of_scores_are_compared(run, scores, tmp_path, command):
    options, column = COMPARING[command]
    out, page = tmp_path / "o.parquet", tmp_path / "o.html"
    run(command, *sorted(scores.glob("*.parquet")), "--out", out, "--figure", page, *options)
    table = pd.read_parquet(out)
    assert {column, "value", "low", "high"} <= set(table)
    assert len(read_provenance(out)) == 3
    data, layout = figure_of(page)
    assert DRAWN[command](table) <= n_drawn(data)
    assert "95 %" in said(layout)


def test_a_rate_is_that_of_the_table(run, scores, tmp_path):
    run("rates", scores, "--by", "model", "--out", tmp_path / "r.parquet")
    found = pd.read_parquet(tmp_path / "r.parquet").set_index("model")["value"]
    for file in scores.glob("*.parquet"):
        assert found[file.stem] == pytest.approx(pd.read_parquet(file)["memorized"].mean())


def test_tables_that_cannot_be_compared_are_refused(scores, tmp_path, checkpoints):
    first, out = scores / "pythia-small-0.2m.parquet", tmp_path / "o.parquet"
    assert "twice" in refused("rates", first, first, "--by", "model", "--out", out)
    assert "no family has two sizes" in refused("scaling", first, "--out", out)
    assert "columns ['colour']" in refused("rates", first, "--by", "colour", "--out", out)
    three = sorted(scores.glob("*.parquet"))
    drawn = ("--out", out, "--figure", tmp_path / "o.html")
    assert "no moves of 'StarCoder'" in refused("transitions", *three, "--family", "StarCoder", *drawn)
    sizes = ("--n-params", 3e5, "--within", 2)
    assert "no ratios over 'StarCoder'" in refused("ratios", *three, *sizes, "--reference", "StarCoder", *drawn)
    out.unlink()
    assert "structural" in refused("domains", first, "--structural", "poems", "--out", out)
    (tmp_path / "text.parquet").write_text("no table")
    assert "no table of scores" in refused("rates", tmp_path / "text.parquet", "--by", "model", "--out", out)
    assert "no table of scores" in refused("rates", tmp_path / "missing.parquet", "--by", "model", "--out", out)
    (tmp_path / "empty").mkdir()
    assert "no tables of scores" in refused("rates", tmp_path / "empty", "--by", "model", "--out", out)
    windows = ("--set", "held_out", "--per-set", 1)
    assert invoke("extract", checkpoints["Pythia"], "--out", tmp_path / "u.parquet", *windows).exit_code == 0
    assert "`family` and `n_params`" in refused("scaling", tmp_path / "u.parquet", "--out", out)
    assert not out.exists()


def test_wrong_input_is_refused_in_one_line(checkpoints, tmp_path):
    out = tmp_path / "o.parquet"
    few = ("--set", "held_out", "--per-set", 1)
    assert "no model is called 'pythia-small-2m'" in refused("extract", "pythia-small-2m", "--out", out, *few)
    assert "no set ['planted-3']" in refused("extract", MODEL, "--out", out, "--set", "planted-3")
    assert "no file or directory" in refused("extract", MODEL, "--out", out, "--corpus", tmp_path / "no.parquet")
    pd.DataFrame({"body": ["a"]}).to_parquet(tmp_path / "c.parquet")
    assert "no column 'text'" in refused("extract", MODEL, "--out", out, "--corpus", tmp_path / "c.parquet")
    assert "is a folder" in refused("extract", MODEL, "--out", tmp_path, *few)
    assert "layer 9 is out of range" in refused("perturb", MODEL, "--out", out, "--layer", 9, *few)
    assert "leave nothing to try" in refused("depth", MODEL, "--out", out, "--prefix-len", 60, *few)
    for command in ("ablate", "attribute", "cumulative", "attention"):
        assert "memorized none of 4 windows" in refused(command, checkpoints["Pythia"], "--out", out, *few)
    assert not out.exists()


def test_planted_windows_are_refused_for_another_tokenizer(run, checkpoints, tmp_path):
    """Their ids would be in the vocabulary, and mean other text."""
    other = shutil.copytree(checkpoints["Pythia"], tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, two = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    out = tmp_path / "o.parquet"
    assert "another tokenizer" in refused("extract", other, "--out", out, "--set", "held_out", "--per-set", 1)
    run("extract", other, "--out", out, "--corpus", DOCUMENTS, "--max-windows", 3)
    assert len(pd.read_parquet(out)) == 3


SMALL = ("--set", "planted-256", "--per-set", 1)
REFUSED = {
    ("perturb", "--alpha", "nan"): "each finite",
    ("perturb", "--alpha", "inf"): "each finite",
    ("perturb", "--alpha", -1): "none negative",
    ("perturb", "--alpha", 0.1, "--alpha", 0.1): "given twice",
    ("substitute", "--together", 0): "0 tokens cannot be replaced together: the prefix has 32",
    ("substitute", "--together", 33): "33 tokens cannot be replaced together: the prefix has 32",
    ("extract", "--set", "planted-64", "--set", "planted-64"): "given twice",
    ("cumulative", "--layers", "--per-set", 2): "no unmemorized windows",
}


@pytest.mark.parametrize("options", REFUSED, ids=str)
def test_what_cannot_be_measured_is_refused_before_the_work(monkeypatch, tmp_path, options):
    command, *rest = options
    monkeypatch.setattr("interp.internal.ablation.heads.ablate_heads", pytest.fail)
    monkeypatch.setattr("interp.internal.noise.substitution.substitute", pytest.fail)
    assert REFUSED[options] in refused(command, "pythia-small-0.2m", *SMALL, *rest, "--out", tmp_path / "o.parquet")


@pytest.mark.parametrize("what", [("--estimate",), ("--by-window", "--method", "mean")])
def test_one_head_is_measured_though_nothing_can_agree(run, tmp_path, what):
    out, methods = tmp_path / "o.parquet", {"zero", *what[2:]}
    run("ablate", MODEL, *SMALL, "--heads", "0.0", "--method", "zero", *what, "--out", out)
    heads = pd.read_parquet(out).dropna(subset="value")
    assert set(heads["method"]) == methods
    assert (heads[(heads["by"] == "ablation") & (heads["metric"] == "log_prob")]["method"].value_counts() == 1).all()


def test_an_empty_name_is_no_corpus(tmp_path):
    said = refused("extract", "pythia-small-0.2m", "--corpus", "", "--out", tmp_path / "o.parquet")
    assert "no file or directory ''" in said


def test_wrong_options_are_refused_with_their_values():
    result = invoke("ablate", MODEL, "--out", "o.parquet", "--method", "middle")
    assert result.exit_code == 2
    assert "peer_mean" in result.stderr
    assert invoke("extract", MODEL, "--out", "o.parquet", "--per-set", 0).exit_code == 2
    assert invoke("extract", MODEL).exit_code == 2


def test_a_bug_keeps_its_traceback(monkeypatch):
    """Only the suite's own exceptions and failures of files are refusals."""
    for error, kept in ((ZeroDivisionError("a bug"), True), (PermissionError("locked"), False)):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(refusals.TyperGroup, "invoke", fail)
        result = invoke("models")
        assert (result.exception is error) == kept


def test_index_counts_what_was_built(run, checkpoints, tmp_path):
    pd.DataFrame({"text": ["one fish two fish", "red fish blue fish"]}).to_parquet(tmp_path / "c.parquet")
    shared = ("--tokenizer", checkpoints["Pythia"])
    run("index", "build", tmp_path / "c.parquet", "--out", tmp_path / "index", *shared)
    assert run("index", "count", " fish", "--index", tmp_path / "index", *shared).output.strip() == "4"
    assert run("index", "count", " two fish", "--index", tmp_path / "index", *shared).output.strip() == "1"


def test_frequency_counts_the_shipped_corpus_as_it_was_shown(run, tmp_path, monkeypatch):
    """Of what was shown, only the windows asked about: the whole takes seconds to sort."""
    shown = planted_windows(sets=["planted-256", "held_out"], per_set=2)
    rows = np.repeat(shown.tokens.numpy(), shown.count.astype(int), axis=0)
    monkeypatch.setattr(corpus, "shown_documents", lambda: iter(np.random.default_rng(0).permutation(rows)))
    index, out, page = tmp_path / "index", tmp_path / "o.parquet", tmp_path / "o.html"
    run("index", "shipped", "--out", index)
    given = (MODEL, "--index", index, "--longest", 2, "--set", "planted-256", "--set", "held_out", "--per-set", 2)
    told = run("frequency", *given, "--out", out, "--figure", page).stdout
    assert "8 of 16 whole windows" in told
    table = pd.read_parquet(out)
    np.testing.assert_array_equal(table["window_count"], table["count"])
    assert {"memorized", "unmemorized"} <= {trace.get("name") for trace in figure_of(page)[0]}
    run("frequency", *given, "--out", tmp_path / "again.parquet", "--parts", tmp_path / "parts")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "again.parquet"), table)
    assert "1 to 32" in refused("frequency", *given[:3], "--longest", 40, "--out", out, "--set", "held_out")


@pytest.fixture
def service():
    """A service that has counted everything seven times, and only estimates."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            answer = json.dumps({"count": 7, "approx": True, "token_ids": [1, 2], "tokens": ["a", "b"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_a_public_index_is_asked_and_estimates_are_flagged(run, service, tmp_path):
    given = ("index", "web", "two words", "--cache", tmp_path / "answers.sqlite", "--url", service)
    told = run(*given, "--model", "pythia-160m").output
    assert told.startswith("7 (2 tokens")
    assert "an estimate" in told
    assert "no public index" in refused(*given, "--model", MODEL)
    assert "no model is called" in refused(*given, "--model", "pythia")


def test_index_refuses_what_is_no_index_or_another_corpus(run, checkpoints, tmp_path):
    shared = ("--tokenizer", checkpoints["Pythia"])
    for name in ("one", "two"):
        pd.DataFrame({"text": [f"{name} fish"]}).to_parquet(tmp_path / f"{name}.parquet")
    run("index", "build", tmp_path / "one.parquet", "--out", tmp_path / "index", *shared)
    assert "another source" in refused("index", "build", tmp_path / "two.parquet", "--out", tmp_path / "index", *shared)
    assert "not an index" in refused("index", "count", "fish", "--index", tmp_path, *shared)


def test_every_command_has_help_and_every_option_says_what_it_is():
    commands = dict(get_command(app).commands)
    commands |= {f"index {name}": command for name, command in commands.pop("index").commands.items()}
    assert len(commands) >= 24
    for name, command in commands.items():
        assert invoke(*name.split(), "--help").exit_code == 0
        assert inspect.cleandoc(command.help or "")[-1] == ".", name
        for option in command.params:
            assert option.help, f"{name} {option.name}"


@pytest.mark.parametrize("arguments", [["--help"], ["extract", "--help"], ["models"], ["models", "olmo3-7b"]])
def test_help_and_models_do_not_wait_for_torch(arguments):
    import subprocess
    import sys

    code = (
        f"import sys; from interp.cli import app; app({arguments!r}, standalone_mode=False); "
        "sys.exit(bool({'torch', 'transformers', 'pandas', 'numpy'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_seed_chooses_the_windows(run, checkpoints, tmp_path):
    chosen = []
    for seed in (0, 0, 1):
        out = tmp_path / "o.parquet"
        given = ("--out", out, "--set", "held_out", "--per-set", 2, "--seed", seed)
        run("extract", checkpoints["Pythia"], *given)
        chosen.append(pd.read_parquet(out)["window"].to_numpy())
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])
