"""Head maps of one model and method: importance of every head on a group of windows, in a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from interp.brief import Brief
from interp.errors import InterpError
from interp.internal.ablation.choices import Metric
from interp.internal.ablation.heads import HeadAblation
from interp.stats.curves import column_estimates
from interp.stats.estimates import Estimate, from_resamples, resting_on
from interp.stats.importance import head_estimates

ALL_DOMAINS = "all domains"
MEMORIZED, OTHERS, ALL_WINDOWS = "memorized", "not memorized", "all windows"
METRICS: tuple[Metric, ...] = ("log_prob", "rate", "score")
_ENDS = ("value", "low", "high")


class ExploreError(InterpError, ValueError):
    """A view cannot be shown; says why."""


@dataclass(frozen=True, repr=False, eq=False)
class HeadMap(Brief):
    """Importance of every head, with its 95 % interval by document. NaN for heads that were not ablated."""

    value: Float[np.ndarray, "layer head"]
    low: Float[np.ndarray, "layer head"]
    high: Float[np.ndarray, "layer head"]
    n_windows: int
    n_documents: int

    @classmethod
    def of(
        cls, estimates: Sequence[Estimate], shape: tuple[int, ...], document: Shaped[np.ndarray, " window"]
    ) -> HeadMap:
        """From the heads' estimates, by layer, then head."""
        value, low, high = (np.array([getattr(e, end) for e in estimates]).reshape(shape) for end in _ENDS)
        return cls(value, low, high, len(document), len(np.unique(document)))


@dataclass(frozen=True, repr=False, eq=False)
class WindowFalls(Brief):
    """Fall of each window for each head."""

    falls: Mapping[Metric, Float[np.ndarray, "layer head window"]]
    """By metric. NaN if a head or a window was not measured."""
    document: Shaped[np.ndarray, " window"]
    domain: Shaped[np.ndarray, " window"]
    group: Shaped[np.ndarray, " window"]
    """``memorized`` or another."""
    n_tokens: int
    """Number of tokens of a continuation."""

    @classmethod
    def of(cls, ablations: Sequence[HeadAblation]) -> WindowFalls:
        """From sweeps of one model by one method. A window in several sweeps is taken from the first."""
        seen: set[str] = set()
        kept: list[Bool[np.ndarray, " window"]] = []
        for ablation in ablations:
            digests = ablation.windows.digests
            kept.append(np.array([digest not in seen for digest in digests]))
            seen |= set(digests)
        falls: dict[Metric, np.ndarray] = {}
        for metric in METRICS:
            each = np.concatenate([a.falls(metric)[..., new] for a, new in zip(ablations, kept, strict=True)], axis=-1)
            if not np.isnan(each).all():
                falls[metric] = each

        def joined(values: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate([v[new] for v, new in zip(values, kept, strict=True)])

        return cls(
            falls=falls,
            document=joined([a.windows.document.astype(str) for a in ablations]),
            domain=joined([a.windows.domain.astype(str) for a in ablations]),
            group=joined([np.where(a.memorized_clean, MEMORIZED, OTHERS) for a in ablations]),
            n_tokens=ablations[0].windows.continuation_len,
        )

    @classmethod
    def of_table(cls, rows: pd.DataFrame) -> WindowFalls:
        """From the rows ``by_window`` of one model and method: ``layer``, ``head``, ``window``, ``fall``, ``group``."""
        windows = rows.drop_duplicates(["group", "window"]).reset_index(drop=True)
        which = pd.MultiIndex.from_frame(windows[["group", "window"]])
        places = which.get_indexer(pd.MultiIndex.from_frame(rows[["group", "window"]]))
        shape = (int(rows["layer"].max()) + 1, int(rows["head"].max()) + 1, len(windows))
        falls = np.full(shape, np.nan)
        falls[rows["layer"], rows["head"], places] = rows["fall"]
        columns = {name: windows[name].astype(str).to_numpy(dtype=object) for name in ("document", "domain", "group")}
        return cls(falls={"log_prob": falls}, n_tokens=1, **columns)

    @property
    def groups(self) -> list[str]:
        """Groups, their differences if there are several, and all windows together."""
        found = sorted(set(self.group), key=lambda name: (name != MEMORIZED, name))
        differences = [f"{MEMORIZED} − {other}" for other in found[1:] if found[0] == MEMORIZED]
        return [*found, *differences, *([ALL_WINDOWS] if len(found) > 1 else [])]

    @property
    def domains(self) -> list[str]:
        """All domains together, and each domain if there are several."""
        found = sorted(set(self.domain))
        return [ALL_DOMAINS, *(found if len(found) > 1 else [])]

    def map(self, metric: Metric, group: str, domain: str, *, seed: int = 0) -> HeadMap:
        """Importance on a group of windows in a domain.

        Raises:
            ExploreError: the metric was not measured, or there are no such windows.
        """
        if metric not in self.falls:
            raise ExploreError(f"{metric} was not measured by this sweep: ablate with metrics=({metric!r},)")
        falls = self.falls[metric]
        inside = np.ones(len(self.group), dtype=bool) if domain == ALL_DOMAINS else self.domain == domain
        one, _, other = group.partition(" − ")
        if other:
            return self._difference(falls, inside & (self.group == one), inside & (self.group == other), seed)
        chosen = inside if group == ALL_WINDOWS else inside & (self.group == group)
        if not chosen.any():
            raise ExploreError(f"there are no {group} windows of {domain}")
        trials = {"log_prob": 0, "rate": 1, "score": self.n_tokens}[metric]
        estimates = head_estimates(
            falls[..., chosen], self.document[chosen], seed=seed, trials=trials, gains=group != MEMORIZED
        )
        return HeadMap.of([e for row in estimates for e in row], falls.shape[:2], self.document[chosen])

    def _difference(
        self,
        falls: Float[np.ndarray, "layer head window"],
        one: Bool[np.ndarray, " window"],
        other: Bool[np.ndarray, " window"],
        seed: int,
    ) -> HeadMap:
        """Mean fall of one group minus that of another, on the same resampled documents."""
        if not (one.any() and other.any()):
            raise ExploreError("one of the two groups has no windows here")
        both = one | other
        columns = falls[..., both].reshape(-1, int(both.sum())).T
        sides = [np.where(mask[both][:, None], columns, np.nan) for mask in (one, other)]
        estimates, drawn = column_estimates(np.hstack(sides), self.document[both], seed=seed, trials=0)
        n, rests_on = columns.shape[1], resting_on(self.document[both])
        found = [
            from_resamples(estimates[i].value - estimates[n + i].value, drawn[:, i] - drawn[:, n + i], **rests_on)
            for i in range(n)
        ]
        return HeadMap.of(found, falls.shape[:2], self.document[both])


@dataclass(frozen=True, repr=False, eq=False)
class Maps(Brief):
    """Maps of one model and method, from the falls of windows, a finished table, or both."""

    windows: WindowFalls | None = None
    finished: Mapping[tuple[str, str], HeadMap] = field(default_factory=dict)
    """By metric and group, over all domains."""

    @classmethod
    def of_table(cls, rows: pd.DataFrame, windows: WindowFalls | None = None) -> Maps:
        """From a table of heads of one model and method (``HeadAblation.to_frame``, with a column ``group``)."""
        finished: dict[tuple[str, str], HeadMap] = {}
        shape = (int(rows["layer"].max()) + 1, int(rows["head"].max()) + 1)
        # The gradient estimates in the table are not shown.
        exact = rows[rows["by"] == "ablation"] if "by" in rows else rows
        for (group, metric), heads in exact.dropna(subset="value").groupby(["group", "metric"], sort=False):
            value, low, high = (np.full(shape, np.nan) for _ in _ENDS)
            for values, end in zip((value, low, high), _ENDS, strict=True):
                values[heads["layer"], heads["head"]] = heads[end]
            n_windows, n_documents = (int(heads[name].max()) for name in ("n", "n_documents"))
            finished[str(metric), str(group)] = HeadMap(value, low, high, n_windows, n_documents)
        return cls(windows, finished)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of layers, and of heads per layer."""
        if self.windows is not None:
            n_layers, n_heads, _ = next(iter(self.windows.falls.values())).shape
            return n_layers, n_heads
        n_layers, n_heads = next(iter(self.finished.values())).value.shape
        return n_layers, n_heads

    @property
    def metrics(self) -> list[str]:
        """Metrics that were measured."""
        known = {metric for metric, _ in self.finished} | set(self.windows.falls if self.windows else ())
        return [metric for metric in METRICS if metric in known]

    @property
    def groups(self) -> list[str]:
        """Groups of windows, those of the table first."""
        return list(
            dict.fromkeys([*(group for _, group in self.finished), *(self.windows.groups if self.windows else ())])
        )

    @property
    def domains(self) -> list[str]:
        """Domains of the windows. A finished table only has all domains together."""
        return self.windows.domains if self.windows else [ALL_DOMAINS]

    def map(self, metric: Metric, group: str, domain: str) -> HeadMap:
        """One map.

        Raises:
            ExploreError: the map was not measured.
        """
        if domain == ALL_DOMAINS and (metric, group) in self.finished:
            return self.finished[metric, group]
        if self.windows is None or group not in self.windows.groups:
            raise ExploreError(f"{metric} of {group} windows, {domain}, is not in the table")
        return self.windows.map(metric, group, domain)


def plain(numbers: Any) -> Any:
    """Numbers as JSON data with six digits; ``None`` for NaN or infinite values."""
    if isinstance(numbers, np.ndarray):
        return plain(numbers.tolist())
    if isinstance(numbers, list):
        return [plain(x) for x in numbers]
    return float(f"{numbers:.6g}") if np.isfinite(numbers) else None
