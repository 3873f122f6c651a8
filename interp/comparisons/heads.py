"""Heads across domains and families: are the same heads important, and are models of one family similar?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.brief import Brief
from interp.comparisons.comparison import Compared, Comparison, Given
from interp.internal.ablation.choices import Method
from interp.measurements.measurement import Figures
from interp.measurements.settings import option, settings
from interp.measurements.tables import models_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from interp.internal.comparison.similarity import FamilySimilarity
    from interp.results import Provenance


@settings
class HeadsSettings:
    """Compare heads: the top heads between domains, and the distribution of importance between models.

    Reads the folder written by `interp ablate --by-window --folder`.
    """

    method: Method | None = option("ablation method, if the tables have several", default=None)
    share: float = option("share of a model's heads in its top set", default=0.2, ge=0, le=1)


@dataclass(frozen=True, repr=False, eq=False)
class Falls(Brief):
    """Fall of one model's windows for each head."""

    fall: np.ndarray
    """In nats per token, (layer, head, window)."""
    document: np.ndarray
    domain: np.ndarray
    labels: Mapping[str, Any]
    """Columns that identify the model."""

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Falls:
        """From the rows of one model, one per layer, head and window."""
        import numpy as np

        rows = rows.sort_values(["layer", "head", "window"])
        windows = rows[(rows["layer"] == rows["layer"].min()) & (rows["head"] == rows["head"].min())]
        shape = (rows["layer"].nunique(), rows["head"].nunique(), len(windows))
        fall = rows["fall"].to_numpy(dtype=np.float64).reshape(shape)
        labels = {name: rows[name].iloc[0] for name in ("model", "family", "size") if name in rows}
        return cls(fall, windows["document"].to_numpy(), windows["domain"].to_numpy(), labels)

    def by_domain(self) -> dict[str, np.ndarray]:
        """Mean over the windows of each domain."""
        return {str(d): self.fall[:, :, self.domain == d].mean(axis=-1) for d in sorted(set(self.domain))}


def read_falls(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[Provenance]]:
    """Rows of ``by_window`` tables: files, or folders with one.

    Raises:
        ScoresError: there is no such table, a table lacks columns, or a model is there twice.
    """
    import pandas as pd

    from interp.results import read_result
    from interp.statistical.measured import ScoresError, check_columns

    files = [path / "by_window.parquet" if path.is_dir() else path for path in paths]
    tables, provenance = [], []
    for file in files:
        table, made = read_result(file)
        check_columns(table, ["model", "layer", "head", "window", "document", "domain", "fall"], what=f"reading {file}")
        tables.append(table)
        provenance += made
    rows = pd.concat(tables, ignore_index=True)
    key = [name for name in ("model", "method", "group", "layer", "head", "window") if name in rows]
    if rows.duplicated(key).any():
        model = rows.loc[rows.duplicated(key), "model"].iloc[0]
        raise ScoresError(f"{model} is in these tables twice; give each table once")
    return rows, provenance


def _chosen(rows: pd.DataFrame, chosen: HeadsSettings) -> pd.DataFrame:
    from interp.statistical.measured import ScoresError

    for column, wanted in (("group", "memorized"), ("method", chosen.method)):
        if column in rows and wanted is not None:
            rows = rows[rows[column] == wanted]
        if column in rows and rows[column].nunique() > 1:
            raise ScoresError(
                f"the tables have several values of {column}: {sorted(rows[column].unique())}; choose one"
            )
    if len(rows) == 0:
        raise ScoresError(f"the tables have no memorized windows for the method {chosen.method}")
    return rows


def compare_heads(given: Given, chosen: HeadsSettings) -> Compared:
    import numpy as np
    import pandas as pd

    from interp.internal.comparison.overlap import overlap
    from interp.internal.comparison.profiles import concentration, importance_profile
    from interp.internal.comparison.similarity import REPRESENTATIONS
    from interp.stats.columns import estimate_columns

    falls = {model: Falls.of(rows) for model, rows in models_of(_chosen(given.rows, chosen))}
    rows: dict[str, list[pd.DataFrame]] = {}
    for found in falls.values():
        domains = found.by_domain()
        if len(domains) > 1:
            shared = overlap(domains, share=chosen.share, seed=given.seed)
            rows.setdefault("overlap", []).append(shared.pairs.assign(**found.labels))
            expected = {f"expected_{null}": value for null, value in shared.universal_expected.items()}
            p = {f"p_{null}": value for null, value in shared.universal_p.items()}
            e = shared.universal_share
            universal = {**found.labels, "value": e.value, "low": e.low, "high": e.high, "n_heads": e.n}
            rows.setdefault("universal", []).append(pd.DataFrame([{**universal, **expected, **p}]))
        for kind in REPRESENTATIONS:
            profile = importance_profile(found.fall, found.document, representation=kind, seed=given.seed)
            rows.setdefault("profiles", []).append(profile.assign(representation=kind, **found.labels))
        gini = estimate_columns(concentration(found.fall, found.document, seed=given.seed))
        rows.setdefault("concentration", []).append(pd.DataFrame([{**found.labels, **gini}]))
        importance = found.fall.mean(axis=-1)
        layer, head = np.indices(importance.shape).reshape(2, -1)
        columns = {"layer": layer, "head": head, "importance": importance.ravel()}
        rows.setdefault("importance", []).append(pd.DataFrame(columns).assign(**found.labels))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in rows.items()}
    similar = _families(falls, seed=given.seed)
    if similar:
        tables["families"] = pd.DataFrame([row for found in similar for row in _family_rows(found)])
        pairs = [found.to_frame().assign(representation=found.representation) for found in similar]
        tables["similarity"] = pd.concat(pairs, ignore_index=True)
    return Compared(tables, _finding(tables, similar), lambda: _figures(tables))


def _families(falls: Mapping[str, Falls], *, seed: int) -> list[FamilySimilarity]:
    """Similarity within and across families. Empty if there are not enough models or families."""
    from interp.internal.comparison.similarity import REPRESENTATIONS, family_similarity

    families = {model: str(found.labels.get("family", "")) for model, found in falls.items()}
    if not 1 < len(set(families.values())) < len(families):
        return []
    maps = {model: found.fall.mean(axis=-1) for model, found in falls.items()}
    # Models of one size have equal layers and heads, which makes them similar.
    layers = {model: len(importance) for model, importance in maps.items()}
    return [
        family_similarity(maps, families, strata=layers, representation=kind, seed=seed) for kind in REPRESENTATIONS
    ]


def _family_rows(found: FamilySimilarity) -> list[dict[str, Any]]:
    pairs = (("within", found.within), ("across", found.across), ("difference", found.difference))
    return [
        {"representation": found.representation, "pairs": name, "value": e.value, "low": e.low, "high": e.high,
         "n": e.n, "p": found.p_value}
        for name, e in pairs
    ]  # fmt: skip


def _finding(tables: Mapping[str, pd.DataFrame], similar: Sequence[FamilySimilarity]) -> str:
    gini = tables["concentration"]
    said = [f"importance is concentrated with a Gini of {gini['value'].min():.2f} to {gini['value'].max():.2f}"]
    if "universal" in tables:
        share = tables["universal"]
        said.append(f"{share['value'].min():.0%} to {share['value'].max():.0%} of heads are top ones in every domain")
    said += [
        f"by {f.representation}, cosine within families {f.within}, across {f.across}, p = {f.p_value:.2g}"
        for f in similar
    ]
    return "; ".join(said)


def _figures(tables: Mapping[str, pd.DataFrame]) -> Figures:
    from interp.figures.comparison import (
        draw_concentration,
        draw_overlap,
        draw_profiles,
        draw_similarity,
        draw_universal,
    )
    from interp.internal.comparison.similarity import REPRESENTATIONS

    def of(table: str, kind: str) -> pd.DataFrame:
        return tables[table][tables[table]["representation"] == kind]

    for kind in REPRESENTATIONS:
        if "similarity" in tables:
            yield f"similarity-{kind}", draw_similarity(of("similarity", kind), of("families", kind))
        yield f"profiles-{kind}", draw_profiles(of("profiles", kind), kind)
    yield "concentration", draw_concentration(tables["concentration"])
    if "overlap" in tables:
        yield "overlap", draw_overlap(tables["overlap"])
        yield "universal", draw_universal(tables["universal"])


HEADS = Comparison("heads", HeadsSettings, compare_heads, read_falls, measurement="ablate", table="by_window")
