"""One page a claim: the question that its script asks, and every figure that it drew.

    python experiments/pages.py

Reads what the scripts left in ``figures/<script>/`` and writes ``figures/<script>.html`` and ``figures/index.html``.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from grouped import FIGURES

EXPERIMENTS = Path(__file__).parent
STYLE = """<meta charset="utf-8"><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 32px auto; padding: 0 24px; color: #1d2125; }
a { color: #0072b2; } iframe { width: 100%; height: 560px; border: 0; } p { max-width: 84ch; }
</style>"""


@dataclass(frozen=True)
class Page:
    """The figures of one script."""

    name: str
    question: str
    method: str
    figures: tuple[Path, ...]


def pages() -> list[Page]:
    """A page for each script that has drawn something."""
    found = []
    for script in sorted(EXPERIMENTS.glob("*.py")):
        figures = tuple(sorted((FIGURES / script.stem).glob("*.html")))
        doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        if figures:
            question, _, rest = doc.partition("\n\n")
            # Of the rest the usage lines, which are indented, say nothing to a reader of the page.
            method = "\n\n".join(part for part in rest.split("\n\n") if not part.startswith(" "))
            found.append(Page(script.stem, question, method.replace("``", ""), figures))
    return found


def write_page(page: Page) -> Path:
    frames = "".join(
        f"<h2>{escape(re.sub('[-_]', ' ', figure.stem))}</h2>"
        f'<iframe loading="lazy" src="{escape(page.name)}/{escape(figure.name)}"></iframe>'
        for figure in page.figures
    )
    body = f'<p><a href="index.html">All claims</a></p><h1>{escape(page.question)}</h1><p>{escape(page.method)}</p>'
    path = FIGURES / f"{page.name}.html"
    path.write_text(f"<!doctype html><title>{escape(page.name)}</title>{STYLE}{body}{frames}\n", encoding="utf-8")
    return path


def main() -> None:
    rows = [f'<li><a href="{write_page(page).name}">{escape(page.question)}</a></li>' for page in pages()]
    index = f"<!doctype html><title>Claims</title>{STYLE}<h1>Claims of the study, on the small families</h1>"
    demo = '<p>The demo\'s report, when it has been made: <a href="demo/report.html">demo/report.html</a></p>'
    (FIGURES / "index.html").write_text(f"{index}<ul>{''.join(rows)}</ul>{demo}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
