"""The widget in a running JupyterLab: the kernel answers clicks, ablates sets live, and a sweep is cancelled."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from explored import Swept
from pictures import run_notebook, running_lab
from playwright.sync_api import Browser, Page, expect

from interp.explore.explorer import explore
from interp.internal.ablation.sets import ablate_sets

CELLS = (
    """
import interp, torch
torch.set_num_threads(1)
model = interp.load_model("pythia-small-0.2m", device="cpu")
windows = interp.planted_windows(sets=["planted-256", "held_out"], domains=["code", "prose", "legal"], per_set=3)
ablation = interp.ablate_heads(model, windows, metrics=("log_prob", "rate", "score"))
explorer = interp.explore(ablation, model=model)
explorer
""",
    "ablation",
    "print('kept:', explorer.sets)",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab with one notebook."""
    with running_lab(tmp_path_factory.mktemp("lab"), CELLS) as address:
        yield address


@pytest.fixture(scope="module")
def notebook(lab: str, browser: Browser) -> Iterator[Page]:
    """The notebook, run, with everything but its own server cut off."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    outside: list[str] = []

    def only_own(route) -> None:
        if route.request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    context.route("**/*", only_own)
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    run_notebook(page, lab)
    page.locator(".hx").nth(1).wait_for(timeout=60_000)
    yield page
    context.close()
    assert wrong == []
    assert outside == []


def head(page: Page, layer: int, head: int):
    return page.locator(".hx").first.locator(f'td.hx-cell[data-layer="{layer}"][data-head="{head}"]')


def test_the_widget_answers(notebook: Page, swept: Swept) -> None:
    first = notebook.locator(".hx").first
    first.scroll_into_view_if_needed()
    importance = explore(swept.ablation).answer(["map", 0, "zero", "log_prob", "memorized", 0])["value"]
    label = head(notebook, 0, 1).get_attribute("aria-label")
    assert float(re.search(r"\+([\d.]+) nats", label)[1]) == pytest.approx(importance[0][1], rel=5.1e-3)
    head(notebook, 1, 3).click()
    expect(first.locator(".hx-token")).to_have_count(64)
    first.locator(".hx-columns li").nth(5).wait_for()
    row = swept.windows.select(np.flatnonzero(swept.ablation.memorized_clean)[:1])
    found = ablate_sets(swept.model, row, [(), [(1, 3)]])
    said = first.locator(".hx-panel p", has_text="On this window").inner_text()
    fall = float(found.log_prob[0, 0] - found.log_prob[1, 0])
    assert float(re.search(r"\+([\d.]+)", said)[1]) == pytest.approx(fall, rel=5.1e-3)


def test_a_set_is_ablated_live(notebook: Page, swept: Swept) -> None:
    first = notebook.locator(".hx").first
    for heads in ((0, 1), (2, 3)):
        head(notebook, *heads).click(modifiers=["Control"])
    rows = first.locator("table.hx-results tbody tr")
    expect(rows).to_have_count(3)
    order = np.argsort(~swept.ablation.memorized_clean, kind="stable")
    wanted = ablate_sets(swept.model, swept.windows.select(order), [[(0, 1), (2, 3)]]).log_prob.mean()
    shown = rows.nth(1).locator("td").nth(2).inner_text().split()[0].replace("−", "-")
    assert float(shown) == pytest.approx(wanted, rel=5.1e-3)
    first.get_by_label("Name of the set").fill("mine")
    first.get_by_role("button", name="Keep").click()
    expect(first.get_by_role("button", name="mine (2)")).to_be_visible()
    notebook.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    notebook.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    kept = notebook.get_by_text("'name': 'mine'").first
    expect(kept).to_contain_text("[[0, 1], [2, 3]]")


def test_a_sweep_is_cancelled_or_measured(notebook: Page) -> None:
    first = notebook.locator(".hx").first
    method = first.locator('select[data-test="method"]')
    method.select_option("sweep resample")
    first.get_by_role("button", name="Cancel").click()
    expect(first.locator(".hx-bar .hx-error")).to_have_text("Cancelled.")
    method.select_option("sweep peer_mean")
    expect(method).to_have_value("peer_mean")


def test_the_map_of_a_bare_result_and_the_dark_theme(notebook: Page) -> None:
    bare = notebook.locator(".hx").nth(1)
    expect(bare.locator("td.hx-cell")).to_have_count(16)
    notebook.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    expect(bare).to_have_attribute("data-theme", "dark")
    bare.locator("td.hx-cell").first.click()
    expect(bare.locator(".hx-panel")).to_contain_text("needs the model")
