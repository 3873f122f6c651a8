"""What was not measured is left out everywhere, odd values are refused, and degenerate tables give no warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interp.errors import InterpError
from interp.statistical.compression import compression_summary, ratio_distribution
from interp.statistical.domains import domains
from interp.statistical.dose_response import dose_response
from interp.statistical.groups import equally_shown
from interp.statistical.matching import MatchingError, match
from interp.statistical.measured import ScoresError, grouped, numbers, outcomes
from interp.statistical.prediction import ALL, predict
from interp.statistical.rates import rate, rates, score_histogram
from interp.statistical.scaling import family_ratios, scaling, transitions
from interp.statistical.survival import depth_summary

N = 36


def scores(seed: int = 0) -> pd.DataFrame:
    """Two families of two sizes, two windows a document, with every column that the functions below read."""
    rng, parts = np.random.default_rng(seed), []
    for family in "AB":
        for size, n_params in (("small", 1e6), ("large", 1e7)):
            count = rng.choice([0, 1, 2, 4, 8], N)
            score = np.where(rng.random(N) < 0.2 + 0.08 * count, 1.0, rng.integers(0, 32, N) / 32)
            ratio = np.where(score == 1, rng.integers(1, 32, N) / 32, np.nan)
            depth = np.where(score == 1, rng.integers(0, 6, N), np.nan)
            columns = {
                "family": family, "model": f"{family}-{size}", "n_params": n_params,
                "window": range(N), "digest": [f"t{i}" for i in range(N)], "document": [f"d{i // 2}" for i in range(N)],
                "domain": ["code", "code", "prose"] * (N // 3), "count": count, "score": score, "memorized": score == 1,
                "log2_count": np.log2(1 + count), "compressed_bits": rng.normal(size=N),
                "prefix_log_prob": rng.normal(size=N), "ratio": ratio, "ratio_every_longer": np.minimum(2 * ratio, 1),
                "depth": depth, "censored": rng.random(N) < 0.2,
            }  # fmt: skip
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def of_one_model(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["model"] == next(iter(table["model"]), None)].reset_index(drop=True)


PER_MODEL: dict[str, Callable[[pd.DataFrame], Any]] = {
    "rate": lambda t: rate(t["memorized"], t["document"]),
    "rates": lambda t: rates(t, by=("model", "domain")).to_frame(),
    "rates of all": lambda t: rates(t, by=()).to_frame(),
    "histogram": lambda t: score_histogram(t, by=("model",)).to_frame(),
    "domains": lambda t: domains(t).to_frame(),
    "dose-response": lambda t: dose_response(t).to_frame(),
    "dose-response of all": lambda t: dose_response(t, by=()).to_frame(),
    "predict": lambda t: predict(of_one_model(t), n_folds=3, n_resamples=30).to_frame(),
    "match": lambda t: match(of_one_model(t), on=["compressed_bits"]).balance,
    "equally shown": lambda t: equally_shown(of_one_model(t)),
    "compression": compression_summary,
    "ratios of compression": ratio_distribution,
    "depth": lambda t: depth_summary(t, at=(0, 1, 4, 8)),
}
PAIRED: dict[str, Callable[[pd.DataFrame], Any]] = {
    "scaling": lambda t: scaling(t).to_frame(),
    "ratios": lambda t: family_ratios(t, n_params=1e6),
    "transitions": lambda t: transitions(t).to_frame(),
}
READS_OUTCOME = (*sorted(set(PER_MODEL) - {"histogram", "compression", "ratios of compression", "depth"}), *PAIRED)


@pytest.mark.parametrize("name", PER_MODEL)
def test_windows_that_were_not_measured_are_as_if_they_were_not_there(name: str) -> None:
    table = scores()
    gone = np.random.default_rng(1).random(len(table)) < 0.2
    missing = table.assign(
        memorized=table["memorized"].astype(float).mask(gone),
        **{column: table[column].mask(gone) for column in ("score", "ratio", "ratio_every_longer", "depth")},
    )
    found, expected = PER_MODEL[name](missing), PER_MODEL[name](table[~gone].reset_index(drop=True))
    if isinstance(expected, pd.DataFrame):
        columns = [c for c in expected.columns if c != "memorized"]
        pd.testing.assert_frame_equal(found[columns], expected[columns], check_dtype=False)
    else:
        assert found == expected


def test_a_pair_of_sizes_is_not_made_of_windows_measured_at_one() -> None:
    table = scores()
    missing = table.assign(memorized=table["memorized"].astype(float), score=table["score"])
    lost = missing.index[(missing["model"] == "A-large") & (missing["window"] < 10)]
    missing.loc[lost, ["memorized", "score"]] = np.nan
    with pytest.raises(ScoresError, match="not measured on the same windows"):
        scaling(missing)
    moved = transitions(missing)
    groups = moved.groups[moved.groups["family"] == "A"]
    assert groups["n_windows"].sum() == N - 10
    # Each bin of origin is left to bins that are told apart, whose shares sum to 1: NaN is none of them.
    shares = moved.to_frame().groupby(["family", "from_bin"], observed=True)["value"].sum()
    np.testing.assert_allclose(shares, 1)
    assert not groups.duplicated(["from_bin", "to_bin"]).any()
    rest = missing[~missing.index.isin(lost)]
    assert family_ratios(missing, n_params=1e7)["value"].equals(family_ratios(rest, n_params=1e7)["value"])


ODD = {
    "a half": 0.5, "words": "yes", "another number": 2, "infinity": np.inf, "a time": pd.Timestamp("2026-01-01"),
    "a list": [1],
}  # fmt: skip


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", READS_OUTCOME)
def test_an_outcome_that_is_neither_true_nor_false_is_refused(name: str, value: object) -> None:
    table = scores()
    mixed = pd.Series([value if i % 7 == 0 else bool(x) for i, x in enumerate(table["memorized"])], dtype=object)
    with pytest.raises(ScoresError, match="true and false are needed"):
        (PER_MODEL | PAIRED)[name](table.assign(memorized=mixed))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, None, False]),
        pd.Series([1, np.nan, 0]),
        pd.Series([True, pd.NA, 0], dtype=object),
        pd.Series([True, pd.NA, False], dtype="boolean"),
        pd.Series([1, pd.NA, 0], dtype="Int64"),
        pd.Series([True, None, False], dtype="category"),
    ],
)
def test_every_way_to_say_not_measured_is_nan(column: pd.Series) -> None:
    np.testing.assert_array_equal(outcomes(column), [1, np.nan, 0])
    np.testing.assert_array_equal(numbers(column), [1, np.nan, 0])


def test_counts_must_be_known_and_not_below_zero() -> None:
    table = scores()
    for wrong in (-1, np.inf):
        broken = table.assign(count=table["count"].astype(float).where(table["window"] > 3, wrong))
        for name in ("dose-response", "equally shown"):
            with pytest.raises(ScoresError, match="values from 0 to inf are needed"):
                PER_MODEL[name](broken)
    unknown = table.assign(count=table["count"].astype(float).where(table["window"] > 3))
    for name in ("dose-response", "equally shown"):
        with pytest.raises(ScoresError, match="no known count"):
            PER_MODEL[name](unknown)


def degenerate() -> dict[str, pd.DataFrame]:
    t = scores()
    return {
        "no row": t[:0],
        "one window": t[t["window"] == 0],
        "one document": t.assign(document="d"),
        "one domain": t.assign(domain="code"),
        "no domain": t.assign(domain="unknown"),
        "one family": t[t["family"] == "A"],
        "one size": t[t["n_params"] == 1e6],
        "one size, two models": t.assign(n_params=1e6),
        "all memorized": t.assign(memorized=True, score=1.0),
        "none memorized": t.assign(memorized=False, score=0.0, ratio=np.nan, ratio_every_longer=np.nan, depth=np.nan),
        "nothing measured": t.assign(memorized=np.nan, score=np.nan, ratio=np.nan, ratio_every_longer=np.nan),
        "counts all equal": t.assign(count=4, log2_count=2.0),
        "never shown": t.assign(count=0, log2_count=0.0),
        "constant": t.assign(ratio=0.5, ratio_every_longer=0.5, depth=0.0, censored=False, compressed_bits=1.0),
        "all censored": t.assign(depth=2.0, censored=True),
        "no known document": t.assign(document=t["document"].where(t["window"] > 3)),
        "no known model": t.assign(model=t["model"].where(t["window"] > 3)),
        "no known size": t.assign(n_params=t["n_params"].where(t["window"] > 3)),
        "infinite factor": t.assign(compressed_bits=np.inf),
        "a table twice": pd.concat([t, t]),
    }


@pytest.mark.parametrize("name", PER_MODEL | PAIRED)
def test_degenerate_tables_give_values_or_one_line_and_never_a_warning(name: str) -> None:
    for kind, table in degenerate().items():
        table = table if name in PAIRED else table[table["family"] == "A"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = (PER_MODEL | PAIRED)[name](table)
            except InterpError as error:
                found = str(error)
                assert "\n" not in found, kind
        if isinstance(found, pd.DataFrame) and {"low", "high"} <= set(found):
            inside = found.dropna(subset=["low", "high", "value"])
            assert ((inside["low"] <= inside["high"]) & (inside["value"] >= 0)).all() or name in {
                "scaling",
                "predict",
            }, kind


def test_a_missing_group_is_a_group() -> None:
    table = scores().assign(domain=lambda t: t["domain"].where(t["window"] > 12))
    for name, by in (("rates", ("domain",)), ("dose", ("domain",)), ("depth", ("domain",))):
        found = {
            "rates": lambda t, by: rates(t, by=by).to_frame(),
            "dose": lambda t, by: dose_response(t, by=by).to_frame(),
            "depth": lambda t, by: depth_summary(t, by=by, at=(1,)),
        }[name](table, by)
        assert found["domain"].isna().sum() == 1, name
        assert len(found) == 3, name
    assert [key for key, _ in grouped(table, ())] == [()]


def test_a_structural_share_needs_known_domains() -> None:
    table = scores()
    known = domains(table, by=()).structural.estimates[0]
    half = table.assign(domain=table["domain"].where(table["window"] % 2 == 0, "unknown"))
    of_half = domains(half, by=()).structural.estimates[0]
    rows = half[(half["domain"] != "unknown") & half["memorized"]]
    assert of_half.value == (rows["domain"] == "code").mean()
    assert of_half.n == len(rows) < known.n
    assert (
        domains(half.assign(domain=half["domain"].replace("unknown", None)), by=()).structural.estimates[0] == of_half
    )
    with pytest.raises(ScoresError, match="the domains are \\['unknown'\\]"):
        domains(table.assign(domain="unknown"))


def test_a_share_that_has_fallen_to_zero_stays_known() -> None:
    """All miss the first token: nobody is at risk after it, and nobody is left. Censored ones are another matter."""
    missed = pd.DataFrame({"model": "m", "document": [f"d{i}" for i in range(8)], "depth": 0.0, "censored": False})
    found = depth_summary(missed, at=(0, 1, 2, 8)).set_index("at")
    assert found["value"].tolist() == [1, 0, 0, 0]
    ended = missed.assign(censored=True)
    np.testing.assert_array_equal(depth_summary(ended, at=(0, 1, 2))["value"], [1, np.nan, np.nan])
    # Three of four miss the third token, one is censored before it: P(depth >= 3) = 0 is known, at any depth beyond.
    mixed = pd.DataFrame(
        {"model": "m", "document": list("abcd"), "depth": [2.0, 2, 2, 1], "censored": [False] * 3 + [True]}
    )
    assert depth_summary(mixed, at=(2, 3, 5))["value"].tolist() == [1, 0, 0]
    for wrong in ({"at": (-1,)}, {"table": mixed.assign(depth=1.5)}, {"table": mixed.assign(censored=np.nan)}):
        with pytest.raises(ScoresError, match="whole numbers of tokens"):
            depth_summary(**{"table": mixed, "at": (1,), **wrong})


def test_controls_are_not_the_first_of_the_table() -> None:
    """One memorized window among twenty alike: over seeds every other is its control about as often."""
    table = pd.DataFrame({"domain": "code", "memorized": [True] + [False] * 9})
    chosen = [int(match(table, on=[], seed=s).pairs["control"].iloc[0]) for s in range(60)]
    assert len(set(chosen)) > 6
    assert match(table, on=[], seed=4).pairs.equals(match(table, on=[], seed=4).pairs)
    # Two controls equally near on either side: neither side is preferred.
    sides = pd.DataFrame({"domain": "code", "memorized": [True, False, False] * 5, "x": [0.0, -1, 1] * 5})
    above = [match(sides, on=["x"], caliper=9.0, seed=s).pairs["control"].to_numpy() % 3 == 2 for s in range(15)]
    assert 0.3 < np.mean(above) < 0.7


def test_a_window_is_no_control_of_its_own_text() -> None:
    table = pd.DataFrame({"domain": "code", "memorized": [True, False, False], "digest": ["a", "a", "b"]})
    assert {int(match(table, on=[], seed=s).pairs["control"].iloc[0]) for s in range(10)} == {2}
    with pytest.raises(MatchingError, match="0 controls"):
        match(table[:2], on=[])


def test_domains_with_separators_are_not_mixed_up() -> None:
    table = pd.DataFrame({"one": ["a / b", "a"], "two": ["c", "b / c"], "memorized": [True, False]})
    with pytest.raises(MatchingError, match="no unmemorized window has the same"):
        match(table, on=[], exact=("one", "two"))


def test_a_difference_without_spread_is_not_balanced() -> None:
    table = pd.DataFrame({"domain": "code", "memorized": [True, True, False, False], "x": [1.0, 1, 0, 0]})
    balance = match(table, on=["x"], caliper=1e9).balance.set_index("covariate")
    assert balance.loc["x", ["before", "after"]].tolist() == [np.inf, np.inf]
    assert not balance.loc["x", "balanced"]
    assert balance.loc["domain = code", "after"] == 0


def test_no_text_is_learned_from_and_tested_on() -> None:
    """Each text stands in two documents; its outcome is random and a factor names it: worthless on other text."""
    rng = np.random.default_rng(0)
    text = np.repeat(np.arange(120), 2)
    table = pd.DataFrame(
        {
            "document": [f"d{i}" for i in range(240)], "digest": [f"t{i}" for i in text],
            "name": [f"n{i}" for i in text],
            "memorized": (rng.random(120) < 0.5)[text], "noise": rng.normal(size=240),
        }
    )  # fmt: skip
    factors = {"name": "name", "noise": "noise"}
    assert predict(table, factors=factors, n_resamples=20).auc["name alone"].value == 0.5
    assert predict(table.drop(columns="digest"), factors=factors, n_resamples=20).auc["name alone"].value > 0.7
    # A document that shares a text with another counts as one with it.
    found = predict(table, factors=factors, n_resamples=20)
    assert found.auc[ALL].n_documents == 120


def test_probabilities_stand_beside_their_windows() -> None:
    table = of_one_model(scores()).assign(memorized=lambda t: t["memorized"].astype(float).where(t["window"] % 5 > 0))
    found = predict(table, n_folds=3, n_resamples=20)
    assert (np.isnan(found.probability) == table["memorized"].isna()).all()
    with pytest.raises(ScoresError, match="n_folds=1"):
        predict(table, n_folds=1)


def test_folds_of_one_kind_predict_its_rate() -> None:
    """Few positives: shuffled, all may fall into one fold, and the others have none to learn from."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"document": [f"d{i}" for i in range(40)], "memorized": [True] * 2 + [False] * 38, "x": rng.normal(size=40),
         "y": rng.normal(size=40)}
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(3):
            predict(table, factors={"x": "x", "y": "y"}, n_folds=2, n_resamples=10, seed=seed)
