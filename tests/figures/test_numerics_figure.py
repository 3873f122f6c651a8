"""The figure of numerics shows every share with its interval, each setting told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interp.figures.numerics import draw_numerics
from interp.statistical.numerics import SHARES


def test_each_setting_has_its_points_and_intervals_in_every_panel() -> None:
    settings = [("float32", 7), ("bfloat16", 64), ("bfloat16", 7)]
    rows = [
        {"model": model, "dtype": dtype, "batch_size": size, "share": share, "n": 100, "n_documents": 40}
        | {"value": 0.1 * i, "low": 0, "high": 0.1 * i + 0.05, "gained": 1, "lost": 2}
        for model in ("one", "two")
        for i, (dtype, size) in enumerate(settings)
        for share in SHARES
    ]
    fig = draw_numerics(pd.DataFrame(rows).assign(reference="float32 in batches of 64"), caption="seen")
    points, key = fig.data[: 3 * len(settings)], fig.data[3 * len(settings) :]
    flips = points[: len(settings)]
    assert [list(t.y) for t in flips] == [["one", "two"]] * 3
    np.testing.assert_allclose([t.x[0] for t in flips], [0, 0.1, 0.2])
    np.testing.assert_allclose(flips[2].error_x.array, [0.05, 0.05])
    np.testing.assert_allclose(flips[2].error_x.arrayminus, [0.2, 0.2])
    # A colour is a format, a symbol a batch size.
    assert flips[1].marker.color == flips[2].marker.color != flips[0].marker.color
    assert flips[0].marker.symbol == flips[2].marker.symbol != flips[1].marker.symbol
    assert [t.name for t in key] == ["float32", "bfloat16", "batches of 7", "batches of 64"]
    assert not any(t.showlegend for t in points)
    assert fig.layout.meta["caption"].startswith("seen. Compared with float32 in batches of 64. ")
    assert fig.layout.meta["caption"].endswith("Each interval rests on 100 windows of 40 documents.")
