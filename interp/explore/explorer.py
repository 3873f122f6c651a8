"""The head explorer: head maps of one or several models, and views of each head from a running model.

Every view is the answer to a request: a list of plain values such as ``["attention", model, window, layer, head]``. A
notebook's widget sends requests one by one (``interp.explore.widget``). An exported page contains the answers to many
of them (``interp.explore.page``). ``heads.js`` draws both.

    >>> ablation = interp.ablate_heads(model, windows, by_token=True)
    >>> explorer = interp.explore(ablation, model=model)
    >>> explorer  # the last line of a cell
    >>> explorer.save("heads.html")
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.explore.live import Live
from interp.explore.maps import ExploreError, HeadMap, Maps, WindowFalls, plain
from interp.explore.text import token_texts
from interp.internal.ablation.choices import Method
from interp.internal.ablation.heads import HeadAblation, ablate_heads
from interp.internal.ablation.sets import Heads
from interp.progress import Progress
from interp.results import MODEL, Provenance

MAX_SHOWN = 32
"""Default number of shown windows, memorized ones first."""

WITHOUT_MODEL = "This view needs the model and its windows: interp.explore(ablation, model=model)."
WITHOUT_TEXT = "The generated text needs the model."


class Shown:
    """One model of the explorer: its maps by method, the shown windows, and the running model if there is one."""

    def __init__(self, name: str, maps: dict[str, Maps], *, ablations: Sequence[HeadAblation] = ()) -> None:
        self.name, self.maps, self.ablations = name, maps, list(ablations)
        self.windows: Windows | None = None
        self.memorized: np.ndarray = np.zeros(0, dtype=bool)
        self.live: Live | None = None

    @classmethod
    def of(
        cls,
        ablations: Sequence[HeadAblation],
        model: TransformerBridge | None,
        windows: Windows | None,
        reference: Windows | None,
        seed: int,
    ) -> Shown:
        """From sweeps of one model, with the model itself if given."""
        by_method: dict[str, list[HeadAblation]] = {}
        for ablation in ablations:
            by_method.setdefault(ablation.method, []).append(ablation)
        maps = {method: Maps(WindowFalls.of(of_method)) for method, of_method in by_method.items()}
        shown = cls(ablations[0].provenance.model, maps, ablations=ablations)
        if model is not None:
            shown.windows = windows if windows is not None else _shown_windows(ablations)
            shown.live = Live(model, shown.windows, reference=reference, seed=seed)
            shown.memorized = shown.live.memorized
        elif ablations[0].token_log_prob is not None:
            # Values kept by a sweep can be shown without the model, on its own windows.
            shown.windows = ablations[0].windows
            shown.memorized = ablations[0].memorized_clean
        return shown

    def state(self) -> dict[str, Any]:
        """The available views of this model."""
        n_layers, n_heads = next(iter(self.maps.values())).shape

        def every(of: str) -> list[str]:
            return list(dict.fromkeys(name for maps in self.maps.values() for name in getattr(maps, of)))

        return {
            "name": self.name,
            "n_layers": n_layers,
            "n_heads": n_heads,
            "methods": list(self.maps),
            "metrics": every("metrics"),
            "groups": every("groups"),
            "domains": self.domains,
            "live": self.live is not None,
            "set_methods": self.live.methods if self.live else [],
            "sweeps": self.live.methods if self.live and self.ablations else [],
            "windows": self._window_states(),
        }

    def _window_states(self) -> list[dict[str, Any]]:
        windows, tokenizer = self.windows, self.live.model.tokenizer if self.live else None
        if windows is None:
            return []
        return [
            {
                "id": int(windows.window[i]),
                "document": str(windows.document[i]),
                "domain": str(windows.domain[i]),
                "memorized": bool(self.memorized[i]),
                "prefix_len": windows.prefix_len,
                "tokens": token_texts(windows.tokens[i].tolist(), tokenizer),
            }
            for i in range(len(windows))
        ]

    def map(self, method: str, metric: Any, group: str, domain: int) -> dict[str, Any]:
        """A map as plain numbers."""
        found: HeadMap = self.maps[method].map(metric, group, self.domains[domain])
        numbers = {end: plain(getattr(found, end)) for end in ("value", "low", "high")}
        return {**numbers, "n_windows": found.n_windows, "n_documents": found.n_documents}

    @property
    def domains(self) -> list[str]:
        """Domains, in the order of their numbers in requests."""
        return list(dict.fromkeys(name for maps in self.maps.values() for name in maps.domains))

    def tokens(self, row: int, method: str, heads: Heads) -> dict[str, Any]:
        """Fall of a window's continuation without the heads, token by token."""
        if self.live is not None:
            return self.live.ablated(row, method, heads)  # type: ignore[arg-type]
        kept = next((a for a in self.ablations if a.method == method and a.token_log_prob is not None), None)
        if kept is None or len(heads) != 1 or self.windows is not kept.windows:
            raise ExploreError(WITHOUT_MODEL)
        ((layer, head),) = heads
        assert kept.token_log_prob is not None
        assert kept.token_log_prob_clean is not None
        numbers = kept.token_log_prob_clean[row], kept.token_log_prob[layer, head, row]
        return {"before": plain(numbers[0]), "after": plain(numbers[1]), "without": WITHOUT_TEXT}


class Explorer:
    """Head maps to explore; see ``explore``. Shown as the last line of a cell; ``save`` writes a page."""

    def __init__(self, shown: Sequence[Shown], *, provenance: Sequence[Provenance]) -> None:
        self.shown, self.provenance = list(shown), list(provenance)
        self.sets: dict[str, dict[str, Any]] = {}
        """Saved sets of heads, by name: ``model``, ``heads``, ``method``."""
        self._answers: dict[str, Any] = {}
        self._widget: Any = None

    def __repr__(self) -> str:
        models = ", ".join(f"{one.name} ({', '.join(one.maps)})" for one in self.shown)
        return f"Explorer: {models}; show it as the last line of a cell, or write it with .save('heads.html')"

    def state(self) -> dict[str, Any]:
        """The available requests."""
        return {
            "models": [one.state() for one in self.shown],
            "sets": list(self.sets.values()),
            "python": '"METHOD"',
            "recorded": False,
            "without": WITHOUT_MODEL,
        }

    def answer(self, request: Sequence[Any], progress: Progress | bool = False) -> Any:
        """The answer to a request of ``heads.js``, as plain values. Answers are cached.

        Args:
            request: the kind of the request, and its subject.
            progress: as in ``ablate_heads``, for long requests. It can stop the work by raising.

        Raises:
            InterpError: the view cannot be shown; says why.
        """
        key = json.dumps(request)
        if key not in self._answers:
            found = self._answer(*request, progress=progress)
            if request[0] == "sweep":
                return found
            self._answers[key] = found
        return self._answers[key]

    def _answer(self, kind: str, m: int, *about: Any, progress: Progress | bool) -> Any:
        shown = self.shown[m]
        if kind == "map":
            return shown.map(*about)
        if kind == "ablated":
            row, method, heads = about
            return shown.tokens(row, method, _heads(heads))
        if shown.live is None:
            raise ExploreError(WITHOUT_MODEL)
        if kind == "set":
            method, heads = about
            return shown.live.set(method, _heads(heads), progress)
        if kind == "sweep":
            return self._sweep(shown, *about, progress=progress)
        return getattr(shown.live, {"attention": "attention", "targets": "targets", "lens": "lens"}[kind])(*about)

    def n_steps(self, request: Sequence[Any]) -> int:
        """Total progress of a long request: windows times heads or sets."""
        shown = self.shown[request[1]]
        if request[0] == "set" and shown.live is not None:
            return len(shown.live.windows) * (2 + len(shown.live.random_sets(_heads(request[3]))))
        n_layers, n_heads = next(iter(shown.maps.values())).shape
        return n_layers * n_heads * sum(len(a.windows) for a in _of_one_method(shown.ablations))

    def _sweep(self, shown: Shown, method: Method, *, progress: Progress | bool) -> dict[str, Any]:
        """Sweep all heads by another method, on the windows of the first. Returns the new state."""
        assert shown.live is not None
        swept = [
            ablate_heads(
                shown.live.model,
                one.windows,
                shown.live.ablation(method),
                metrics=one.provenance.settings.get("metrics", ("log_prob", "rate")),
                by_token=one.token_log_prob is not None,
                progress=progress,
            )
            for one in _of_one_method(shown.ablations)
        ]
        shown.ablations += swept
        shown.maps[method] = Maps(WindowFalls.of(swept))
        return {name: value for name, value in shown.state().items() if name != "windows"}

    @property
    def widget(self) -> Any:
        """The widget (``anywidget``), made on first use.

        Raises:
            ExploreError: anywidget is not installed.
        """
        if self._widget is None:
            try:
                from interp.explore.widget import HeadsWidget
            except ImportError as error:
                raise ExploreError(
                    f"a widget needs {error.name}: pip install 'interp[notebook]'; .save('heads.html') writes a page"
                ) from error
            self._widget = HeadsWidget(self)
        return self._widget

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget with a plain text, or the reason why there is no widget."""
        try:
            data, more = self.widget._repr_mimebundle_(**kwargs)
        except ExploreError as error:
            return {"text/plain": f"{self!r}\n{error}"}, {}
        return {**data, "text/plain": repr(self)}, more

    def save(self, path: str | Path, *, n_heads: int = 40) -> Path:
        """Write the explorer as one page that needs neither kernel nor network; see ``interp.explore.page``.

        Args:
            path: path of the page.
            n_heads: number of most important heads of each model with attention and text in the page.

        Raises:
            OutputError: the suffix belongs to another format, or the place cannot be written.
        """
        from interp.explore.page import write_explorer

        return write_explorer(self, Path(path), n_heads=n_heads)


def explore(
    ablations: HeadAblation | Sequence[HeadAblation],
    model: TransformerBridge | Sequence[TransformerBridge] | None = None,
    windows: Windows | None = None,
    *,
    reference: Windows | None = None,
    seed: int = 0,
) -> Explorer:
    """Explore heads: the map, a head's attention and text, sets ablated together, and the layers.

    Args:
        ablations: sweeps, possibly of several methods, groups of windows or models.
        model: the swept model, or models. Without a model, only the maps are shown, and the falls by token of sweeps
            with ``by_token=True``.
        windows: windows whose text is shown. Default: at most 32 of the sweep's own, memorized ones first.
        reference: reference windows for sets ablated by ``mean`` or ``resample``, as in ``ablate_sets``.
        seed: seed of the random sets, and of the windows of ``resample``.

    Raises:
        ExploreError: there is nothing to show, or the model was not swept or has changed since.
        WindowError, RestartError: the windows or the model cannot be run; see ``ablate_sets``.
    """
    given = [ablations] if isinstance(ablations, HeadAblation) else list(ablations)
    if not given or not all(isinstance(one, HeadAblation) for one in given):
        raise ExploreError("give the result of interp.ablate_heads, or several; a table is opened by explore_tables")
    models = [] if model is None else [model] if isinstance(model, TransformerBridge) else list(model)
    by_model: dict[str, list[HeadAblation]] = {}
    for one in given:
        by_model.setdefault(one.provenance.model, []).append(one)
    running = {str(one.cfg.model_name): one for one in models}
    strange = sorted(set(running) - set(by_model))
    if strange:
        raise ExploreError(f"no sweep of {', '.join(strange)} was given; there are sweeps of {', '.join(by_model)}")
    for name, of_model in by_model.items():
        _check_same(name, of_model, running.get(name))
    shown = [Shown.of(of_model, running.get(name), windows, reference, seed) for name, of_model in by_model.items()]
    return Explorer(shown, provenance=[one.provenance for one in given])


def _check_same(name: str, ablations: Sequence[HeadAblation], model: TransformerBridge | None) -> None:
    """Refuse sweeps of one model name with different weights, or a model that is not the swept one."""
    first = ablations[0].provenance
    others = [one.provenance for one in ablations[1:]]
    if model is not None:
        others.append(Provenance.of("explore", model, ablations[0].windows))
    for other in others:
        found = first.differences(other, of=MODEL)
        if found:
            raise ExploreError(f"{name} is another model in one sweep than in another, or than the one given: {found}")
    lengths = {(*one.log_prob.shape[:2], one.windows.continuation_len) for one in ablations}
    if len(lengths) > 1:
        raise ExploreError(f"sweeps of {name} differ in layers, heads or continuation: {sorted(lengths)}")


def _shown_windows(ablations: Sequence[HeadAblation]) -> Windows:
    """At most ``MAX_SHOWN`` windows of the first sweep, memorized ones first."""
    first = ablations[0]
    order = np.argsort(~first.memorized_clean, kind="stable")[:MAX_SHOWN]
    return first.windows.select(order)


def _of_one_method(ablations: Sequence[HeadAblation]) -> list[HeadAblation]:
    """The sweeps by the method of the first one: one for each set of windows."""
    return [one for one in ablations if one.method == ablations[0].method]


def _heads(pairs: Sequence[Sequence[int]]) -> Heads:
    return tuple((int(layer), int(head)) for layer, head in pairs)
