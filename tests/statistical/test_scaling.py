from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.statistical.rates import ScoresError
from interp.statistical.scaling import family_ratios, scaling, transitions


def family(name: str, rates: dict[float, float], *, n: int = 200) -> pd.DataFrame:
    """Windows 0 ... n-1, the first ``rate`` of them memorized, for each size."""
    parts = [
        pd.DataFrame(
            {
                "family": name,
                "model": f"{name}-{size:g}",
                "n_params": size,
                "window": np.arange(n),
                "document": [f"d{i}" for i in range(n)],
                "digest": [f"text {i}" for i in range(n)],
                "score": np.where(np.arange(n) < round(rate * n), 1.0, 0.125),
            }
        )
        for size, rate in rates.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(memorized=lambda t: t["score"] == 1)


def test_slope_by_hand() -> None:
    # 0.1, 0.3, 0.5 at 1e6, 1e7, 1e8: a rise of 0.2 for ten times the parameters, exactly on a line.
    result = scaling(family("A", {1e8: 0.5, 1e6: 0.1, 1e7: 0.3}), n_resamples=200)
    assert result.linear_slope[0].value == pytest.approx(0.2)
    assert result.linear_intercept[0] == pytest.approx(0.1 - 6 * 0.2)
    assert result.linear_r2[0] == pytest.approx(1)
    assert result.linear_slope[0].low < 0.2 < result.linear_slope[0].high
    frame = result.to_frame()
    assert frame["fit"].tolist() == ["linear", "logistic"]
    assert frame["value"][0] == pytest.approx(0.2)


def test_logistic_slope_by_hand() -> None:
    # Log odds of 1/4 and 3/4 are 2 log 3 apart, over two decades.
    result = scaling(family("A", {1e6: 0.25, 1e8: 0.75}), n_resamples=50)
    assert result.logistic_slope[0].value == pytest.approx(np.log(3), rel=1e-3)
    assert np.isnan(result.logistic_r2[0])
    assert np.isnan(result.linear_r2[0])


def test_the_same_windows_are_drawn_for_all_sizes() -> None:
    # Both sizes memorize the very same windows: the slope is 0 in every resample, so it has no width.
    flat = scaling(family("A", {1e6: 0.5, 1e8: 0.5}), n_resamples=100).linear_slope[0]
    assert (flat.value, flat.low, flat.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_a_family_with_one_size_has_rates_but_no_slope() -> None:
    result = scaling(pd.concat([family("A", {1e6: 0.1, 1e7: 0.3}), family("B", {1e6: 0.2})]), n_resamples=20)
    assert result.families == ("A",)
    assert set(result.rates.groups["family"]) == {"A", "B"}
    with pytest.raises(ScoresError, match="needs two"):
        scaling(family("B", {1e6: 0.2}))


def test_nothing_memorized_has_a_flat_line_and_no_logistic_slope() -> None:
    result = scaling(family("A", {1e6: 0.0, 1e7: 0.0, 1e8: 0.0}), n_resamples=20)
    assert result.linear_slope[0].value == 0
    assert np.isnan(result.linear_r2[0])
    assert np.isnan(result.logistic_slope[0].value)


def test_different_windows_are_refused() -> None:
    scores = family("A", {1e6: 0.1, 1e7: 0.3})
    with pytest.raises(ScoresError, match="not measured on the same windows"):
        scaling(scores[:-5])
    with pytest.raises(ScoresError, match="not measured on the same windows"):
        transitions(scores[:-5])


def test_ratio_between_families_at_one_size() -> None:
    scores = pd.concat(
        [family("A", {1e6: 0.1, 1.1e7: 0.4}), family("B", {1e7: 0.1}), family("C", {1e9: 0.9}), family("D", {9e6: 0.0})]
    )
    frame = family_ratios(scores, n_params=1e7, n_resamples=200).set_index(["family", "other_family"])
    assert set(frame.index.get_level_values(0)) == {"A", "B", "D"}
    ab = frame.loc[("A", "B")]
    assert ab["model"] == "A-1.1e+07"
    assert ab["value"] == pytest.approx(4)
    assert ab["low"] < 4 < ab["high"]
    assert frame.loc[("B", "A"), "value"] == pytest.approx(1 / 4)
    assert frame.loc[("D", "A"), "value"] == 0
    assert frame.loc[("A", "D"), "value"] == np.inf
    with pytest.raises(ScoresError, match="0 families"):
        family_ratios(scores, n_params=1e3)


def test_transitions_by_hand() -> None:
    # Of four windows at M = 0.125 in the small model, one becomes memorized; the memorized one stays.
    small = family("A", {1e6: 0.2}, n=5)
    large = family("A", {1e7: 0.4}, n=5)
    frame = transitions(pd.concat([large, small])).to_frame()
    moves = {(r.from_bin, r.to_bin): (r.n_windows, r.value, r.n) for r in frame.itertuples()}
    assert moves == {
        ("(0, 0.25)", "(0, 0.25)"): (3, 0.75, 4),
        ("(0, 0.25)", "1"): (1, 0.25, 4),
        ("1", "1"): (1, 1.0, 1),
    }
    assert frame[["from_model", "to_model"]].drop_duplicates().to_numpy().tolist() == [["A-1e+06", "A-1e+07"]]


@pytest.mark.parametrize("every", [0.0, 1.0])
def test_a_slope_of_rates_that_do_not_vary_has_no_interval(every: float) -> None:
    windows = np.arange(30)
    table = pd.concat(
        pd.DataFrame(
            {
                "family": "f", "model": f"m{n}", "n_params": n, "window": windows, "memorized": every,
                "document": [f"d{w}" for w in windows],
            }
        )
        for n in (1e6, 1e7)
    )  # fmt: skip
    with pytest.warns(UserWarning, match="digest"):
        (slope,) = scaling(table).linear_slope
    assert slope.value == pytest.approx(0, abs=1e-12)
    assert np.isnan([slope.low, slope.high]).all()
