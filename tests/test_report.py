"""The report page: it stands alone, and text from a corpus cannot become markup."""

import re

import pandas as pd
import plotly.graph_objects as go
import pytest

from interp.figures.style import apply_style, translucent
from interp.report import Section, write_report
from interp.results import Provenance

HOSTILE = "<script>alert('x')</script> & \"quoted\" </td>"


@pytest.fixture
def page(tmp_path, models, windows):
    figure = apply_style(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])), title="A figure", x="x", y="y", caption=HOSTILE)
    section = Section(
        title="One section",
        text=HOSTILE,
        figures=[figure, figure],
        table=pd.DataFrame({"text": [HOSTILE], "n": [1234]}),
    )
    provenance = [Provenance.of("extract", models["OLMo2"], windows, note=HOSTILE)]
    path = write_report(
        tmp_path / "out" / "report.html", title=HOSTILE, lead="Lead.", sections=[section], provenance=provenance
    )
    return path.read_text()


def test_corpus_text_is_escaped_everywhere(page):
    assert "<script>alert" not in page
    # title twice, caption twice, text, table cell, provenance
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 6


def test_page_needs_no_network(page):
    assert "Plotly.newPlot" in page
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=[\"']https?://", markup)


def test_figures_have_ids_of_their_own(page):
    assert 'id="one-section-0"' in page
    assert 'id="one-section-1"' in page
    assert 'href="#one-section"' in page


def test_numbers_are_grouped_and_provenance_is_listed(page):
    assert "1,234" in page
    assert "random tokens" in page


def test_translucent_keeps_the_colour():
    assert translucent("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
