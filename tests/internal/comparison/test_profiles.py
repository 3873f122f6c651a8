"""Profiles with intervals: shares by hand, the plain bootstrap's intervals, and planted ones covered."""

from __future__ import annotations

import numpy as np
import pytest

from interp.internal.comparison.profiles import concentration, importance_profile, shares
from interp.internal.comparison.similarity import N_POINTS, Representation, gini
from interp.stats.estimates import bootstrap

RNG = np.random.default_rng(3)
DOCUMENTS = np.array([f"document-{i // 3}" for i in range(24)])
BOTH = pytest.mark.parametrize("representation", ["depth", "sorted"])


@BOTH
def test_shares_sum_to_one_and_do_not_see_the_scale(representation: Representation) -> None:
    importance = RNG.random((5, 3))
    value = shares(importance, representation)
    assert value.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares(7 * importance, representation), value)
    np.testing.assert_allclose(shares(np.ones((5, 3)), representation), 1 / N_POINTS)
    assert np.isnan(shares(np.zeros((2, 2)), representation)).all()


@BOTH
def test_intervals_are_the_plain_bootstraps(representation: Representation) -> None:
    falls = RNG.normal(0.3, 1.0, (4, 2, 24)) + RNG.random((4, 2, 1))
    table = importance_profile(falls, DOCUMENTS, representation=representation, seed=2, n_resamples=200)
    for point in (0, 7, 19):
        plain = bootstrap(
            lambda i, point=point: float(shares(falls[:, :, i].mean(axis=-1), representation)[point]),
            24, seed=2, clusters=DOCUMENTS, n_resamples=200,
        )  # fmt: skip
        row = table.iloc[point]
        np.testing.assert_allclose(row[["value", "low", "high"]].astype(float), [plain.value, plain.low, plain.high])
    assert set(table["n"]) == {24}
    assert set(table["n_documents"]) == {8}
    found = concentration(falls, DOCUMENTS, seed=2, n_resamples=200)
    plain = bootstrap(
        lambda i: gini(falls[:, :, i].mean(axis=-1)), 24, seed=2, clusters=DOCUMENTS, n_resamples=200
    )  # fmt: skip
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_windows_that_agree_leave_no_doubt_and_one_document_all() -> None:
    same = np.repeat(RNG.random((3, 2, 1)), 24, axis=2)
    table = importance_profile(same, DOCUMENTS, representation="depth", n_resamples=50)
    np.testing.assert_allclose(table["low"], table["high"])
    alone = importance_profile(same, np.array(["one"] * 24), representation="depth", n_resamples=50)
    assert alone["low"].isna().all()
    assert np.isnan(concentration(same, np.array(["one"] * 24), n_resamples=50).low)


def test_planted_profile_is_covered() -> None:
    """Noise around a known profile over depth: most of 95 % intervals hold the truth."""
    truth = np.linspace(2.0, 1.0, 6)[:, None].repeat(3, axis=1)
    held = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.5, (6, 3, 60))
        documents = np.array([f"d{i // 2}" for i in range(60)])
        table = importance_profile(truth[..., None] + noise, documents, representation="depth", n_resamples=200)
        expected = shares(truth, "depth")
        held.append(((table["low"] <= expected) & (expected <= table["high"])).mean())
    assert np.mean(held) > 0.85
