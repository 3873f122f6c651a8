"""The page: it stands alone, text from a corpus cannot become markup, and a browser draws what the tables say."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from html_pages import without_scripts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.figures.style import apply_style
from interp.files import OutputError
from interp.report.page import DOWNLOADED, SHOWN_ROWS, Section, write_report
from interp.results import Provenance

HOSTILE = "<script>alert('x')</script> & \"quoted\" </td> </script> <!-- ${a} {{ b }}"
TABLE = pd.DataFrame(
    {
        "text": ["<script>alert('x')</script> in a column of text that is longer than forty characters", "short"],
        "n": [1234, 7],
        "share": [0.123456, float("nan")],
        "large": [98765.4, -0.5],
        "flag": [True, False],
        "any": pd.Series([np.int64(5678), None], dtype=object),
    }
)


def figure(n: int = 2) -> go.Figure:
    fig = go.Figure(go.Scatter(x=list(range(1, n + 1)), y=[3.25 + i for i in range(n)], name=HOSTILE))
    return apply_style(fig, title="A figure", x="layers", y="nats", caption=HOSTILE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, models: dict[str, TransformerBridge], windows: Windows) -> Path:
    sections = [
        Section(
            "One section",
            question=HOSTILE,
            answers=[HOSTILE, "Second."],
            figures={"first": figure(), "second": figure(), "by_model/a": figure(), "by_model/b": figure()},
            tables={"scores": TABLE, "many": pd.DataFrame({"i": range(SHOWN_ROWS + 1)})},
            read=TABLE,
        ),
        *(Section(f"Section {i}", figures={"far": figure(3)}) for i in range(8)),
    ]
    provenance = [Provenance.of("extract", models["OLMo2"], windows, note=HOSTILE)]
    return write_report(
        tmp_path_factory.mktemp("out") / "folder" / "report.html",
        title=HOSTILE,
        lead="Lead.",
        sections=sections,
        provenance=provenance,
        facts=[("Store", HOSTILE)],
    )


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def figures(text: str) -> dict[str, dict]:
    found = re.findall(r'<figure id="([^"]+)">.*?<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    return {name: json.loads(told) for name, told in found}


def test_text_is_escaped_everywhere(text: str) -> None:
    assert "<script>alert" not in text
    # Title twice, question, answer, two captions and their folded ones, eight more, two tables, fact, provenance.
    assert without_scripts(text).count("&lt;script&gt;alert(") == 4 + 4 + 8 + 2 + 2


def test_a_page_needs_no_network_and_holds_plotly_once(text: str) -> None:
    assert not re.findall(r"(?:src|href)=[\"']https?://", without_scripts(text))
    assert text.count("plotly.js v") == 1
    assert text.count("<html") == text.count("<body") == 1
    assert "<iframe" not in text


def test_figures_keep_their_data_and_layout(text: str) -> None:
    found = figures(text)
    assert list(found)[:4] == [
        "one-section-first",
        "one-section-second",
        "one-section-by_model-a",
        "one-section-by_model-b",
    ]
    assert len(found) == 12
    for told in found.values():
        (trace,) = told["data"]
        assert trace["y"][:2] == [3.25, 4.25]
        assert trace["name"] == HOSTILE
        assert told["layout"]["title"]["text"] == "A figure"


def test_figures_of_single_models_are_folded_away(text: str) -> None:
    before, folded = text.split("<details><summary>by_model, model by model: 2 figures</summary>")
    assert 'id="one-section-by_model-a"' in folded
    assert 'id="one-section-second"' in before


def test_numbers_are_grouped_in_their_cells(text: str) -> None:
    body = re.search(r"<tbody>(.*?)</tbody>", without_scripts(text), flags=re.DOTALL)
    assert body is not None
    rows = [re.findall(r"<td(?: class=\"(\w+)\")?>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body[1])]
    texts = [[cell for _, cell in row] for row in rows]
    assert texts[0][1:] == ["1,234", "0.123", "98,765", "True", "5,678"]
    assert texts[1] == ["short", "7", "", "-0.5", "False", ""]
    assert [kind for kind, _ in rows[1]] == ["text", "", "", "", "", ""]


def test_a_table_can_be_downloaded_whole(text: str) -> None:
    download = re.search(r'download="scores.csv" href="data:text/csv;base64,([^"]+)"', text)
    assert download is not None
    found = pd.read_csv(io.BytesIO(base64.b64decode(download[1])))
    pd.testing.assert_frame_equal(found, TABLE.assign(any=[5678.0, float("nan")]))
    assert f"The first {SHOWN_ROWS} rows." in text
    assert f"Table many: {SHOWN_ROWS + 1} rows" in text


def test_a_table_that_is_too_large_is_named_and_not_carried(tmp_path: Path) -> None:
    large = pd.DataFrame({"text": ["x" * 1000] * (DOWNLOADED // 1000)})
    section = Section("One", tables={"large": large}, place="the/store")
    page = write_report(tmp_path / "a.html", title="t", lead="", sections=[section], provenance=[]).read_text()
    assert "data:text/csv" not in page
    assert "all are in the/store" in page


def test_provenance_is_listed(text: str, models: dict[str, TransformerBridge]) -> None:
    listed = without_scripts(text).split('<footer id="provenance">')[1]
    for said in ("1 measurements", "<td>extract</td>", "<td>random tokens</td>", "transformer-lens 4."):
        assert said in listed
    assert f"<td>{models['OLMo2'].cfg.model_name} </td>" in listed


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="written as HTML"):
        write_report(tmp_path / "a.pdf", title="t", lead="", sections=[], provenance=[])


class _Read(HTMLParser):
    """Tags and text of a page, as a browser would take it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00\x0c"), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_text=ANY | st.sampled_from([HOSTILE, "</script>", "<!--", "]]>", "&amp;", "\u2028", "{{ 1 + 1 }}"]))
def test_any_text_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_text: str) -> None:
    monkeypatch.setattr("interp.report.page.get_plotlyjs", lambda: "")  # megabytes to read each time

    def read(said: str) -> tuple[_Read, str]:
        section = Section(
            "One",
            said,
            [said],
            {said.replace("/", ""): figure()},  # a slash makes a folder
            {said: pd.DataFrame({said: [said]})},
            pd.DataFrame({said: [said]}),
        )
        page = write_report(tmp_path / "a.html", title=said, lead=said, sections=[section], provenance=[])
        parser, text = _Read(), page.read_text(encoding="utf-8")
        parser.feed(text)
        return parser, text

    (plain, _), (odd, text) = read("plain"), read(given_text)
    assert odd.tags == plain.tags
    assert odd.said.count(given_text) >= 5
    (told,) = figures(text).values()
    assert told["data"][0]["name"] == HOSTILE


Opened = Callable[..., Page]
FAR = "figure#section-7-far"


def test_a_browser_draws_each_figure_when_it_comes_into_view(opened: Opened, path: Path) -> None:
    page = opened(path, shows="figure[data-drawn] .main-svg")
    assert page.locator(f"{FAR}[data-drawn]").count() == 0
    page.locator(FAR).scroll_into_view_if_needed()
    page.locator(f"{FAR}[data-drawn] .main-svg").first.wait_for()
    assert page.locator("figure[id*=by_model][data-drawn]").count() == 0
    page.locator("summary", has_text="by_model").click()
    page.locator("figure#one-section-by_model-b[data-drawn] .main-svg").first.wait_for()
    page.evaluate("drawAll()")
    assert page.locator("figure[data-drawn]").count() == 12
    assert page.locator("[data-title*='Edit'], [data-title*='loud']").count() == 0, "no button offers to upload"


def test_what_hovering_shows_is_what_the_table_holds(opened: Opened, path: Path) -> None:
    page = opened(path, shows="figure[data-drawn] .main-svg")
    page.wait_for_timeout(300)
    box = page.locator("figure#one-section-first .point").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = page.locator("figure#one-section-first .hoverlayer .hovertext")
    hover.first.wait_for()
    assert "3.25" in (hover.first.text_content() or "")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1400, "dark")])
def test_a_phone_and_the_dark(opened: Opened, path: Path, width: int, scheme: str) -> None:
    page = opened(path, width=width, scheme=scheme, shows="figure[data-drawn] .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    drawn = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) > 382 for colour in (ink, ground, drawn)]
    assert light == ([True, False, True] if scheme == "dark" else [False, True, False])


def test_on_paper_all_that_is_not_folded_away_is_drawn(opened: Opened, path: Path) -> None:
    page = opened(path, scheme="dark", shows="figure[data-drawn] .main-svg")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("figure[data-drawn=light]").count() == 10
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
