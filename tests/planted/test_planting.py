"""The planted truth: counts are exact, and held-out windows were never shown."""

import numpy as np
import pandas as pd
import pytest
from transformers import AutoTokenizer

from interp.planted.corpus import documents, manifest, planted_windows
from interp.planted.planting import REPETITIONS, SHARED_RUN, WINDOW_LEN, cut_windows, plant, planted_set, training_order
from interp.planted.shapes import TOKENIZER


def shared_runs(tokens: np.ndarray) -> list[set[bytes]]:
    views = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.uint16), SHARED_RUN, axis=1)
    return [{run.tobytes() for run in window} for window in views]


def test_shipped_sets_have_the_counts_their_names_say():
    table = manifest()
    for domain, group in table.groupby("domain"):
        for repetitions in REPETITIONS:
            counts = group.loc[group["set"] == planted_set(repetitions), "count"]
            assert len(counts) >= 32, domain
            assert set(counts) == {repetitions}
    assert set(table.loc[table["set"] == "held_out", "count"]) == {0}
    assert set(table.loc[table["set"] == "background", "count"]) == {1}
    assert (table["set"] == "held_out").sum() >= 128


def test_no_two_shipped_windows_share_a_run():
    seen: set[bytes] = set()
    for runs in shared_runs(np.stack(manifest()["tokens"].to_numpy())):
        assert len(runs) == WINDOW_LEN - SHARED_RUN + 1
        assert seen.isdisjoint(runs)
        seen |= runs


def test_held_out_documents_are_never_shown():
    table = manifest()
    assert set(table.loc[table["count"] == 0, "document"]).isdisjoint(table.loc[table["count"] > 0, "document"])


def test_shipped_windows_are_cut_from_the_shipped_documents():
    table = manifest().groupby("document").head(2).iloc[::5]
    texts = documents().set_index("document")["text"]
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    for row in table.itertuples():
        ids = tokenizer(texts[row.document], add_special_tokens=False, verbose=False)["input_ids"]
        assert ids[row.start : row.start + WINDOW_LEN] == row.tokens.tolist()


def test_training_order_shows_each_window_as_often_as_its_count():
    counts = np.array([0, 3, 1, 8])
    order = training_order(counts, seed=0)
    assert np.bincount(order, minlength=4).tolist() == counts.tolist()
    assert order.tolist() == training_order(counts, seed=0).tolist()
    assert order.tolist() != training_order(counts, seed=1).tolist()


def test_windows_that_repeat_a_run_are_dropped():
    rng = np.random.default_rng(0)
    shared = rng.integers(0, 2048, 128).tolist()
    fresh = rng.integers(0, 2048, 640).tolist()
    texts = pd.DataFrame({"document": ["a", "b", "c"], "domain": ["d"] * 3})
    # b repeats a's first window shifted by 7 tokens; c is all one token, so that each of its windows repeats itself.
    cut = cut_windows(texts, [shared + fresh, [9] * 7 + shared, [5] * 640], seed=0)
    starts = {document: group["start"].tolist() for document, group in cut.groupby("document")}
    assert "c" not in starts
    assert sum(len(v) for v in starts.values()) < 12 + 2


def test_too_small_a_domain_is_refused():
    rng = np.random.default_rng(0)
    texts = pd.DataFrame({"document": ["a"], "domain": ["law"]})
    with pytest.raises(ValueError, match="domain 'law' has"):
        plant(cut_windows(texts, [rng.integers(0, 2048, 640).tolist()], seed=0), seed=0)


def test_planted_windows_selects_and_limits():
    some = planted_windows(sets=["planted-64", "held_out"], domains=["code"], per_set=10)
    assert len(some) == 20
    assert sorted(set(some.count)) == [0.0, 64.0]
    assert set(some.domain) == {"code"}
    again = planted_windows(sets=["planted-64", "held_out"], domains=["code"], per_set=10)
    assert np.array_equal(some.window, again.window)
    other = planted_windows(sets=["planted-64", "held_out"], domains=["code"], per_set=10, seed=1)
    assert not np.array_equal(some.window, other.window)
    with pytest.raises(ValueError, match="planted-3"):
        planted_windows(sets=["planted-3"])
