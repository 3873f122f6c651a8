"""Head maps are those of the sweep, on whatever windows and by whatever way they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explored import Swept

from interp.explore.explorer import explore
from interp.explore.maps import ALL_DOMAINS, ALL_WINDOWS, MEMORIZED, OTHERS, ExploreError, WindowFalls, plain
from interp.explore.tables import explore_tables
from interp.internal.ablation.heads import HeadAblation, ablate_heads
from interp.measurements.ablate import by_window
from interp.results import write_table

METRICS = ("log_prob", "rate", "score")


def part(ablation: HeadAblation, which: np.ndarray) -> HeadAblation:
    """A sweep of some of its windows."""
    return replace(
        ablation,
        windows=ablation.windows.select(which),
        **{name: getattr(ablation, name)[..., which] for name in ("log_prob", "memorized", "score")},
        **{f"{name}_clean": getattr(ablation, f"{name}_clean")[which] for name in ("log_prob", "memorized", "score")},
        token_log_prob=None,
        token_log_prob_clean=None,
    )


def same(found, ablation: HeadAblation, metric: str) -> None:
    """A map is what the sweep of these windows says itself."""
    rows = ablation.importance_intervals(metric)
    for end in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(found, end), [[getattr(e, end) for e in row] for row in rows], atol=1e-12)
    assert (found.n_windows, found.n_documents) == (len(ablation.windows), ablation.windows.n_documents)


def test_a_map_is_the_sweep_of_its_windows(swept: Swept) -> None:
    ablation = swept.ablation
    falls = WindowFalls.of([ablation])
    memorized, code = ablation.memorized_clean, ablation.windows.domain == "code"
    assert 5 <= memorized.sum() < len(memorized)
    assert falls.groups == [MEMORIZED, OTHERS, f"{MEMORIZED} − {OTHERS}", ALL_WINDOWS]
    assert falls.domains == [ALL_DOMAINS, "code", "legal", "prose"]
    for metric in METRICS:
        same(falls.map(metric, MEMORIZED, ALL_DOMAINS), part(ablation, memorized), metric)
        same(falls.map(metric, MEMORIZED, "code"), part(ablation, memorized & code), metric)
        same(falls.map(metric, OTHERS, ALL_DOMAINS), part(ablation, ~memorized), metric)
        same(falls.map(metric, ALL_WINDOWS, ALL_DOMAINS), ablation, metric)


def test_a_difference_is_of_means_over_documents_drawn_together(swept: Swept) -> None:
    ablation = swept.ablation
    falls, memorized = ablation.falls("log_prob"), ablation.memorized_clean
    found = WindowFalls.of([ablation]).map("log_prob", f"{MEMORIZED} − {OTHERS}", ALL_DOMAINS)
    wanted = falls[..., memorized].mean(-1) - falls[..., ~memorized].mean(-1)
    np.testing.assert_allclose(found.value, wanted, atol=1e-12)
    assert (found.low < found.value).all()
    assert (found.value < found.high).all()
    assert found.n_windows == len(memorized)


def test_sweeps_of_several_lots_of_windows_are_one(swept: Swept) -> None:
    ablation = swept.ablation
    first = np.arange(len(ablation.windows)) < 7
    joined = WindowFalls.of([part(ablation, first), part(ablation, np.arange(len(first)) > 3)])
    whole = WindowFalls.of([ablation])
    for group in whole.groups:
        one, other = (falls.map("log_prob", group, ALL_DOMAINS) for falls in (joined, whole))
        np.testing.assert_allclose(one.value, other.value, atol=1e-12)
        assert one.n_windows == other.n_windows


def test_what_was_not_measured_is_missing(swept: Swept) -> None:
    found = WindowFalls.of([swept.other])
    value = found.map("log_prob", MEMORIZED, ALL_DOMAINS).value
    assert np.isnan(value).sum() == value.size - 1
    assert not np.isnan(value[1, 2])
    with pytest.raises(ExploreError, match="score was not measured"):
        found.map("score", MEMORIZED, ALL_DOMAINS)
    with pytest.raises(ExploreError, match="no memorized windows of nowhere"):
        found.map("log_prob", MEMORIZED, "nowhere")


def test_tables_give_the_maps_they_were_made_of(swept: Swept, tmp_path: Path) -> None:
    ablation, memorized = swept.ablation, swept.ablation.memorized_clean
    lots = {"memorized": part(ablation, memorized), "unmemorized": part(ablation, ~memorized)}
    for group, lot in lots.items():
        heads = lot.to_frame().assign(group=group, method="zero", model="m")
        write_table(heads, tmp_path / group / "heads.parquet", lot.provenance)
        windows = by_window(lot).assign(group=group, method="zero", model="m")
        write_table(windows, tmp_path / group / "by_window.parquet", lot.provenance)
    (shown,) = explore_tables([tmp_path]).shown
    maps = shown.maps["zero"]
    for metric in METRICS:
        same(maps.map(metric, "memorized", ALL_DOMAINS), lots["memorized"], metric)
    code = lots["unmemorized"].windows.domain == "code"
    same(maps.map("log_prob", "unmemorized", "code"), part(lots["unmemorized"], code), "log_prob")
    difference = maps.map("log_prob", "memorized − unmemorized", ALL_DOMAINS).value
    wanted = lots["memorized"].importance() - lots["unmemorized"].importance()
    np.testing.assert_allclose(difference, wanted, atol=1e-12)
    with pytest.raises(ExploreError, match="not in the table"):
        explore_tables([tmp_path / "memorized" / "heads.parquet"]).shown[0].maps["zero"].map(
            "log_prob", "memorized", "code"
        )
    with pytest.raises(ExploreError, match="no table of heads"):
        explore_tables([])


def test_a_table_of_head_ablation_itself_is_opened(swept: Swept, tmp_path: Path) -> None:
    write_table(swept.ablation.to_frame(), tmp_path / "heads.parquet", swept.ablation.provenance)
    (shown,) = explore_tables([tmp_path / "heads.parquet"]).shown
    assert (shown.name, list(shown.maps)) == (swept.ablation.provenance.model, ["zero"])
    same(shown.maps["zero"].map("score", "windows", ALL_DOMAINS), swept.ablation, "score")


def test_numbers_as_json_has_them() -> None:
    given = np.array([[1 / 3, np.nan], [-np.inf, 2e-9]])
    assert plain(given) == [[0.333333, None], [None, 2e-9]]


def test_other_models_and_other_things_are_refused(swept: Swept, models) -> None:
    with pytest.raises(ExploreError, match="no sweep of"):
        explore(swept.ablation, model=models["Pythia"])
    with pytest.raises(ExploreError, match="give the result of"):
        explore([])
    weights = dict(swept.model.original_model.named_parameters())
    name = next(iter(weights))
    kept = weights[name].data.clone()
    try:
        weights[name].data += 1
        with pytest.raises(ExploreError, match="weights"):
            explore(swept.ablation, model=swept.model)
    finally:
        weights[name].data.copy_(kept)
    short = swept.windows.select(np.arange(2))
    shorter = replace(short, tokens=short.tokens[:, :40])
    with pytest.raises(ExploreError, match="continuation"):
        explore([swept.ablation, ablate_heads(swept.model, shorter, heads=[(0, 0)])])
