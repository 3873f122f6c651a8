"""The report page: it stands alone, and text from a corpus cannot become markup."""

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from html_pages import drawn, without_scripts

from interp.figures.style import apply_style, translucent
from interp.report import Section, write_report
from interp.results import Provenance

TABLE = {
    "text": ["<script>alert('x')</script> in a column of text that is longer than forty characters", "short"],
    "n": [1234, 7],
    "share": [0.123456, float("nan")],
    "large": [98765.4, -0.5],
    "flag": [True, False],
    "any": pd.Series([np.int64(5678), None], dtype=object),
}
HOSTILE = "<script>alert('x')</script> & \"quoted\" </td>"


@pytest.fixture
def page(tmp_path, models, windows):
    figure = apply_style(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])), title="A figure", x="x", y="y", caption=HOSTILE)
    section = Section(
        title="One section",
        text=HOSTILE,
        figures=[figure, figure],
        table=pd.DataFrame(TABLE),
    )
    provenance = [Provenance.of("extract", models["OLMo2"], windows, note=HOSTILE)]
    path = write_report(
        tmp_path / "out" / "report.html", title=HOSTILE, lead="Lead.", sections=[section], provenance=provenance
    )
    return path.read_text()


def cells(page):
    """Class and text of each cell of the first table."""
    body = re.search(r"<tbody>(.*?)</tbody>", without_scripts(page), flags=re.DOTALL)[1]
    return [re.findall(r"<td(?: class=\"(\w+)\")?>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


def test_corpus_text_is_escaped_everywhere(page):
    assert "<script>alert" not in page
    # Title twice, caption twice, text, table cell, provenance; there the settings are quoted by Python as well.
    assert without_scripts(page).count("&lt;script&gt;alert(") == 7


def test_page_needs_no_network(page):
    assert "Plotly.newPlot" in page
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=[\"']https?://", markup)


def test_figures_have_ids_of_their_own(page):
    assert list(drawn(page)) == ["one-section-0", "one-section-1"]
    assert without_scripts(page).count('id="one-section-0"') == 1
    assert 'href="#one-section"' in page
    assert '<section id="one-section">' in page


def test_figures_are_drawn_with_their_data(page):
    """An empty figure has its title, axes and caption, too."""
    for data, layout in drawn(page).values():
        assert [(trace["x"], trace["y"]) for trace in data] == [([1, 2], [3, 4])]
        assert layout["title"]["text"] == "A figure"
    assert "Plotly.newPlot" in page


def test_a_page_is_one_document_and_a_figure_alone_has_a_tool_bar(page, tmp_path):
    assert page.count("<html") == page.count("<body") == 1
    assert '"displayModeBar": "hover"' in page
    assert page.count("height:420px") == 2
    beside = Section(title="b", text="t", figures=[go.Figure(go.Scatter(y=[1]))] * 2, columns=2)
    other = write_report(tmp_path / "b.html", title="t", lead="l", sections=[beside], provenance=[]).read_text()
    assert '"displayModeBar": false' in other
    assert "repeat(2, minmax(0, 1fr))" in other
    assert 'id="b-0"' in other


def test_numbers_are_grouped_in_their_cells(page):
    texts = [[text for _, text in row] for row in cells(page)]
    assert texts[0][1:] == ["1,234", "0.123", "98,765", "True", "5,678"]
    assert texts[1] == ["short", "7", "", "-0.5", "False", ""]
    assert [kind for kind, _ in cells(page)[1]] == ["text", "", "", "", "", ""]


def test_provenance_is_listed(page, models):
    listed = without_scripts(page).split("<footer>")[1]
    assert "1 measurements" in listed
    for said in ("<td>extract</td>", "<td>random tokens</td>", f"<td>{models['OLMo2'].cfg.model_name}</td>"):
        assert said in listed
    assert "transformer-lens 4." in listed


def test_translucent_keeps_the_colour():
    assert translucent("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
