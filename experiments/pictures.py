"""The README's pictures of the explorer: its page, taken in a headless Chromium.

    python experiments/pictures.py --out figures

For the eye there are more, of every width in light and dark: ``--all``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from itertools import product
from pathlib import Path

import torch
from playwright.sync_api import Browser, sync_playwright

import interp

WIDTHS = (1400, 800, 390)


def make_page(folder: Path) -> Path:
    """An explorer of one model, as a page."""
    model = interp.load_model("pythia-small-0.5m", device="cpu")
    windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=4)
    ablation = interp.ablate_heads(model, windows, metrics=("log_prob", "rate", "score"))
    explorer = interp.explore(ablation, model=model)
    return explorer.save(folder / "heads.html", n_heads=12)


def take(browser: Browser, page_file: Path, out: Path, *, width: int, scheme: str, tab: str) -> None:
    """One picture, of the most important head or the layers."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, device_scale_factor=1
    )  # type: ignore[call-overload]
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
        for tab, scheme in (("head", "light"), ("layers", "dark")):
            take(browser, page, chosen.out / f"explorer-{tab}.png", width=1200, scheme=scheme, tab=tab)
        if chosen.all:
            for tab, scheme, width in product(("head", "layers"), ("light", "dark"), WIDTHS):
                out = chosen.out / f"explorer-{tab}-{scheme}-{width}.png"
                take(browser, page, out, width=width, scheme=scheme, tab=tab)
        browser.close()


if __name__ == "__main__":
    main()
