"""What a real notebook kernel is given to show: figures as plotly's own type, results as a line or two."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import interp

CELLS = {
    "set up": """
import interp, torch
from interp.figures.ablation import draw_heads
from interp.figures.notebook import log_prob_view
torch.set_num_threads(1)
model = interp.load_model("pythia-small-0.2m", device="cpu")
windows = interp.planted_windows(sets="planted-256", per_set=1)
extraction = interp.extract(model, windows)
ablation = interp.ablate_heads(model, windows)
""",
    "heatmap": "draw_heads(ablation.to_frame())",
    "windows": "windows",
    "extraction": "extraction",
    "ablation": "ablation",
    "view": "log_prob_view(extraction, 0, model.tokenizer)",
    "estimate": "ablation.importance_intervals()[0][0]",
}


@pytest.fixture(scope="module")
def shown():
    """What the last line of each cell gives a notebook, by mime type."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    # The kernel is a process of its own, and must take this suite, not an installed one.
    path = os.pathsep.join([str(Path(interp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    client = NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=120, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"})
    outputs = [[o for o in cell.outputs if o.output_type != "stream"] for cell in client.nb.cells]
    return {name: [o.data for o in of_cell] for name, of_cell in zip(CELLS, outputs, strict=True)}


def test_a_figure_as_the_last_line_is_drawn(shown):
    (data,) = shown["heatmap"]
    figure = data["application/vnd.plotly.v1+json"]
    assert [trace["type"] for trace in figure["data"]] == ["heatmap"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "head"
    assert len(str(figure)) < 50_000


@pytest.mark.parametrize("name", ["windows", "extraction", "estimate"])
def test_a_result_as_the_last_line_is_a_line_or_two(shown, name):
    """And the first rows of its table, if it was measured."""
    (data,) = shown[name]
    assert set(data) == ({"text/plain", "text/html"} if name == "extraction" else {"text/plain"})
    assert len(data["text/plain"]) <= 400
    assert len(data.get("text/html", "")) < 8_000


def test_a_view_is_a_page(shown):
    (data,) = shown["view"]
    assert data["text/html"].count("<span") > 64
    assert len(data["text/html"]) < 50_000


def test_a_head_ablation_is_a_map_and_a_line_or_two(shown):
    (data,) = shown["ablation"]
    # A viewer that knows no widgets shows the first rows.
    assert set(data) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"].startswith("HeadAblation: zero, most important heads")
    assert len(data["text/plain"]) <= 400
