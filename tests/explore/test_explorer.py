"""The exported page in a real browser with the network cut: what is on the screen is what was measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from explored import Swept
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from interp.cli import app
from interp.explore.explorer import Explorer, Shown, explore
from interp.explore.maps import MEMORIZED, Maps, WindowFalls
from interp.files import OutputError
from interp.results import write_table

Opened = Callable[..., Page]
NUMBER = r"[+−-]?[\d.]+(?:e[−+]?\d+)?"


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def on_screen(page: Page, m: int = 0) -> dict[tuple[int, int], list[float]]:
    """Value and interval of each head, as its cell tells them; nothing for a head that was not measured."""
    found = {}
    for label in page.locator(f'td.hx-cell[data-m="{m}"]').evaluate_all("all => all.map(x => x.ariaLabel)"):
        layer, head, *numbers = re.findall(NUMBER, label.split(", ", 2)[0] + " " + label.split(", ", 2)[1])
        assert not numbers
        rest = re.search(rf"({NUMBER}) [a-zM ]+ (?:\[({NUMBER}), ({NUMBER})\])?", label.split(", ", 2)[2])
        found[int(layer), int(head)] = [] if rest is None else [number(x) for x in rest.groups() if x]
    return found


def cell(page: Page, layer: int, head: int, m: int = 0):
    return page.locator(f'td.hx-cell[data-m="{m}"][data-layer="{layer}"][data-head="{head}"]')


def choose(page: Page, test: str, value: str) -> None:
    """Choose in a menu, and wait until the map is another."""
    page.locator(f'select[data-test="{test}"]').select_option(value)
    page.wait_for_timeout(50)


def test_every_map_on_the_screen_is_the_measured_one(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    maps = explorer.shown[0].maps
    for method, metric, group, domain in (
        ("zero", "log_prob", "memorized", 0),
        ("zero", "rate", "all windows", 0),
        ("zero", "score", "memorized", 1),
        ("zero", "log_prob", "memorized − not memorized", 0),
        ("zero", "log_prob", "not memorized", 2),
        ("peer_mean", "log_prob", "memorized", 0),
    ):
        for test, value in (("metric", metric), ("method", method), ("group", group)):
            choose(page, test, value)
        page.get_by_label("Domain").select_option(str(domain))
        page.wait_for_timeout(100)
        wanted = maps[method].map(metric, group, explorer.shown[0].domains[domain])
        screen = on_screen(page)
        assert len(screen) == wanted.value.size
        for (layer, head), numbers in screen.items():
            ends = [getattr(wanted, end)[layer, head] for end in ("value", "low", "high")]
            assert numbers == pytest.approx([x for x in ends if not np.isnan(x)], rel=5.1e-3, abs=1e-9)


def test_the_ranked_list_is_the_ranking(saved: Path, swept: Swept, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    value = explorer.shown[0].maps["zero"].map("log_prob", MEMORIZED, "all domains").value
    order = np.argsort(-value, axis=None)
    names = page.locator(".hx-ranks li > span:first-child").all_text_contents()
    assert names == [f"{i // 4}.{i % 4}" for i in order]
    text = page.locator(".hx-shares").inner_text()
    carried = np.sort(value[value > 0])[::-1]
    assert f"top 3 (20 %) {100 * carried[:3].sum() / carried.sum():.0f} %" in text


def test_a_click_opens_a_head(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    layer, head = top_head(explorer)
    cell(page, layer, head).click()
    expect(page.get_by_role("heading", name=f"head {layer}.{head}")).to_be_visible()
    # The fall of each token of the continuation, and the text that is written without the head.
    found = explorer.answer(["ablated", 0, 0, "zero", [[layer, head]]])
    told = page.locator(".hx-columns li[aria-label]").evaluate_all("all => all.map(x => x.ariaLabel)")
    assert len(told) == 32
    for i, label in enumerate(told):
        assert number(re.search(rf"loses ({NUMBER}) nats", label)[1]) == pytest.approx(
            found["before"][i] - found["after"][i], rel=5.1e-3, abs=1e-6
        )
        assert label.endswith(", wrong") == (not found["text"]["ablated"]["right"][i])
    assert 0 < page.locator(".hx-columns .hx-wrong").count() == found["text"]["ablated"]["right"].count(False)
    # Another window.
    page.get_by_label("Next window").click()
    expect(page.get_by_label("Window", exact=True)).to_have_value("1")
    other = explorer.answer(["ablated", 0, 1, "zero", [[layer, head]]])
    mean = np.mean(np.array(other["before"]) - other["after"])
    expect(page.locator(".hx-panel p", has_text="On this window")).to_contain_text(f"{mean:+.3g}".replace("-", "−"))


def top_head(explorer: Explorer) -> tuple[int, int]:
    value = explorer.shown[0].maps["zero"].map("log_prob", MEMORIZED, "all domains").value
    layer, head = np.unravel_index(value.argmax(), value.shape)
    return int(layer), int(head)


def test_attention_by_pointer(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    layer, head = top_head(explorer)
    cell(page, layer, head).click()
    rows = explorer.answer(["attention", 0, 0, layer, head])["rows"]
    readout, tokens = page.locator(".hx-readout"), page.locator(".hx-token")
    assert tokens.count() == 64
    expect(readout).to_contain_text("Mean over the positions")
    tokens.nth(40).hover()
    most = int(np.argmax(rows[40]))
    expect(readout).to_contain_text("(40) looks at")
    value = rows[40][most] / 10
    shown = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    assert f"({most}) {shown} %" in readout.inner_text()
    # Held: hovering another token tells the weight there; a second click lets go.
    tokens.nth(40).click()
    tokens.nth(7).hover()
    expect(readout).to_contain_text("Held")
    value = rows[40][7] / 10
    shown = f"{value:.1f}" if 0 < value < 10 else f"{value:.0f}"
    expect(readout).to_contain_text(f"(7): {shown} %")
    tokens.nth(40).click()
    tokens.nth(7).hover()
    expect(readout).to_contain_text("(7) looks at")
    page.locator("h1").hover()
    expect(readout).to_contain_text("Mean over the positions")


def test_everything_by_keyboard(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('hx-cell')"):
            break
    here = "(({layer, head}) => `${layer}.${head}`)(document.activeElement.dataset)"
    assert page.evaluate(here) == "3.0"  # the top row is the last layer
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    assert page.evaluate(here) == "3.1"
    assert page.locator(".hx-tip").inner_text().startswith("layer 3, head 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="head 3.1")).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_role("tab", name="Set of heads (2)")).to_have_attribute("aria-selected", "true")
    assert page.evaluate(here) == "2.0"
    page.get_by_role("tab", name="Set of heads").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("table.hx-lens")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Head 3.1")).to_be_focused()
    # Tokens: arrows move, Enter holds; of the four strongest heads there is attention.
    page.locator(".hx-ranks li").first.press("Enter")
    page.locator('.hx-token[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".hx-readout")).to_contain_text("(1) looks at")
    page.keyboard.press("Enter")
    expect(page.locator(".hx-readout")).to_contain_text("Held")


def test_a_set_by_brush_and_by_ctrl(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    first, last = cell(page, 2, 0).bounding_box(), cell(page, 1, 2).bounding_box()
    page.mouse.move(first["x"] + 5, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 5, steps=5)
    page.mouse.up()
    chosen = page.locator('td[aria-selected="true"]')
    expect(chosen).to_have_count(6)
    cell(page, 2, 1).click(modifiers=["Control"])
    cell(page, 0, 3).click(modifiers=["Control"])
    expect(chosen).to_have_count(6)
    code = page.locator(".hx-code")
    expect(code).to_have_text(
        'interp.ablate_sets(model, windows, [[(0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 2)]], "zero")'
    )
    # A page has no model: it says so, and holds what was kept before.
    expect(page.locator(".hx-panel")).to_contain_text("Sets of heads are ablated by a running model")
    page.get_by_role("button", name="two (2)").click()
    rows = page.locator("table.hx-results tbody tr")
    expect(rows).to_have_count(3)
    found = explorer.answer(["set", 0, "zero", [[0, 1], [1, 3]]])
    for row, wanted in zip(rows.all(), found["rows"], strict=True):
        assert row.locator("td").nth(0).inner_text() == wanted["name"]
        shown = [number(x) for x in re.findall(NUMBER, row.locator("td").nth(2).inner_text())]
        assert shown == pytest.approx([wanted["log_prob"][end] for end in ("value", "low", "high")], rel=5.1e-3)
    page.get_by_role("button", name="Take head 0.1 out").click()
    expect(chosen).to_have_count(1)


def test_layers_on_the_screen_are_the_lens(saved: Path, explorer: Explorer, opened: Opened) -> None:
    page = opened(saved)
    page.get_by_role("tab", name="Layers").click()
    found = explorer.answer(["lens", 0, 0])
    rows = page.locator("table.hx-lens tbody tr")
    expect(rows).to_have_count(len(found["depth"]))
    assert rows.last.locator("th").inner_text() == "embedding"
    top = rows.first.locator("td").evaluate_all("all => all.map(x => x.ariaLabel)")
    assert [number(re.search(r"rank ([\d.]+)", label)[1]) for label in top] == pytest.approx(
        [rank + 1 for rank in found["rank"][-1]]
    )
    assert page.locator("td.hx-decided").count() == sum(x is not None for x in found["decided"])


def test_missing_heads_are_told_from_zero(saved: Path, opened: Opened) -> None:
    page = opened(saved)
    choose(page, "method", "peer_mean")
    expect(page.locator("td.hx-missing")).to_have_count(15)
    hatched = cell(page, 0, 0)
    assert "repeating-linear-gradient" in hatched.evaluate("x => getComputedStyle(x).backgroundImage")
    assert hatched.get_attribute("aria-label") == "layer 0, head 0, not measured"
    assert "hx-missing" not in cell(page, 1, 2).get_attribute("class")
    expect(page.locator(".hx-legend")).to_contain_text("not measured")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(saved: Path, opened: Opened, scheme: str) -> None:
    """With the contrast that WCAG 2 asks for, in both themes, on every cell and token."""
    page = opened(saved, scheme=scheme)
    page.locator(".hx-ranks li").first.click()
    page.locator(".hx-columns li").nth(3).wait_for()
    least = page.evaluate(
        CONTRAST, ["td.hx-cell", ".hx-token", ".hx-columns span", ".hx-note", ".hx-map th", "h2", "button"]
    )
    assert least["ratio"] >= 4.5, least
    assert page.locator("#explorer").get_attribute("data-theme") == scheme


CONTRAST = """selectors => {
  const lum = ([r, g, b]) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const c = [r, g, b][i] / 255; return sum + w * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); }, 0);
  const parts = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const ground = element => { for (let at = element; at; at = at.parentElement) {
    const found = parts(getComputedStyle(at).backgroundColor);
    if ((found[3] ?? 1) > 0.5 && found.length > 2) return found; }
    return [255, 255, 255]; };
  let least = {ratio: 99};
  for (const selector of selectors) for (const element of document.querySelectorAll(selector)) {
    if (!element.textContent.trim() || element.classList.contains("hx-missing")) continue;
    const color = getComputedStyle(element).color;
    const [a, b] = [lum(parts(color)), lum(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least.ratio) least = {ratio, selector, text: element.textContent, color};
  }
  return least;
}"""


def test_the_theme_follows_what_lies_behind(saved: Path, opened: Opened) -> None:
    page = opened(saved)
    before = cell(page, 3, 3).evaluate("x => x.style.background")
    page.evaluate("document.body.style.background = '#111'")
    expect(page.locator("#explorer")).to_have_attribute("data-theme", "dark")
    assert cell(page, 3, 3).evaluate("x => x.style.background") != before


def test_hostile_text_and_any_script_are_text(swept: Swept, tmp_path: Path, opened: Opened, monkeypatch) -> None:
    texts = [
        "</script><img src=x onerror=hacked()>",
        "<!--",
        "مرحبا",
        "👩‍👩‍👧",
        "日本語",
        "\u202eabc",
        "${x}`",
        "\u2028",
    ]
    monkeypatch.setattr("interp.explore.explorer.token_texts", lambda ids, _: [texts[i % 8] for i in range(len(ids))])
    monkeypatch.setattr("interp.explore.live.token_texts", lambda ids, _: [texts[i % 8] for i in range(len(ids))])
    windows = swept.windows.select(np.arange(2))
    explorer = explore(swept.ablation, model=swept.model, windows=windows)
    explorer.shown[0].name = "</script><script>hacked()</script>"
    page = opened(explorer.save(tmp_path / "hostile.html", n_heads=2))
    page.locator(".hx-ranks li").first.click()
    page.locator(".hx-columns li").nth(3).wait_for()
    tokens = page.locator(".hx-token")
    assert tokens.nth(0).text_content() == texts[0]
    assert [tokens.nth(i).text_content() for i in (2, 3, 4)] == texts[2:5]
    assert "\u202e" not in tokens.nth(5).text_content()
    assert page.locator("h1").inner_text().endswith("</script><script>hacked()</script>")
    page.get_by_role("tab", name="Layers").click()
    page.locator("table.hx-lens").wait_for()
    assert page.locator("#explorer :is(img, script)").count() == 0
    assert page.evaluate("typeof hacked") == "undefined"


def test_models_side_by_side(swept: Swept, tmp_path: Path, opened: Opened) -> None:
    rng = np.random.default_rng(0)

    def model(name: str, n_layers: int, n_heads: int, scale: float) -> Shown:
        falls = scale * rng.normal(0.2, 1, (n_layers, n_heads, 12))
        names = np.array([f"d{i}" for i in range(12)], dtype=object)
        one = WindowFalls({"log_prob": falls}, names, names, np.array([MEMORIZED] * 12), 32)
        return Shown(name, {"zero": Maps(one)})

    page = opened(
        Explorer([model("small", 4, 4, 1.0), model("large", 64, 40, 10.0)], provenance=[]).save(tmp_path / "two.html")
    )
    page.get_by_role("button", name="large").click()
    expect(page.locator("table.hx-map")).to_have_count(2)
    # Cells can be seen and hit at any size, and layers are aligned by relative depth.
    for m in (0, 1):
        box = cell(page, 2, 2, m).bounding_box()
        assert min(box["width"], box["height"]) >= 12
    heights = [page.locator("table.hx-map tbody").nth(m).bounding_box()["height"] for m in (0, 1)]
    assert heights[0] == pytest.approx(heights[1], rel=0.03)
    cell(page, 1, 1, 0).hover()
    linked = page.locator("table.hx-map").nth(1).locator("tr.hx-linked td.hx-cell").first
    assert int(linked.get_attribute("data-layer")) == 24  # depth (1 + 1/2) / 4 of 64 layers
    colour = cell(page, 1, 1, 0).evaluate("x => x.style.background")
    page.get_by_label("one scale").check()
    assert cell(page, 1, 1, 0).evaluate("x => x.style.background") != colour
    expect(page.locator(".hx-shares svg[role=img]")).to_be_visible()
    # By rank and by symmetric logarithm the small ones are seen beside the large.
    page.get_by_label("Colour").select_option("rank")
    page.get_by_label("sort within layers").check()
    first, last = (page.locator('td[data-m="0"][data-layer="0"]').nth(i).get_attribute("data-head") for i in (0, 3))
    screen = on_screen(page)
    assert screen[0, int(first)][0] == max(screen[0, head][0] for head in range(4))
    assert screen[0, int(last)][0] == min(screen[0, head][0] for head in range(4))


@pytest.mark.parametrize("width", [390, 800])
def test_nothing_runs_over_the_side(saved: Path, opened: Opened, width: int) -> None:
    page = opened(saved, width=width)
    page.locator(".hx-ranks li").first.click()
    page.locator(".hx-columns li").nth(3).wait_for()
    for tab in ("Set of heads", "Layers", "Head"):
        page.get_by_role("tab", name=re.compile(f"^{tab}")).click()
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_command_writes_the_page(swept: Swept, tmp_path: Path, opened: Opened) -> None:
    table = swept.ablation.to_frame().assign(group="memorized", method="zero")
    write_table(table, tmp_path / "heads.parquet", swept.ablation.provenance)
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["explore", str(tmp_path / "heads.parquet"), "--out", str(out)])
    assert (done.exit_code, done.output.strip()) == (0, str(out))
    page = opened(out)
    assert on_screen(page)[1, 2][0] == pytest.approx(swept.ablation.importance()[1, 2], rel=5.1e-3)
    cell(page, 1, 2).click()
    expect(page.locator(".hx-panel")).to_contain_text("needs the model")
    refused = CliRunner().invoke(app, ["explore", str(tmp_path / "heads.parquet"), "--out", str(tmp_path / "x.csv")])
    assert refused.exit_code == 1
    assert "HTML" in refused.output


def test_a_page_is_written_whole_or_not_at_all(explorer: Explorer, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="HTML"):
        explorer.save(tmp_path / "heads.png")
    with pytest.raises(OutputError, match="is a folder"):
        explorer.save(tmp_path)
