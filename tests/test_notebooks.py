"""The notebooks run as they stand, and are committed without what they gave."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"


def test_they_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["families", "tour", "your_model"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_the_explorer(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    where = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where)
    # The kernel is a process of its own, and must take this suite, not an installed one.
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client.execute(env={**os.environ, "PYTHONPATH": python_path, "HF_HUB_OFFLINE": "1"})
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    assert sum(WIDGET in data and "Explorer" in data["text/plain"] for data in shown) == 1
    assert all(output.output_type != "error" for cell in code for output in cell.outputs)
