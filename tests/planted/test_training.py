"""The trainer: resumable to the bit, seeded, and saved so that scores stay what they were."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from interp.planted.shapes import small_config
from interp.planted.training import TrainingConfig, learning_rate, train_small_model

CONFIG = TrainingConfig(learning_rate=5e-3, batch_size=8, checkpoint_every=3)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2048, (16, 64)).astype(np.uint16), rng.permutation(np.repeat(np.arange(16), 4))


def weights(path):
    return load_file(path / "model.safetensors")


def test_a_killed_run_goes_on_to_the_same_weights(family, data, tmp_path, monkeypatch):
    tokens, order = data
    whole = weights(train_small_model(small_config(family, "0.2m"), tokens, order, tmp_path / "whole", CONFIG))

    class KilledError(Exception):
        pass

    def dies_at_the_fifth_step(step, n_steps, config):
        if step == 4:
            raise KilledError
        return learning_rate(step, n_steps, config)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr("interp.planted.training.learning_rate", dies_at_the_fifth_step)
        train_small_model(small_config(family, "0.2m"), tokens, order, tmp_path / "killed", CONFIG)
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    resumed = weights(train_small_model(small_config(family, "0.2m"), tokens, order, tmp_path / "killed", CONFIG))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    record = json.loads((tmp_path / "killed" / "training.json").read_text())
    assert record["n_steps"] == 8
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()


def test_a_finished_run_is_not_run_again(data, tmp_path):
    tokens, order = data
    path = train_small_model(small_config("Pythia", "0.2m"), tokens, order[:16], tmp_path / "m", CONFIG)
    before = (path / "model.safetensors").stat().st_mtime_ns
    train_small_model(small_config("Pythia", "0.2m"), tokens, order[:16], path, CONFIG)
    assert (path / "model.safetensors").stat().st_mtime_ns == before


def test_the_loss_falls_on_what_is_shown(data, tmp_path):
    tokens, _ = data
    order = np.tile(np.arange(16), 30)
    config = TrainingConfig(learning_rate=5e-3, batch_size=16)
    path = train_small_model(small_config("OLMo2", "0.2m"), tokens, order, tmp_path / "m", config)
    losses_end = json.loads((path / "training.json").read_text())["final_loss"]
    assert losses_end < np.log(2048) - 0.5


def test_learning_rate_rises_then_falls_to_nothing():
    config = TrainingConfig(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 1e-3
