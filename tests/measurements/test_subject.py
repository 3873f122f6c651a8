"""What is measured: windows by what the model recites of them, other text, and the labels of a model's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.measurements.subject import ModelChoice, NothingToMeasure, Subject, WindowsChoice
from interp.planted.corpus import planted_windows

NAME = "pythia-small-0.2m"


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(NAME, windows=WindowsChoice(sets=("planted-256", "held_out"), per_set=3))


def test_windows_are_the_planted_ones_asked_for(subject: Subject) -> None:
    expected = planted_windows(sets=["planted-256", "held_out"], per_set=3, seed=0)
    assert subject.windows.digest == expected.digest
    shorter = Subject(NAME, windows=WindowsChoice(sets=("planted-256",), per_set=1, prefix_len=20)).windows
    assert (shorter.prefix_len, shorter.continuation_len) == (20, 44)


def test_groups_are_what_is_recited(subject: Subject) -> None:
    memorized, unmemorized = subject.of_group("memorized"), subject.of_group("unmemorized")
    score = subject.extraction.score
    assert memorized.window.tolist() == subject.windows.window[score == 1].tolist()
    assert unmemorized.window.tolist() == subject.windows.window[score == 0].tolist()
    assert (memorized.count == 256).all(), "what was shown most is recited by this model"
    few = subject.of_group("memorized", at_most=2)
    assert len(few) == 2
    assert set(few.window) <= set(memorized.window)
    windows, masks = subject.grouped()
    assert windows.window[masks["memorized"]].tolist() == memorized.window.tolist()
    assert not (masks["matched"] & ~masks["unmemorized"]).any()


def test_nothing_memorized_is_nothing_to_measure(checkpoints: dict[str, Path]) -> None:
    random = Subject(str(checkpoints["Pythia"]), windows=WindowsChoice(sets=("held_out",), per_set=1))
    with pytest.raises(NothingToMeasure, match="memorized none of 4 windows"):
        random.of_group("memorized")
    assert "family" not in random.labels, "nobody knows it; an empty family would be taken for one"
    assert random.labels["n_params"] == sum(p.numel() for p in random.model.original_model.parameters())


def test_rows_are_labelled(subject: Subject) -> None:
    assert subject.labels == {
        "model": NAME, "family": "Pythia", "size": "0.2m", "n_params": subject.labels["n_params"], "model_revision": "",
    }  # fmt: skip


def test_other_text_is_a_set_or_a_corpus(subject: Subject, tmp_path: Path) -> None:
    background = subject.reference("background", per_set=2)
    assert background.digest == planted_windows(sets=["background"], per_set=2, seed=0).digest
    text = subject.model.tokenizer.decode(background.tokens.flatten().tolist())
    pd.DataFrame({"text": [text]}).to_parquet(tmp_path / "other.parquet")
    other = subject.reference(str(tmp_path / "other.parquet"))
    assert np.array_equal(other.tokens[0], background.tokens[0])


def test_numbers_are_in_the_format_asked_for() -> None:
    assert Subject(NAME, ModelChoice(dtype="bfloat16")).model.cfg.dtype.itemsize == 2
