"""A page: questions, answers, figures and tables in one HTML file that needs no network."""

from __future__ import annotations

import base64
import json
import math
import numbers
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.brief import Brief
from interp.files import PAGE_SUFFIXES, check_suffix, safe_name, write_text
from interp.results import Provenance

SHOWN_ROWS = 60
"""Rows of a table shown on the page. A download has all of them."""
DOWNLOADED = 2**20
"""Largest table in the page, in bytes. Larger ones are only in the store."""


@dataclass(frozen=True, repr=False, eq=False)
class Section(Brief):
    """One question, with its answers, figures and tables.

    All text is plain and is escaped.
    """

    title: str
    question: str = ""
    answers: Sequence[str] = ()
    """Sentences with numbers, intervals and their basis."""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    """Figures by name. A slash in the name marks a figure of one model; these are folded."""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Tables to download. The first rows are shown on request."""
    read: pd.DataFrame | None = None
    """A table shown in full."""
    place: str = ""
    """Location of the tables."""

    @property
    def anchor(self) -> str:
        """Address of the section on the page."""
        return safe_name("".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-"))


def write_report(
    path: Path,
    *,
    title: str,
    lead: str,
    sections: Sequence[Section],
    provenance: Sequence[Provenance],
    facts: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a self-contained page. It contains plotly once, and draws each figure when it comes into view.

    Args:
        path: the file. Its folder is made.
        title: title of the page.
        lead: the first paragraphs.
        sections: the sections, in order.
        provenance: provenance of the results. Models, versions and settings are listed at the end of the page.
        facts: further facts, as names and values.

    Raises:
        OutputError: the suffix belongs to another format.
    """
    check_suffix(path, PAGE_SUFFIXES)
    environment = Environment(
        loader=PackageLoader("interp", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _shown
    page = environment.get_template("page.html.j2").render(
        title=title,
        lead=lead,
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
        sections=[_section(section) for section in sections],
        provenance=list(provenance),
        facts=list(facts),
    )
    return write_text(path, page)


def _section(section: Section) -> dict[str, Any]:
    figures = [_figure(figure, f"{section.anchor}-{name}") for name, figure in section.figures.items()]
    named = list(zip(section.figures, figures, strict=True))
    folded: dict[str, list[dict[str, Any]]] = {}
    for name, figure in named:
        if "/" in name:
            folded.setdefault(name.split("/")[0], []).append(figure)
    return {
        "section": section,
        "figures": [figure for name, figure in named if "/" not in name],
        "folded": folded,
        "read": None if section.read is None else _table(section.read, len(section.read)),
        "tables": [_named_table(name, rows) for name, rows in section.tables.items()],
    }


def _figure(figure: go.Figure, name: str) -> dict[str, Any]:
    """A figure's data and layout. The template, for light and dark, is in the page once."""
    drawn = go.Figure(figure)
    drawn.layout.template = None
    told = drawn.to_json(engine="json")
    # Only this string can end a script, so text of a corpus cannot.
    safe = told.replace("<", "\\u003c")
    meta = figure.layout.meta or {}
    return {
        "name": safe_name(name.replace("/", "-")),
        "json": Markup(safe),
        "height": int(figure.layout.height or 450),
        "title": figure.layout.title.text or name,
        "caption": meta.get("caption", ""),
    }


def _named_table(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    text = rows.to_csv(index=False).encode()
    carried = base64.b64encode(text).decode() if len(text) <= DOWNLOADED else ""
    shown = _table(rows, SHOWN_ROWS)
    return {"name": name, "file": f"{safe_name(name)}.csv", "csv": carried, "n": len(rows), **shown}


def _table(rows: pd.DataFrame, at_most: int) -> dict[str, Any]:
    head = rows.head(at_most)
    return {
        "columns": [str(name) for name in head],
        "rows": head.to_numpy(dtype=object).tolist(),
        "texts": _texts(head),
    }


def _shown(value: object) -> object:
    """Text of a cell: large numbers as grouped integers, others to three digits, empty if not measured."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return "" if value is None or value is pd.NA else value
    number = float(value)
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _texts(table: pd.DataFrame) -> list[bool]:
    """Mask of the columns of running text."""

    def long(value: Hashable) -> bool:
        return isinstance(value, str) and max(map(len, value.split("\n"))) > 40

    return [any(long(value) for value in table.iloc[:, i]) for i in range(table.shape[1])]


def told(value: object) -> str:
    """A setting or fact in words."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
