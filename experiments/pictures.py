"""The README's pictures of the explorer: its page and a notebook, taken in a headless Chromium.

    python experiments/pictures.py --out figures

For the eye there are more, of every width in light and dark: ``--all``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

import nbformat
import torch
from playwright.sync_api import Browser, Page, sync_playwright

import interp

WIDTHS = (1400, 800, 390)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

CELLS = (
    """
import interp

model = interp.load_model("openllama-small-0.5m", device="cpu")
windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=4)
ablation = interp.ablate_heads(model, windows)
interp.explore(ablation, model=model)
""",
)


@contextmanager
def running_lab(root: Path, cells: Sequence[str]) -> Iterator[str]:
    """A JupyterLab of its own with one notebook; its address.

    Args:
        root: folder for the notebook, and for all that JupyterLab keeps.
        cells: code of the notebook.
    """
    (root / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, root / "notebooks" / "heads.ipynb")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{found.getsockname()[1]}"
    kept = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    # The kernel must take this suite, not an installed one.
    path = os.pathsep.join([str(Path(interp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    own = {name: str(root / name) for name in kept} | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    options = {
        "ServerApp.port": address.rsplit(":", 1)[1],
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.allow_root": "True",
        "ServerApp.root_dir": str(root / "notebooks"),
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": "True",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.news_url": "None",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--{name}={x}" for name, x in options.items())]
    with (root / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=5).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        raise RuntimeError((root / "log").read_text()) from None
                    time.sleep(0.25)
            yield f"{address}/lab/tree/heads.ipynb"
        finally:
            server.terminate()
            server.wait(timeout=20)


def run_notebook(page: Page, address: str) -> None:
    """Open a notebook, and run its cells when its kernel is there."""
    page.goto(address)
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady", timeout=60_000)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


def take_lab(browser: Browser, root: Path, out: Path) -> None:
    """One picture of the widget with a set of heads, in JupyterLab."""
    with running_lab(root, CELLS) as address:
        page = browser.new_page(viewport={"width": 1200, "height": 1250})
        run_notebook(page, address)
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        page.locator(".hx td.hx-cell").first.wait_for(timeout=120_000)
        for layer, head in ((0, 1), (0, 2), (1, 3)):
            page.locator(f'.hx td[data-layer="{layer}"][data-head="{head}"]').click(modifiers=["Control"])
        page.locator(".hx table.hx-results").wait_for(timeout=60_000)
        page.mouse.move(5, 5)
        page.add_style_tag(content=".Toastify { display: none }")  # JupyterLab asks about its news
        page.wait_for_timeout(1000)
        page.screenshot(path=out)
        page.close()


def make_page(folder: Path) -> Path:
    """An explorer of one model, as a page."""
    model = interp.load_model("pythia-small-0.5m", device="cpu")
    windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=4)
    ablation = interp.ablate_heads(model, windows, metrics=("log_prob", "rate", "score"))
    explorer = interp.explore(ablation, model=model)
    return explorer.save(folder / "heads.html", n_heads=12)


def take(browser: Browser, page_file: Path, out: Path, *, width: int, scheme: Scheme, tab: str) -> None:
    """One picture, of the most important head or the layers."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.locator(".hx-ranks li").first.click()
    page.locator(".hx-columns li").nth(3).wait_for()
    if tab == "layers":
        page.get_by_role("tab", name="Layers").click()
        page.locator("table.hx-lens").wait_for()
    else:
        page.locator(".hx-token").nth(44).click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(200)
    page.screenshot(path=out, full_page=True)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the pictures")
    parser.add_argument("--all", action="store_true", help="every width, light and dark")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = make_page(Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take(browser, page, chosen.out / "explorer-head.png", width=1200, scheme="light", tab="head")
        take_lab(browser, Path(folder), chosen.out / "explorer-notebook.png")
        if chosen.all:
            for tab, scheme, width in product(("head", "layers"), SCHEMES, WIDTHS):
                out = chosen.out / f"explorer-{tab}-{scheme}-{width}.png"
                take(browser, page, out, width=width, scheme=scheme, tab=tab)
        browser.close()


if __name__ == "__main__":
    main()
