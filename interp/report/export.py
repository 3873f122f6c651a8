"""Writes figures as PNG, SVG and PDF, drawn by a local browser without a network."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

from interp.errors import InterpError
from interp.figures.page import captioned
from interp.files import safe_name, whole_file

Format = Literal["png", "svg", "pdf"]
WIDTH = 1000
"""Width of a figure in pixels."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


class ExportError(InterpError, RuntimeError):
    """Figures cannot be exported."""


def export_figures(figures: Mapping[str, go.Figure], folder: Path, formats: Sequence[Format]) -> int:
    """Write each figure with its caption in each format. Returns the number of files.

    Args:
        figures: figures by name. A slash in the name makes a folder.
        folder: the folder, made if missing.
        formats: formats of the files.

    Raises:
        ExportError: kaleido is not installed, or no browser is found or starts.
        OutputError: a file cannot be written.
    """
    try:
        import kaleido  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ExportError(
            "exporting figures needs kaleido, which is not installed: pip install 'interp[export]'"
        ) from error
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise ExportError(
            "exporting figures needs a browser, and none was found: install Chromium or Chrome "
            "(`apt install chromium`, or `kaleido_get_chrome`); the page itself needs none"
        )
    written = 0
    kaleido.start_sync_server(n=1, path=browser, silence_warnings=True)
    try:
        for name, figure in figures.items():
            *inside, last = [safe_name(part) for part in name.split("/")]
            drawn = captioned(figure)
            for kind in formats:
                with whole_file(folder.joinpath(*inside, f"{last}.{kind}")) as partial:
                    size = {"format": kind, "width": WIDTH, "height": drawn.layout.height or 450, "scale": 2}
                    partial.write_bytes(kaleido.calc_fig_sync(drawn.to_dict(), opts=size))
                written += 1
    except (InterpError, OSError):
        raise
    except Exception as error:
        raise ExportError(f"the browser {browser} could not draw a figure: {error}") from error
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    return written
