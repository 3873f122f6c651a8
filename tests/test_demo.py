"""The demo's page: its sentences carry their numbers, with intervals, and its figures are drawn."""

import numpy as np
import pandas as pd
import pytest
from html_pages import drawn, n_drawn, without_scripts

from interp.demo import DemoPlan, DemoResults, measure_model, write_tables
from interp.demo_report import dose_table, write_demo_report
from interp.models.registry import find
from interp.results import read_provenance
from interp.statistical.rates import rate
from interp.wording import percent

PLAN = DemoPlan(sizes=("0.2m", "0.5m"), per_set=2, n_decoded=6, n_ablated=3)


@pytest.fixture(scope="module")
def results():
    """Two sizes of one family, on few windows: what ``measure`` puts together."""
    each = {name: measure_model(find(name), PLAN) for name in ("pythia-small-0.2m", "pythia-small-0.5m")}
    return DemoResults(
        scores=pd.concat([r.scores for r in each.values()], ignore_index=True),
        layers=pd.concat([r.layers for r in each.values()], ignore_index=True),
        decided=pd.concat([r.decided for r in each.values()], ignore_index=True),
        examples=pd.concat([r.examples for r in each.values()], ignore_index=True),
        ablations={name: r.ablation for name, r in each.items()},
        provenance=[p for r in each.values() for p in r.provenance],
    )


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return write_demo_report(results, tmp_path_factory.mktemp("demo")).read_text()


def test_sentences_carry_their_numbers(results, page):
    scores, text = results.scores, without_scripts(page)
    largest = scores[(scores["size"] == "0.5m") & (scores["count"] == 256)]
    never = scores[scores["count"] == 0]
    for rows in (largest, never):
        assert f"recite {percent(rate(rows['memorized'], rows['document'], seed=0))}" in text
    assert "recite 0 % [0, " in text
    ends = scores["score"].isin([0, 1]).mean()
    assert f"{100 * ends:.0f} % of all windows lie at M = 0 or M = 1." in text
    assert f"of {never['document'].nunique()} documents, the same for all 2 models" in text
    assert "e-1" not in text.split("<footer>")[0]


def test_every_section_has_its_figures_and_none_is_empty(page):
    found = drawn(page)
    wanted = "repetition-makes-memory-0 scores-0 size-0 layers-0 layers-1 heads-0 heads-1"
    assert list(found) == wanted.split()
    for name, (data, layout) in found.items():
        assert n_drawn(data) > 5 or name == "size-0", name
        assert layout["title"]["text"], name


def test_a_cell_of_the_table_has_its_interval(results):
    table = dose_table(results.scores).set_index("model")
    assert list(table.index) == ["pythia-small-0.2m", "pythia-small-0.5m"]
    assert list(table)[:2] == ["never shown", "1x"]
    assert list(table)[-1] == "256x"
    assert (table["never shown"].str.startswith("0.00\n[0.00, 0.")).all()
    assert (table["256x"].str.endswith(", 1.00]")).all()


def test_examples_are_of_the_largest_and_as_they_were_scored(results):
    examples = results.examples
    assert set(examples["model"]) == {"pythia-small-0.5m"}
    same = examples["generated"] == examples["true continuation"]
    np.testing.assert_array_equal(same, examples["M"] == 1)
    assert set(examples["kind"]) == {"memorized", "never shown"}
    assert (examples.loc[examples["kind"] == "never shown", "times shown"] == 0).all()


def test_tables_carry_the_provenance_of_their_measurement(results, tmp_path):
    write_tables(results, tmp_path)
    for table, measurement in {
        "scores": "extract",
        "layers": "logit_lens",
        "decided": "logit_lens",
        "heads": "ablate_heads",
    }.items():
        assert {p.measurement for p in read_provenance(tmp_path / f"{table}.parquet")} == {measurement}
        assert len(pd.read_parquet(tmp_path / f"{table}.parquet")) > 0
