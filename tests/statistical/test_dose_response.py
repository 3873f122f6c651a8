from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.statistical.dose_response import dose_response
from interp.statistical.rates import ScoresError

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def shown(rate_at: dict[int, float], *, per_count: int = 400, model: str = "m") -> pd.DataFrame:
    """Windows of each count, exactly the given share of them memorized, each in its own document."""
    rows = [
        (model, f"{count}-{i}", float(count), i < round(rate * per_count))
        for count, rate in rate_at.items()
        for i in range(per_count)
    ]
    return pd.DataFrame(rows, columns=["model", "document", "count", "memorized"])


def logistic(half: float, slope: float) -> dict[int, float]:
    return {c: float(1 / (1 + np.exp(-slope * (np.log2(c) - np.log2(half))))) for c in COUNTS}


@pytest.mark.parametrize("half", [3.0, 20.0, 100.0])
def test_planted_half_way_count_is_found(half: float) -> None:
    result = dose_response(shown(logistic(half, 1.2)), n_resamples=200)
    assert result.half[0].value == pytest.approx(half, rel=0.03)
    assert result.half[0].low < half < result.half[0].high
    assert result.slope[0] == pytest.approx(1.2, rel=0.05)
    assert result.slope_interval[0].low < 1.2 < result.slope_interval[0].high


def test_a_leap_lies_at_the_geometric_middle() -> None:
    # Nothing up to 16 showings, everything from 32 on: half-way in log2 is 2^4.5.
    result = dose_response(shown({c: float(c >= 32) for c in COUNTS}), n_resamples=20)
    assert result.half[0].value == pytest.approx(2**4.5, rel=1e-3)


def test_half_that_is_never_reached_is_censored_not_invented() -> None:
    estimate = dose_response(shown({c: 0.1 * c / 256 for c in COUNTS}), n_resamples=50).half[0]
    assert np.isnan(estimate.value)
    assert estimate.high == np.inf


def test_nothing_memorized_and_everything_memorized() -> None:
    none, every = dose_response(
        pd.concat([shown(dict.fromkeys(COUNTS, 0.0), model="a"), shown(dict.fromkeys(COUNTS, 1.0), model="b")]),
        n_resamples=20,
    ).half
    assert np.isnan(none.value)
    assert (none.low, none.high) == (np.inf, np.inf)
    assert np.isnan(every.value)
    assert (every.low, every.high) == (0.0, 0.0)


def test_never_shown_windows_are_the_floor_and_do_not_move_the_curve() -> None:
    scores = shown(logistic(20, 1))
    with_floor = pd.concat([scores, shown({0: 0.02})])
    floor = dose_response(with_floor, n_resamples=20)
    assert floor.half == dose_response(scores, n_resamples=20).half
    first = floor.rates.to_frame().iloc[0]
    assert (first["count"], first["value"]) == (0.0, 0.02)


def test_interval_narrows_with_windows_and_follows_the_seed() -> None:
    few = dose_response(shown(logistic(20, 1), per_count=40), n_resamples=200).half[0]
    many = dose_response(shown(logistic(20, 1), per_count=640), n_resamples=200).half[0]
    # Sixteen times the windows: about a quarter of the width.
    assert 2.5 < (few.high - few.low) / (many.high - many.low) < 6
    assert few == dose_response(shown(logistic(20, 1), per_count=40), n_resamples=200).half[0]
    assert few != dose_response(shown(logistic(20, 1), per_count=40), n_resamples=200, seed=1).half[0]


def test_unknown_counts_are_refused() -> None:
    with pytest.raises(ScoresError, match="no known count"):
        dose_response(shown(logistic(20, 1)).assign(count=np.nan))
    with pytest.raises(ScoresError, match="needs two above 0"):
        dose_response(shown({0: 0.0, 4: 0.5}))
