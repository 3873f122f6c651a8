"""A report: one page of figures, each with a sentence, that opens without a network."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.brief import Brief
from interp.files import write_text
from interp.results import Provenance


@dataclass(frozen=True, repr=False, eq=False)
class Section(Brief):
    """One question of the report: what is seen, the figures that show it, and a table where numbers are wanted."""

    title: str
    text: str
    """What is seen, its intervals, and which windows and models it rests on. Plain text; it is escaped."""
    figures: Sequence[go.Figure] = ()
    table: pd.DataFrame | None = None
    columns: int = 1
    """Figures beside one another."""

    @property
    def anchor(self) -> str:
        """The section's name in links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")


def _figure_html(figure: go.Figure, name: str, *, alone: bool) -> Markup:
    # The tool bar would cover the title of a narrow figure; hovering works without it.
    config = {"displaylogo": False, "displayModeBar": "hover" if alone else False}
    # A figure's own id is random; a named one makes the page the same for the same results.
    # A share of an unknown height would let the plot lie over its caption; a height of the figure's own wins over this.
    page = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config, default_height="450px")
    return Markup(page)


def _shown(value: object) -> object:
    """A cell: large numbers whole and in groups of three digits, others to three digits; empty where not measured."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return "" if value is None else value
    number = float(value)
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _texts(table: pd.DataFrame) -> list[Hashable]:
    """Columns of running text."""
    return [
        name for name in table if any(isinstance(x, str) and max(map(len, x.split("\n"))) > 40 for x in table[name])
    ]


def write_report(
    path: Path, *, title: str, lead: str, sections: Sequence[Section], provenance: Sequence[Provenance]
) -> Path:
    """Write a self-contained HTML page: plotly and every figure are in it, and all text is escaped.

    Args:
        path: the file; its folder is made.
        title: of the page.
        lead: the first paragraph.
        sections: in order.
        provenance: of the results that the page draws; models, versions and settings are listed at its end.
    """
    environment = Environment(
        loader=PackageLoader("interp", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _shown
    page = environment.get_template("report.html.j2").render(
        title=title,
        lead=lead,
        plotly=Markup(get_plotlyjs()),
        sections=[
            {
                "section": section,
                "figures": [
                    _figure_html(f, f"{section.anchor}-{i}", alone=section.columns == 1)
                    for i, f in enumerate(section.figures)
                ],
                "captions": [(f.layout.meta or {}).get("caption", "") for f in section.figures],
                "rows": [] if section.table is None else section.table.to_dict("records"),
                "texts": [] if section.table is None else _texts(section.table),
            }
            for section in sections
        ],
        provenance=list(provenance),
    )
    return write_text(path, page)
