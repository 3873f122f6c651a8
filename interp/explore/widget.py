"""The explorer as a notebook widget: the kernel answers messages of ``heads.js``.

Quick requests are answered at once. Sets and sweeps run one at a time in a thread, so that the notebook stays
responsive. They report progress, and stop if cancelled.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from interp.explore.explorer import Explorer

HERE = Path(__file__).parent
LONG = {"set", "sweep"}
"""Requests that may take long."""


class Cancelled(Exception):
    """The user cancelled the running request."""


class Answering:
    """Answers the messages of one widget."""

    def __init__(self, explorer: Explorer, send: Any) -> None:
        self.explorer, self.send = explorer, send
        self._cancelled: set[str] = set()
        self._one_at_a_time = threading.Lock()
        self.last: threading.Thread | None = None
        """Thread of the last long request."""

    def receive(self, message: dict[str, Any]) -> None:
        """Answer a message: a request, the number of a request to cancel, or a set to save."""
        if "cancel" in message:
            self._cancelled.add(message["cancel"])
        elif "keep" in message:
            kept = message["keep"]
            self.explorer.sets[kept["name"]] = kept
        elif message["request"][0] in LONG:
            self.last = threading.Thread(target=self._run, args=(message["id"], message["request"]), daemon=True)
            self.last.start()
        else:
            self._answer(message["id"], message["request"])

    def _run(self, number: str, request: list[Any]) -> None:
        done, of = 0, self.explorer.n_steps(request)

        def progress(more: int) -> None:
            nonlocal done
            if number in self._cancelled:
                raise Cancelled
            done += more
            self.send({"id": number, "progress": min(1.0, done / of)})

        with self._one_at_a_time:
            self._answer(number, request, progress)

    def _answer(self, number: str, request: list[Any], progress: Any = False) -> None:
        try:
            if number in self._cancelled:
                raise Cancelled
            told = {"answer": self.explorer.answer(request, progress)}
        except Cancelled:
            told = {"error": "Cancelled."}
        # The view shows any error: an exception of a thread would stay invisible.
        except Exception as error:
            told = {"error": f"{error}" or type(error).__name__}
        self.send({"id": number, **told})


class HeadsWidget(anywidget.AnyWidget):
    """The head explorer in a notebook."""

    _esm = HERE / "heads.js"
    _css = HERE / "heads.css"
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        super().__init__(state=explorer.state())
        self.answering = Answering(explorer, self.send)
        self.on_msg(lambda _, message, __: self.answering.receive(message))
