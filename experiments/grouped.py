"""Windows of the shipped corpus in groups for one model: memorized, unmemorized, matched. For the experiments here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from transformer_lens.model_bridge import TransformerBridge

from interp.data.corpus import planted_windows
from interp.data.windows import Windows
from interp.figures.page import write_page
from interp.files import write_text
from interp.statistical.extraction import extract
from interp.statistical.groups import log_token_frequency, matched_groups
from interp.statistical.matching import MatchingError

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
    frequency = log_token_frequency(windows, planted_windows())
    try:
        groups, _ = matched_groups(extraction, near={"log_frequency": frequency})
    except MatchingError as error:
        print(f"{model.cfg.model_name}: passed over, {error}")
        return None
    grouped = np.any(list(groups.values()), axis=0)
    return windows.select(grouped), {name: mask[grouped] for name, mask in groups.items()}


def some(mask: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Positions of at most ``n`` windows of a group, drawn at random: they are in order of domain."""
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(mask))[:n])


FIGURES = Path(__file__).parent.parent / "figures"


def write_figure(fig: go.Figure, path: Path) -> None:
    """A page of its own with the caption under the figure; all pages share one copy of plotly, in ``figures/``."""
    plotly = FIGURES / "plotly.min.js"
    if not plotly.exists():
        write_text(plotly, get_plotlyjs())
    write_page(fig, path, plotlyjs=os.path.relpath(plotly, path.parent))
