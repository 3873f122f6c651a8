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
"""Rows of a table that stand on the page; a download has all of them."""
DOWNLOADED = 2**20
"""Bytes of a table that the page carries; a larger one is in the store alone."""


@dataclass(frozen=True, repr=False, eq=False)
class Section(Brief):
    """One question: what was asked, the answers, the figures that show them, and the tables they rest on.

    All text is plain and is escaped.
    """

    title: str
    question: str = ""
    answers: Sequence[str] = ()
    """Sentences with their numbers and intervals, and what they rest on."""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    """By name. Those with a slash in their name are of one model, and are folded away."""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """To download; the first rows are shown where they are opened."""
    read: pd.DataFrame | None = None
    """A table that is shown whole, for reading."""
    place: str = ""
    """Where the tables are stored."""

    @property
    def anchor(self) -> str:
        """Its address on the page."""
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
    """Write a self-contained page: plotly stands in it once, and each figure is drawn when it comes into view.

    Args:
        path: the file; its folder is made.
        title: of the page.
        lead: the first paragraphs.
        sections: in order.
        provenance: of the results that the page draws; models, versions and settings are listed at its end.
        facts: what else is said of the whole, as names and values.

    Raises:
        OutputError: a suffix of another format.
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
    """A figure's data and layout. Its template is the page's own, for light and dark, and stands there once."""
    drawn = go.Figure(figure)
    drawn.layout.template = None
    told = drawn.to_json(engine="json")
    # Inside of a script nothing but this ends it, whatever a corpus holds.
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
    """A cell: large numbers whole and in groups of three digits, others to three digits; empty where not measured."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return "" if value is None or value is pd.NA else value
    number = float(value)
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _texts(table: pd.DataFrame) -> list[bool]:
    """Which columns are running text."""

    def long(value: Hashable) -> bool:
        return isinstance(value, str) and max(map(len, value.split("\n"))) > 40

    return [any(long(value) for value in table.iloc[:, i]) for i in range(table.shape[1])]


def told(value: object) -> str:
    """A setting or fact in words."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
