from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from interp.stats.fits import linear_fit, logistic_fit, logistic_rate, r_squared


def test_line_through_points_by_hand() -> None:
    # Rates 0.1, 0.2, 0.6 at 6, 7, 8: slope (0.6 - 0.1) / 2 = 0.25, mean 0.3, so intercept 0.3 - 7 * 0.25 = -1.45.
    x, y = np.array([6.0, 7.0, 8.0]), np.array([0.1, 0.2, 0.6])
    intercept, slope = linear_fit(x, y[None])
    assert slope[0] == pytest.approx(0.25)
    assert intercept[0] == pytest.approx(-1.45)
    # Residuals 0.05, -0.1, 0.05: 0.015 of a total of 0.04 + 0.01 + 0.09 = 0.14.
    assert r_squared(y, intercept[0] + slope[0] * x) == pytest.approx(1 - 0.015 / 0.14)


def test_two_points_have_no_r2() -> None:
    assert np.isnan(r_squared(np.array([0.1, 0.2]), np.array([0.1, 0.2])))


def test_logistic_equals_statsmodels() -> None:
    rng = np.random.default_rng(0)
    x = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    n = rng.integers(50, 200, size=(20, 5)).astype(np.float64)
    successes = rng.binomial(n.astype(int), 1 / (1 + np.exp(-(x - 2))))
    intercept, slope = logistic_fit(x, successes / n, n)
    for row in range(20):
        model = sm.GLM(
            np.stack([successes[row], n[row] - successes[row]], 1), sm.add_constant(x), family=sm.families.Binomial()
        )
        assert np.array([intercept[row], slope[row]]) == pytest.approx(model.fit().params, abs=1e-4)


def test_logistic_through_two_points_is_exact() -> None:
    # Log odds of 1/4 and 3/4 are -log 3 and log 3.
    x, y = np.array([1.0, 3.0]), np.array([[0.25, 0.75]])
    intercept, slope = logistic_fit(x, y, np.full((1, 2), 1000.0))
    assert slope[0] == pytest.approx(np.log(3), rel=1e-4)
    assert intercept[0] == pytest.approx(-2 * np.log(3), rel=1e-4)
    assert logistic_rate(x, intercept, slope)[0] == pytest.approx([0.25, 0.75], rel=1e-4)


def test_a_leap_is_placed_between_its_points() -> None:
    intercept, slope = logistic_fit(np.arange(6.0), np.array([[0, 0, 0, 1, 1, 1.0]]), np.full((1, 6), 100.0))
    assert np.isfinite(slope[0])
    assert -intercept[0] / slope[0] == pytest.approx(2.5, abs=1e-6)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_places_the_curve_when_all_rates_are_equal_to_an_end(rate: float) -> None:
    fit = logistic_fit(np.arange(4.0), np.full((1, 4), rate), np.full((1, 4), 10.0))
    assert np.isnan(fit).all()


def test_a_point_without_windows_does_not_count() -> None:
    x, n = np.arange(4.0), np.array([[10.0, 10.0, 10.0, 0.0]])
    with_hole = logistic_fit(x, np.array([[0.1, 0.3, 0.6, np.nan]]), n)
    without = logistic_fit(x[:3], np.array([[0.1, 0.3, 0.6]]), n[:, :3])
    assert np.array(with_hole) == pytest.approx(np.array(without), rel=1e-3)
