"""Figures of compression and depth show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interp.figures.compression import draw_compression, draw_ratio_distribution, draw_text_size
from interp.figures.depth import draw_depth
from interp.figures.style import GROUP_COLOURS


def test_ratio_distribution_has_a_band_around_each_step() -> None:
    shares = pd.DataFrame(
        {
            "size": "s",
            "family": "Pythia",
            "ratio": [0, 0.5, 1],
            "value": [0, 0.4, 1],
            "low": [0, 0.3, 1],
            "high": [0, 0.6, 1],
            "n": 9,
            "n_documents": 7,
        }
    )
    fig = draw_ratio_distribution(shares, panel="size", line="family")
    low, high, curve = fig.data
    np.testing.assert_allclose([low.y, curve.y, high.y], [[0, 0.3, 1], [0, 0.4, 1], [0, 0.6, 1]])
    assert {trace.line.shape for trace in fig.data} == {"hv"}
    assert "ratio" in fig.layout.xaxis.title.text
    assert curve.customdata[1] == "0.4 [0.3, 0.6]<br>9 windows of 7 documents"
    assert fig.layout.meta["caption"].endswith("Each interval rests on 9 windows of 7 documents.")


def test_compression_shows_both_lengths_with_intervals() -> None:
    summary = pd.DataFrame(
        {
            "model": "m",
            "domain": "code",
            "quantity": ["ratio", "ratio_every_longer", "within_limit"],
            "value": [0.3, 0.5, 0.9],
            "low": [0.2, 0.3, 0.8],
            "high": [0.4, 0.6, 1.0],
            "n": 8,
            "n_documents": 8,
        }
    )
    shortest, longer, *key = draw_compression(summary, line="domain").data
    assert (shortest.x[0], longer.x[0]) == (0.3, 0.5)
    assert shortest.offsetgroup == longer.offsetgroup == "code"
    assert (shortest.marker.symbol, longer.marker.symbol) == ("circle", "diamond-open")
    assert [trace.name for trace in key] == ["code", "shortest", "every longer works"]
    np.testing.assert_allclose(longer.error_x.arrayminus, [0.2])


def test_text_size_has_a_point_for_each_group_and_compressor() -> None:
    sizes = pd.DataFrame(
        {
            "compressor": ["zlib", "zlib", "lzma", "lzma"],
            "domain": "code",
            "group": ["memorized", "matched"] * 2,
            "value": [9.0, 8, 10, 11],
            "low": 7.0,
            "high": 12.0,
            "n": 8,
            "n_documents": 8,
        }
    )
    fig = draw_text_size(sizes)
    assert [trace.y[0] for trace in fig.data] == [9, 8, 10, 11]
    assert [a.text for a in fig.layout.annotations] == ["zlib", "lzma"]
    assert fig.data[0].marker.color == GROUP_COLOURS["memorized"]
    assert "bits" in fig.layout.yaxis.title.text


def test_depth_has_a_band_and_leaves_out_what_is_not_known() -> None:
    summary = pd.DataFrame(
        {
            "size": "s",
            "family": "OLMo1",
            "at": [0, 8, 32],
            "value": [1, 0.5, np.nan],
            "low": [1, 0.4, np.nan],
            "high": [1, 0.7, np.nan],
            "n": 30,
            "n_documents": [9, 9, 0],
        }
    )
    low, high, line = draw_depth(summary, panel="size", line="family").data
    np.testing.assert_allclose([low.y, line.y, high.y], [[1, 0.4], [1, 0.5], [1, 0.7]])


def test_depth_has_a_panel_for_each_size_and_one_entry_a_family_in_the_legend() -> None:
    at = [(size, family, d) for size in ("s", "l") for family in ("Pythia", "OLMo1") for d in (0, 4)]
    summary = pd.DataFrame(at, columns=["size", "family", "at"]).assign(
        value=[1, 0.5] * 4, low=[1, 0.4] * 4, high=[1, 0.7] * 4, n=9, n_documents=7, n_at_risk=9
    )
    fig = draw_depth(summary, panel="size", line="family")
    lines = [trace for trace in fig.data if trace.showlegend]
    assert [trace.name for trace in lines] == ["Pythia", "OLMo1"]
    assert {trace.xaxis for trace in fig.data} == {"x", "x2"}
    # Beside one another, not below.
    assert fig.layout.yaxis.domain == fig.layout.yaxis2.domain
