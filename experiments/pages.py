"""One page a claim: the question that its script asks, and every figure that it drew.

    python experiments/pages.py

Reads what the scripts left in ``figures/<script>/`` and writes ``figures/<script>.html`` and ``figures/index.html``.
Figures of single models, which the scripts leave in folders of their own, are folded away.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from experiment import FIGURES

from interp.files import write_text

EXPERIMENTS = Path(__file__).parent
STYLE = """<meta charset="utf-8"><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 32px auto; padding: 0 24px; color: #1d2125; }
a { color: #0072b2; } iframe { width: 100%; border: 0; } p { max-width: 84ch; }
summary { cursor: pointer; font-weight: 600; margin: 24px 0; }
</style>"""
FILLS = 560
"""Pixels of a figure that has no height of its own and fills its frame."""


@dataclass(frozen=True)
class Page:
    """The figures of one script."""

    name: str
    question: str
    method: str
    figures: tuple[Path, ...]
    """Of all models together, and in order of folder and name those of single ones."""


def pages(figures: Path = FIGURES) -> list[Page]:
    """A page for each script that has drawn something."""
    found = []
    for script in sorted(EXPERIMENTS.glob("*.py")):
        folder = figures / script.stem
        drawn = (*sorted(folder.glob("*.html")), *sorted(folder.glob("*/*.html")))
        doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        if drawn:
            question, _, rest = doc.partition("\n\n")
            # Of the rest the usage lines, which are indented, say nothing to a reader of the page.
            method = "\n\n".join(part for part in rest.split("\n\n") if not part.startswith(" "))
            found.append(Page(script.stem, question, method.replace("``", ""), drawn))
    return found


def frame(figure: Path, root: Path) -> str:
    """A figure under its name, in a frame as high as the figure."""
    fixed = re.search(r'style="height:(\d+)px', figure.read_text(encoding="utf-8"))
    # A browser's margin is 8 pixels on each side.
    height = 16 + int(fixed[1]) if fixed else FILLS
    title, address = re.sub("[-_]", " ", figure.stem), figure.relative_to(root).as_posix()
    return (
        f"<h2>{escape(title)}</h2>"
        f'<iframe loading="lazy" style="height: {height}px" scrolling="no" src="{escape(address)}"></iframe>\n'
    )


def write_page(page: Page, figures: Path = FIGURES) -> Path:
    together = [figure for figure in page.figures if figure.parent == figures / page.name]
    frames = "".join(frame(figure, figures) for figure in together)
    for folder in sorted({figure.parent for figure in page.figures} - {figures / page.name}):
        folded = [figure for figure in page.figures if figure.parent == folder]
        inside = "".join(frame(figure, figures) for figure in folded)
        name = f"{escape(folder.name)}, by model: {len(folded)} figures"
        frames += f"<details><summary>{name}</summary>\n{inside}</details>\n"
    body = f'<p><a href="index.html">All claims</a></p><h1>{escape(page.question)}</h1><p>{escape(page.method)}</p>\n'
    text = f"<!doctype html><title>{escape(page.name)}</title>{STYLE}{body}{frames}"
    return write_text(figures / f"{page.name}.html", text)


def main() -> None:
    rows = [f'<li><a href="{write_page(page).name}">{escape(page.question)}</a></li>' for page in pages()]
    index = f"<!doctype html><title>Claims</title>{STYLE}<h1>Claims of the study, on the small families</h1>"
    demo = '<p>The demo\'s report, when it has been made: <a href="demo/report.html">demo/report.html</a></p>'
    write_text(FIGURES / "index.html", f"{index}<ul>{''.join(rows)}</ul>{demo}\n")


if __name__ == "__main__":
    main()
