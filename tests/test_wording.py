"""Shares in sentences: value and both ends as percent, to the same decimals."""

import math

import pytest

from interp.stats.estimates import Estimate, wilson
from interp.wording import percent


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.97, 0.941, 0.986, "97.0 % [94.1, 98.6]"),
        (0.5, 0.2, 0.81, "50 % [20, 81]"),
        (0.0007, 0.0003, 0.00149, "0.07 % [0.03, 0.15]"),
        (0.9995, 0.999, 1.0, "99.95 % [99.90, 100.00]"),
        # What floating point leaves of 0 and of 1.
        (0.0, 8.67e-19, 0.0099, "0.00 % [0.00, 0.99]"),
        (0.0, -1e-17, 0.02, "0.0 % [0.0, 2.0]"),
        (1.0, 0.9, 1.0000000000000002, "100 % [90, 100]"),
        (0.5, 0.5, 0.5, "50.0 % [50.0, 50.0]"),
        (0.123456789, 0.12345678, 0.12345679, "12.3457 % [12.3457, 12.3457]"),
    ],
)
def test_a_share_and_its_interval_have_one_unit_and_as_many_decimals(value, low, high, said):
    assert percent(Estimate(value, low, high, 100, 100)) == said


def test_nothing_successful_is_0_percent_without_dust():
    assert percent(wilson(0, 384)) == "0.00 % [0.00, 0.99]"


def test_what_is_not_known_is_said():
    assert percent(Estimate(math.nan, math.nan, math.nan, 0, 0)) == "not measured"
    assert percent(Estimate(0.25, math.nan, math.nan, 8, 3)) == "25.0 % (no interval: fewer than 5 documents)"
