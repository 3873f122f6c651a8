from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from interp.figures.prediction import draw_auc, draw_reliability
from interp.statistical.prediction import ALL, SHUFFLED, predict
from interp.statistical.rates import ScoresError
from interp.stats.auc import RankedFolds, auc_estimates
from interp.stats.estimates import bootstrap, resample_weights


def windows_table(n: int = 1200, *, seed: int = 0, effect: float = 1.5) -> pd.DataFrame:
    """M = 1 follows the count and, less, the compressed size; the rest says nothing. Three windows a document."""
    rng = np.random.default_rng(seed)
    count = rng.choice([0, 1, 2, 3, 4, 5, 6, 7], size=n).astype(float)
    bits = rng.normal(4, 1, size=n)
    odds = effect * (count - 4) - effect / 2 * (bits - 4)
    return pd.DataFrame(
        {
            "log2_count": count,
            "compressed_bits": bits,
            "prefix_log_prob": rng.normal(-3, 1, size=n),
            "domain": rng.choice(["code", "prose"], size=n),
            "document": [f"d{i // 3}" for i in range(n)],
            "memorized": rng.random(n) < 1 / (1 + np.exp(-odds)),
        }
    )


def test_auc_by_hand() -> None:
    # Memorized at 0.9 and 0.4, unmemorized at 0.4 and 0.1: of four pairs three are right and one is tied.
    folds = RankedFolds(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]), np.zeros(4, dtype=int))
    assert folds.auc(np.ones(4)) == 3.5 / 4
    # The tied unmemorized window counted three times: 2 + 3 * 0.5 + 3 * 1 ... of eight pairs.
    assert folds.auc(np.array([1.0, 1, 3, 1])) == (3 + 1 + 1.5 + 1) / 8
    assert np.isnan(folds.auc(np.array([1.0, 1, 0, 0])))


def test_auc_equals_scikit_learn_with_weights() -> None:
    rng = np.random.default_rng(0)
    prediction, positive, weights = rng.integers(20, size=300) / 20, rng.random(300) < 0.4, rng.integers(4, size=300)
    expected = roc_auc_score(positive, prediction, sample_weight=weights)
    folds = RankedFolds(prediction, positive, np.zeros(300, dtype=int))
    assert folds.auc(weights.astype(float)) == pytest.approx(expected)


def test_folds_are_not_compared_with_one_another() -> None:
    # Right within each fold, but the second fold's level is higher throughout.
    prediction, positive = np.array([0.2, 0.1, 0.9, 0.8]), np.array([True, False, True, False])
    assert RankedFolds(prediction, positive, np.array([0, 0, 1, 1])).auc(np.ones(4)) == 1
    assert RankedFolds(prediction, positive, np.zeros(4, dtype=int)).auc(np.ones(4)) == 0.75


def test_weights_are_the_bootstraps_own_draws() -> None:
    rng = np.random.default_rng(1)
    values, clusters = rng.random(60), rng.integers(9, size=60).astype(str)
    drawn = [np.average(values, weights=w) for w in resample_weights(clusters, seed=5, n_resamples=200)]
    estimate = bootstrap(lambda i: float(values[i].mean()), 60, seed=5, clusters=clusters, n_resamples=200)
    # Nine documents of unequal length: Phi(-sqrt(9 / 8) * t), t of as many degrees of freedom as their squares tell.
    squares = np.unique(clusters, return_counts=True)[1].astype(float) ** 2
    student = stats.t.ppf(0.975, squares.sum() ** 2 / (squares**2).sum() - 1)
    tail = stats.norm.cdf(-np.sqrt(9 / 8) * student)
    assert np.quantile(drawn, [tail, 1 - tail]) == pytest.approx([estimate.low, estimate.high], rel=1e-9)


def test_a_difference_is_taken_on_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    prediction, positive = rng.random(200), rng.random(200) < 0.5
    auc, gain = auc_estimates(
        {"one": prediction, "same": prediction * 2},
        positive,
        fold=np.zeros(200, dtype=int),
        document=np.arange(200),
        reference="one",
        seed=0,
        n_resamples=50,
    )
    assert auc["one"] == auc["same"]
    assert (gain["same"].value, gain["same"].low, gain["same"].high) == (0, 0, 0)


def test_planted_factors_are_told_apart() -> None:
    result = predict(windows_table(), n_resamples=200)
    assert result.auc["count alone"].value > 0.85
    assert result.auc["compressed size alone"].low > 0.5
    assert result.auc["prefix log-probability alone"].low < 0.5 < result.auc["prefix log-probability alone"].high
    assert result.gain["count alone"].low > 0
    assert result.gain["all but count"].value > 0.2
    useless = result.gain["all but prefix log-probability"]
    assert useless.low <= 0 <= useless.high or abs(useless.value) < 0.005
    assert next(iter(result.auc)) == ALL
    assert len(result.to_frame()) == 10


def test_shuffled_outcomes_are_at_chance() -> None:
    intervals = [predict(windows_table(300, seed=s), n_resamples=100, seed=s).auc[SHUFFLED] for s in range(12)]
    # Each 95 % interval misses one half once in twenty; three misses of twelve have a chance of two percent.
    assert sum(e.low <= 0.5 <= e.high for e in intervals) >= 10
    assert abs(np.mean([e.value for e in intervals]) - 0.5) < 0.04


def test_probabilities_are_calibrated_where_the_model_is_right() -> None:
    result = predict(windows_table(3000), n_resamples=50)
    frame = result.reliability.to_frame()
    assert frame["n"].sum() == 3000
    assert ((frame["low"] - 0.03 <= frame["predicted"]) & (frame["predicted"] <= frame["high"] + 0.03)).all()
    assert result.brier.high < result.brier_of_rate.low


def test_a_document_is_not_learned_from_and_tested_on() -> None:
    # Every document is memorized whole or not at all, and a column names the document: worthless on other documents.
    scores = windows_table(600)
    whole = np.random.default_rng(7).random(200) < 0.5
    scores["memorized"] = np.repeat(whole, 3)
    scores["name"] = scores["document"]
    auc = predict(scores, factors={"name": "name", "noise": "prefix_log_prob"}, n_resamples=50).auc["name alone"]
    assert auc.value == 0.5


def test_seed_fixes_everything() -> None:
    one, same, other = (predict(windows_table(300), n_resamples=20, seed=s) for s in (0, 0, 1))
    assert one.auc == same.auc
    assert one.auc != other.auc
    assert (one.probability == same.probability).all()


def test_refusals() -> None:
    scores = windows_table(300)
    with pytest.raises(ScoresError, match="0 memorized windows in 0 documents"):
        predict(scores.assign(memorized=False))
    with pytest.raises(ScoresError, match=r"count \('log2_count'\) is not known"):
        predict(scores.assign(log2_count=np.nan))
    with pytest.raises(ScoresError, match="is the same for all windows"):
        predict(scores.assign(domain="code"))
    with pytest.raises(ScoresError, match="one factor"):
        predict(scores, factors={"count": "log2_count"})


def test_figures() -> None:
    result = predict(windows_table(300), n_resamples=20)
    table = pd.concat([result.to_frame().assign(size=size, family=family) for size in "xy" for family in "ab"])
    fig = draw_auc(table, panel="size", line="family")
    assert [t.name for t in fig.data] == ["a", "b", "a", "b"]
    assert [t.showlegend for t in fig.data] == [True, True, False, False]
    assert list(fig.data[0].y) == list(result.to_frame()["factors"])
    assert fig.layout.shapes[0].x0 == 0.5
    fig = draw_reliability(result.reliability.to_frame().assign(model="m"), panel="model", line="model")
    diagonal, points = fig.data
    assert list(diagonal.x) == list(diagonal.y)
    assert len(points.x) == len(result.reliability.groups)
