"""A model that recites, swept; and a real browser with the network cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from transformer_lens.model_bridge import TransformerBridge

import interp
from interp.data.windows import Windows
from interp.explore.explorer import Explorer, explore
from interp.internal.ablation.heads import HeadAblation, ablate_heads

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass(frozen=True)
class Swept:
    """A small model and what was measured of it."""

    model: TransformerBridge
    windows: Windows
    ablation: HeadAblation
    other: HeadAblation
    """By peer mean, in fewer metrics, of one head alone."""


@pytest.fixture(scope="session")
def swept() -> Swept:
    model = interp.load_model("pythia-small-0.2m", device="cpu")
    windows = interp.planted_windows(sets=["planted-256", "held_out"], domains=["code", "prose", "legal"], per_set=3)
    every = ("log_prob", "rate", "score")
    ablation = ablate_heads(model, windows, metrics=every, by_token=True)
    return Swept(model, windows, ablation, ablate_heads(model, windows, "peer_mean", heads=[(1, 2)]))


@pytest.fixture(scope="session")
def explorer(swept: Swept) -> Explorer:
    """With a running model."""
    return explore([swept.ablation, swept.other], model=swept.model)


@pytest.fixture(scope="session")
def saved(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer as a page, with one kept set."""
    explorer.sets["two"] = {"name": "two", "model": explorer.shown[0].name, "heads": [[0, 1], [1, 3]], "method": "zero"}
    path = explorer.save(tmp_path_factory.mktemp("page") / "heads.html", n_heads=4)
    explorer.sets.clear()
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page with the network cut; nothing may be asked of it, and nothing may go wrong."""
    wrong: list[str] = []
    contexts = []

    def open_page(path: Path, *, width: int = 1400, scheme: str = "light", shows: str = "td.hx-cell") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, offline=True)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith("file://") else wrong.append(asked.url))
        page.goto(path.as_uri())
        page.locator(shows).first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
