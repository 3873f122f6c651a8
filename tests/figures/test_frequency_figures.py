"""Figures of corpus frequency: a panel for each n, the boundary of the continuation marked, no step at 0."""

import numpy as np
import pandas as pd

from interp.figures.frequency import draw_boundary, draw_frequency
from interp.figures.style import GROUP_COLOURS


def test_positions_are_drawn_by_n_with_the_boundary_before_the_first_of_the_continuation():
    points = [(group, n, at) for group in ("memorized", "matched") for n in (1, 3) for at in (-1, 0, 1)]
    curves = pd.DataFrame(points, columns=["group", "length", "position"]).assign(
        value=np.arange(12.0), low=np.arange(12) - 0.5, high=np.arange(12) + 0.5, n=9, n_documents=7
    )
    fig = draw_frequency(curves)
    lines = [trace for trace in fig.data if trace.mode != "lines" or trace.line.width]
    # A panel after the other, in each a line a group.
    assert [list(trace.y) for trace in lines] == [[0, 1, 2], [6, 7, 8], [3, 4, 5], [9, 10, 11]]
    assert {shape.x0 for shape in fig.layout.shapes} == {-0.5}
    assert len(fig.layout.shapes) == 2
    assert fig.layout.meta["caption"].endswith(
        "memorized: 9 windows of 7 documents; matched: 9 windows of 7 documents."
    )


def test_a_step_has_a_marker_and_an_interval_for_each_group():
    steps = pd.DataFrame(
        {
            "group": ["memorized", "memorized", "matched", "matched"],
            "length": [1, 3] * 2,
            "value": [0.1, -0.2, 0.3, 0.0],
            "low": [0.0, -0.4, 0.1, -0.1],
            "high": [0.3, 0.1, 0.4, 0.2],
            "n": 9,
            "n_documents": 7,
        }
    )
    fig = draw_boundary(steps)
    memorized, matched = fig.data
    assert (list(memorized.x), list(memorized.y), list(matched.y)) == (["1", "3"], [0.1, -0.2], [0.3, 0.0])
    np.testing.assert_allclose(memorized.error_y.array, [0.2, 0.3])
    np.testing.assert_allclose(memorized.error_y.arrayminus, [0.1, 0.2])
    assert [trace.marker.color for trace in fig.data] == [GROUP_COLOURS["memorized"], GROUP_COLOURS["matched"]]
    # Side by side, so that none hides another.
    assert fig.layout.scattermode == "group"
    assert memorized.offsetgroup != matched.offsetgroup
    assert [(shape.y0, shape.y1) for shape in fig.layout.shapes] == [(0, 0)]
