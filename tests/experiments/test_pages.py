"""A claim's page shows every figure that its script drew, each as high as it is."""

from __future__ import annotations

import re
from pathlib import Path

import plotly.graph_objects as go
from pages import FILLS, pages, write_page

from interp.figures.page import write_page as write_figure


def test_page_shows_every_figure_in_its_height_and_folds_those_of_single_models(tmp_path: Path) -> None:
    folder = tmp_path / "numerics"
    write_figure(go.Figure(layout={"height": 952}), folder / "by_model.html", plotlyjs="../plotly.min.js")
    write_figure(go.Figure(), folder / "fills-it.html", plotlyjs="../plotly.min.js")
    for name in ("b", "a"):
        write_figure(go.Figure(layout={"height": 300}), folder / "positions" / f"{name}.html", plotlyjs="x.js")
    (page,) = pages(tmp_path)
    assert page.question.endswith("?")
    assert "python experiments" not in page.method
    text = write_page(page, tmp_path).read_text(encoding="utf-8")
    before, folded = text.split("<details>")
    shown = r'height: (\d+)px" scrolling="no" src="([^"]+)"'
    assert re.findall(shown, before) == [("968", "numerics/by_model.html"), (str(FILLS), "numerics/fills-it.html")]
    assert re.findall(shown, folded) == [("316", f"numerics/positions/{name}.html") for name in "ab"]
    assert "positions, by model: 2 figures" in folded
    assert all((tmp_path / address).exists() for _, address in re.findall(shown, text))


def test_script_without_figures_has_no_page(tmp_path: Path) -> None:
    assert pages(tmp_path) == []
