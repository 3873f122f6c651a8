"""Windows of the shipped corpus in groups for one model: memorized, unmemorized, matched. For the experiments here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from transformer_lens.model_bridge import TransformerBridge

from interp.curves import memorization_groups
from interp.data.corpus import planted_windows
from interp.data.windows import Windows
from interp.statistical.extraction import extract
from interp.statistical.matching import MatchingError, match

SETS = ("planted-256", "planted-128", "planted-64", "planted-1", "held_out")


def grouped_windows(
    model: TransformerBridge, *, per_set: int, seed: int
) -> tuple[Windows, Mapping[str, np.ndarray]] | None:
    """Windows and the masks of their groups by what the model recites of them; a window in no group is left out.

    Controls agree with memorized windows in domain and are nearest in the mean log frequency of their tokens. ``None``
    for a model that has memorized none of the windows, or all.
    """
    windows = planted_windows(sets=SETS, per_set=per_set, seed=seed)
    extraction = extract(model, windows)
    counts = np.bincount(planted_windows().tokens.numpy().ravel(), minlength=model.cfg.d_vocab)
    frequency = np.log10(1 + counts)[windows.tokens.numpy()].mean(axis=1)
    table = extraction.to_frame().assign(log_frequency=frequency)
    try:
        matching = match(table, on=["log_frequency"], control=extraction.score == 0)
    except MatchingError as error:
        print(f"{model.cfg.model_name}: passed over, {error}")
        return None
    groups = memorization_groups(extraction.score, matched=matching.controls)
    grouped = np.any(list(groups.values()), axis=0)
    return windows.select(grouped), {name: mask[grouped] for name, mask in groups.items()}


def some(mask: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Positions of at most ``n`` windows of a group, drawn at random: they are in order of domain."""
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(mask))[:n])


FIGURES = Path(__file__).parent.parent / "figures"


def write_figure(fig: go.Figure, path: Path) -> None:
    """A page of its own with the caption under the figure; all pages share one copy of plotly, in ``figures/``."""
    caption = (fig.layout.meta or {}).get("caption", "")
    drawn = go.Figure(fig).add_annotation(
        text="<br>".join(_wrapped(caption)), x=0, y=0, xref="paper", yref="paper", yshift=-70,
        xanchor="left", yanchor="top", align="left", showarrow=False, font={"size": 12},
    )  # fmt: skip
    drawn.update_layout(margin_b=90 + 18 * len(_wrapped(caption)))
    path.parent.mkdir(parents=True, exist_ok=True)
    plotly = FIGURES / "plotly.min.js"
    if not plotly.exists():
        plotly.write_text(get_plotlyjs(), encoding="utf-8")
    drawn.write_html(path, include_plotlyjs=os.path.relpath(plotly, path.parent), div_id=path.stem)


def _wrapped(text: str, width: int = 150) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{word} "
    return lines
