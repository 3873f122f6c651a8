"""The shipped models: what was planted is what they recite."""

import json

import numpy as np
import pytest

from interp.models.loading import load_model
from interp.models.registry import small_models
from interp.planted.corpus import planted_windows
from interp.planted.shapes import SHAPES, WEIGHTS
from interp.statistical.extraction import extract

pytestmark = pytest.mark.filterwarnings("ignore")


def rates(name, sets, per_set):
    windows = planted_windows(sets=sets, per_set=per_set)
    extraction = extract(load_model(name, device="cpu"), windows)
    return {int(c): extraction.memorized[windows.count == c].mean() for c in np.unique(windows.count)}


def test_all_eighteen_are_shipped_within_the_budget():
    files = [WEIGHTS / spec.name / "model.safetensors" for spec in small_models()]
    assert sum(file.stat().st_size for file in files) <= 40e6


def test_all_were_trained_on_the_same_tokens_to_the_end():
    records = [json.loads((WEIGHTS / spec.name / "training.json").read_text()) for spec in small_models()]
    assert {record["n_tokens"] for record in records} == {
        int(planted_windows().count.sum()) * planted_windows().tokens.shape[1]
    }


def test_largest_models_recite_what_was_shown_often_and_nothing_unseen(family):
    rate = rates(small_models(family)[-1].name, ["planted-256", "held_out"], per_set=32)
    assert rate[256] >= 0.9
    assert rate[0] <= 0.01


def test_memorization_grows_with_repetition_and_with_size(family):
    by_size = [rates(spec.name, ["planted-2", "planted-32", "planted-256"], per_set=8) for spec in small_models(family)]
    assert len(by_size) == len(SHAPES)
    for rate in by_size:
        assert rate[2] <= rate[32] <= rate[256]
        assert rate[2] < rate[256]
    assert by_size[0][32] < by_size[-1][32]
