"""A figure's page carries its caption, and leaves the figure as it was."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from interp.figures.page import captioned, write_page
from interp.figures.style import apply_style


def test_caption_is_under_the_figure_in_lines() -> None:
    fig = apply_style(go.Figure(), title="t", caption="word " * 60)
    drawn = captioned(fig)
    (caption,) = drawn.layout.annotations
    lines = caption.text.split("<br>")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 120
    # The plot itself stays as high as it was.
    more = drawn.layout.margin.b - fig.layout.margin.b
    assert drawn.layout.height - fig.layout.height + 8 == more > 3 * 18
    assert not fig.layout.annotations
    assert not captioned(apply_style(go.Figure(), title="t")).layout.annotations


def test_page_stands_alone_or_shares_a_script(tmp_path: Path) -> None:
    fig = apply_style(go.Figure(go.Scatter(y=[1, 2])), title="t", caption="seen")
    alone = write_page(fig, tmp_path / "new" / "alone.html").read_text()
    shared = write_page(fig, tmp_path / "shared.html", plotlyjs="plotly.min.js").read_text()
    assert "seen" in alone
    assert "seen" in shared
    assert len(alone) > 3_000_000
    assert len(shared) < 50_000
    assert 'src="plotly.min.js"' in shared
