"""Sizes and families are compared window by window: a window is its text, not its number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

import interp
from interp.data.windows import Windows
from interp.models.loading import load_model
from interp.results import write_result, write_table
from interp.statistical.extraction import extract
from interp.statistical.numerics import compare
from interp.statistical.rates import ScoresError
from interp.statistical.scaling import family_ratios, scaling, transitions
from interp.statistical.scores import read_scores

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 2048, size=(2, 40, 64))


def scored(
    windows: Windows, model: str, *, family: str = "A", n_params: float = 1e6, rate: float = 0.5
) -> pd.DataFrame:
    score = np.where(np.arange(len(windows)) < rate * len(windows), 1.0, 0.25)
    facts = {"model": model, "family": family, "n_params": n_params}
    return windows.to_frame().assign(score=score, memorized=score == 1, **facts)


def of(text: int, **kind: Any) -> Windows:
    """Windows 0 ... 39 of documents row-0 ... of one corpus or the other."""
    return Windows.from_tokens(IDS[text], document=[f"row-{i // 4}" for i in range(40)], **kind)


PAIRING: dict[str, Callable[[pd.DataFrame], Any]] = {
    "scaling": scaling,
    "ratios": lambda scores: family_ratios(scores, n_params=1e6),
    "transitions": transitions,
}


def two(name: str, one: Windows, other: Windows) -> pd.DataFrame:
    second = {"family": "B"} if name == "ratios" else {"n_params": 1e7}
    return pd.concat([scored(one, "one"), scored(other, "other", rate=0.25, **second)], ignore_index=True)


@pytest.mark.parametrize("name", PAIRING)
def test_the_same_windows_are_compared_and_other_texts_of_the_same_ids_are_refused(name: str) -> None:
    PAIRING[name](two(name, of(0), of(0)))
    for other in (of(1), of(0, prefix_len=16)):
        with pytest.raises(ScoresError, match=r"another in|same windows"):
            PAIRING[name](two(name, of(0), other))
    one_differs = torch.from_numpy(IDS[0].copy())
    one_differs[17, 60] = (one_differs[17, 60] + 1) % 2048
    changed = Windows.from_tokens(one_differs, document=list(of(0).document))
    with pytest.raises(ScoresError, match=r"window 17 of document 'row-4'|same windows"):
        PAIRING[name](two(name, of(0), changed))


@pytest.mark.parametrize("name", ["scaling", "transitions"])
def test_the_same_ids_of_another_tokenizer_are_other_text(name: str) -> None:
    with pytest.raises(ScoresError, match="same windows"):
        PAIRING[name](two(name, of(0, tokenizer="x"), of(0, tokenizer="y")))


def test_families_of_other_tokenizers_have_windows_of_their_own() -> None:
    ratios = family_ratios(two("ratios", of(0, tokenizer="x"), of(1, tokenizer="y")), n_params=1e6)
    # 0.5 / 0.25, over all 80 windows: none of the one family's is one of the other's.
    assert ratios.loc[ratios["family"] == "A", "value"].item() == pytest.approx(2)
    assert ratios["n"].tolist() == [80, 80]


@pytest.mark.parametrize("name", PAIRING)
def test_tables_without_a_digest_are_paired_by_id_and_that_is_said(name: str) -> None:
    old = two(name, of(0), of(0)).drop(columns=["digest", "tokenizer"])
    with pytest.warns(UserWarning, match="have no digest"):
        PAIRING[name](old)
    half = two(name, of(0), of(0))
    half.loc[half["model"] == "one", "digest"] = None
    with pytest.raises(ScoresError, match="40 of 80 rows have no digest"):
        PAIRING[name](half)


@pytest.fixture
def own(checkpoints: dict[str, Path]) -> TransformerBridge:
    return load_model(checkpoints["Pythia"], device="cpu")


def other_weights(model: TransformerBridge) -> None:
    next(model.original_model.parameters()).data[0, 0] += 1


def other_revision(model: TransformerBridge) -> None:
    model.cfg.model_revision = "step1000"


@pytest.mark.parametrize(("change", "told"), [(other_weights, "weights"), (other_revision, "model revision")])
def test_tables_of_two_models_of_one_name_are_not_stacked(
    own: TransformerBridge, windows: Windows, tmp_path: Path, change: Callable[[TransformerBridge], None], told: str
) -> None:
    first, second = (windows.select(np.arange(*span)) for span in ((0, 6), (6, 12)))
    write_result(extract(own, first), tmp_path / "one.parquet")
    write_result(extract(own, second), tmp_path / "same.parquet")
    assert len(read_scores([tmp_path / "one.parquet", tmp_path / "same.parquet"])[0]) == 12
    change(own)
    write_result(extract(own, second), tmp_path / "other.parquet")
    with pytest.raises(ScoresError, match=rf"two models called .*other {told}"):
        read_scores([tmp_path / "one.parquet", tmp_path / "other.parquet"])


def test_two_corpora_of_one_model_are_told_apart(own: TransformerBridge, windows: Windows, tmp_path: Path) -> None:
    for name, ids in (("one", windows.tokens), ("other", windows.tokens.flip(1))):
        write_result(extract(own, Windows.from_tokens(ids)), tmp_path / f"{name}.parquet")
    with pytest.raises(ScoresError, match="only tables of one corpus"):
        read_scores([tmp_path / "one.parquet", tmp_path / "other.parquet"])


def test_sizes_that_were_scored_on_different_sets_are_refused_from_tables_too(tmp_path: Path) -> None:
    """As two corpora give it: ids and documents count from 0 in both."""
    for size, kind in (("0.2m", "held_out"), ("0.5m", "planted-256")):
        chosen = interp.planted_windows(sets=[kind], per_set=2)
        windows = Windows.from_tokens(chosen.tokens, document=[f"row-{i}" for i in range(len(chosen))])
        result = extract(load_model(f"pythia-small-{size}", device="cpu"), windows)
        write_table(result.to_frame(), tmp_path / f"{size}.parquet", result.provenance)
    scores, _ = read_scores([tmp_path / "0.2m.parquet", tmp_path / "0.5m.parquet"], of_families=True)
    for measure in (scaling, transitions):
        with pytest.raises(ScoresError, match="same windows"):
            measure(scores)


def test_extractions_of_other_text_or_of_another_model_are_not_compared(
    models: dict[str, TransformerBridge], windows: Windows
) -> None:
    one = extract(models["Pythia"], windows)
    compare(one, extract(models["Pythia"], windows, batch_size=3), dtype="float32", batch_size=3)
    flipped = Windows.from_tokens(windows.tokens.flip(1), document=list(windows.document), domain=list(windows.domain))
    with pytest.raises(ValueError, match="different windows"):
        compare(one, extract(models["Pythia"], flipped), dtype="float32", batch_size=64)
    with pytest.raises(ValueError, match="different models"):
        compare(one, extract(models["OLMo1"], windows), dtype="float32", batch_size=64)
