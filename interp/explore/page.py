"""The explorer as one page: the recorded answers of a kernel, packed with the drawing script.

The page does not use the network, and tells the browser so. Text of a corpus is in it as JSON with ``<`` escaped, so it
cannot end a script.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment

from interp.errors import InterpError
from interp.explore.maps import METRICS
from interp.files import PAGE_SUFFIXES, check_outputs, check_suffix, write_text
from interp.wording import spread

if TYPE_CHECKING:
    from interp.explore.explorer import Explorer, Shown

HERE = Path(__file__).parent
MOST_NAMED = 4
"""Largest number of models named in title and footer. More are only counted."""


def write_explorer(explorer: Explorer, path: Path, *, n_heads: int) -> Path:
    """Write an explorer as one page.

    The page has all maps and saved sets of heads. With a running model it also has the layers of each shown window, and
    attention and text of the most important heads.

    Args:
        explorer: the explorer.
        path: path of the page. Folders are made.
        n_heads: number of heads of each model.

    Raises:
        OutputError: a suffix of another format, or a place that cannot be written.
    """
    check_suffix(path, PAGE_SUFFIXES)
    check_outputs({"the page": path})
    state = explorer.state() | {"recorded": True}
    answers = dict(_answers(explorer, state, n_heads))
    live = any(one.live for one in explorer.shown)
    attention = (
        f"This page holds the attention of the {n_heads} heads that cost most"
        if live
        else "This page was made without the model: it shows no attention"
    )
    more = "interp.explore(ablation, model=model) in a notebook shows every head"
    absent = {
        "map": "This was not measured.",
        "attention": f"{attention}; {more}.",
        "ablated": f"This page does not hold what is lost without these heads; {more}.",
        "set": "Sets of heads are ablated by a running model: open the explorer in a notebook, "
        "interp.explore(ablation, model=model). Sets that were kept before the page was written can be opened here.",
        "sweep": "A sweep needs the running model.",
        "other": f"This page was made without the model; {more}.",
    }
    data = json.dumps({"state": state, "answers": answers, "absent": absent}, ensure_ascii=False)
    names = ", ".join(one.name for one in explorer.shown[:MOST_NAMED])
    if len(explorer.shown) > MOST_NAMED:
        names = f"{len(explorer.shown)} models"
    page = (
        Environment(autoescape=True)
        .from_string((HERE / "page.html.j2").read_text(encoding="utf-8"))
        .render(
            title=f"Attention heads of {names}",
            told="How much of the true continuation is lost when a head is ablated. Click a head; drag over several.",
            rests_on=_rests_on(explorer),
            css=(HERE / "heads.css").read_text(encoding="utf-8"),
            js=(HERE / "heads.js").read_text(encoding="utf-8"),
            data=data.replace("<", "\\u003c"),
        )
    )
    return write_text(path, page)


def _rests_on(explorer: Explorer) -> str:
    written = f"Written by interp {version('interp')}."
    if len(explorer.shown) > MOST_NAMED:
        sources = sorted({p.windows for p in explorer.provenance})
        return f"{spread([p.n_windows for p in explorer.provenance])} windows of {', '.join(sources)}. {written}"
    found = dict.fromkeys(
        f"{p.model}: {p.settings.get('method', p.measurement)} on {p.n_windows} windows of {p.windows} "
        f"(digest {p.windows_digest[:8]}, weights {p.weights[:8] or 'unknown'})"
        for p in explorer.provenance
    )
    return f"{'; '.join(found)}. {written}"


def _answers(explorer: Explorer, state: dict[str, Any], n_heads: int) -> Iterator[tuple[str, str]]:
    for request in _requests(explorer, state, n_heads):
        try:
            answer = explorer.answer(request)
        except InterpError:  # not measured or refused: the page says that it is missing
            continue
        # The request as JSON.stringify writes it.
        yield json.dumps(request, separators=(",", ":"), ensure_ascii=False), _packed(answer)


def _packed(answer: Any) -> str:
    written = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(written, mtime=0)).decode()


def _requests(explorer: Explorer, state: dict[str, Any], n_heads: int) -> Iterator[list[Any]]:
    for m, (shown, told) in enumerate(zip(explorer.shown, state["models"], strict=True)):
        for method in told["methods"]:
            for metric in told["metrics"]:
                for group in told["groups"]:
                    yield from (["map", m, method, metric, group, domain] for domain in range(len(told["domains"])))
        if shown.windows is None:
            continue
        rows = range(len(told["windows"]))
        heads = _most_important(explorer, m, told, n_heads)
        if shown.live is None:
            every = [[layer, head] for layer in range(told["n_layers"]) for head in range(told["n_heads"])]
            for method in told["methods"]:
                yield from (["ablated", m, row, method, [head]] for row in rows for head in every)
            continue
        yield ["targets", m]
        yield from (["lens", m, row] for row in rows)
        for row in rows:
            yield from (["attention", m, row, layer, head] for layer, head in heads)
        for method in told["methods"]:
            yield from _of_heads(shown, m, method, heads)
        for kept in explorer.sets.values():
            if kept["model"] == shown.name:
                yield ["set", m, kept["method"], kept["heads"]]
                yield from (["ablated", m, row, kept["method"], kept["heads"]] for row in rows)


def _of_heads(shown: Shown, m: int, method: str, heads: Sequence[list[int]]) -> Iterator[list[Any]]:
    assert shown.live is not None
    try:
        # All at once, because each call prepares the model.
        shown.live.prepare([((layer, head),) for layer, head in heads], method)  # type: ignore[arg-type]
    except InterpError:  # for example a mean without reference windows
        return
    for row in range(len(shown.live.windows)):
        yield from (["ablated", m, row, method, [head]] for head in heads)


def _most_important(explorer: Explorer, m: int, told: dict[str, Any], n_heads: int) -> list[list[int]]:
    """The most important heads by any method, equally many of each."""
    found: dict[tuple[int, int], None] = {}
    rankings = []
    for method in told["methods"]:
        metric = next(name for name in METRICS if name in told["metrics"])
        value = np.array(explorer.answer(["map", m, method, metric, told["groups"][0], 0])["value"], dtype=np.float64)
        order = np.argsort(np.where(np.isnan(value), np.inf, -value), axis=None, kind="stable")
        rankings.append([(int(i) // value.shape[1], int(i) % value.shape[1]) for i in order])
    for place in zip(*rankings, strict=True):
        found |= dict.fromkeys(place)
    return [list(head) for head in list(found)[:n_heads]]
