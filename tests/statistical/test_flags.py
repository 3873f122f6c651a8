from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.engine.readout import DecodingError
from interp.models.loading import load_model
from interp.statistical.extraction import extract
from interp.statistical.flags import memorized_flags, write_flags

FIRST_MISS = [None, 0, 0, 1, 3, 4, 15, 16, 31, None, 0, 2] * 2
"""Where each window is made to miss: before, at and after the end of every stage."""


def misses(model: TransformerBridge, windows: Windows) -> Windows:
    """Windows that the model recites up to a known place."""
    both = torch.cat([windows.tokens, windows.tokens.flip(0)])
    start = Windows.from_tokens(both)
    tokens = torch.cat([start.prefix, torch.from_numpy(extract(model, start).generated)], dim=1)
    for row, wrong in enumerate(FIRST_MISS):
        if wrong is not None:
            tokens[row, 32 + wrong] = (tokens[row, 32 + wrong] + 1) % 2048
    return Windows.from_tokens(tokens, source="made")


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_flags_are_those_of_the_windows_as_made(
    models: dict[str, TransformerBridge], windows: Windows, batch_size: int
) -> None:
    made = misses(models["OLMo3"], windows)
    (flags,) = memorized_flags(models["OLMo3"], [made], batch_size=batch_size)
    assert flags.exact_run.tolist() == [32 if miss is None else miss for miss in FIRST_MISS]
    assert flags.memorized.tolist() == [miss is None for miss in FIRST_MISS]


def test_flags_are_those_of_extraction(model: TransformerBridge, windows: Windows) -> None:
    made = misses(model, windows)
    (flags,) = memorized_flags(model, [made], batch_size=3)
    full = extract(model, made)
    np.testing.assert_array_equal(flags.memorized, full.memorized)
    np.testing.assert_array_equal(flags.exact_run, full.exact_run)


def test_stream_is_read_as_results_are_taken(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """A chunk is not asked for before the one before it was given out: memory holds one chunk."""
    asked = []

    def stream() -> Iterator[Windows]:
        for i in range(3):
            asked.append(i)
            yield windows.select(np.arange(4 * i, 4 * i + 4))

    for i, flags in enumerate(memorized_flags(models["Pythia"], stream())):
        assert asked == list(range(i + 1))
        assert flags.windows.window.tolist() == list(range(4 * i, 4 * i + 4))


def test_interrupted_run_goes_on(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models["Pythia"]
    made = misses(model, windows)
    chunks = [made.select(np.arange(i, i + 8)) for i in (0, 8, 16)]

    def cut_off() -> Iterator[Windows]:
        yield chunks[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_flags(model, cut_off(), tmp_path)
    first = (tmp_path / "part-000000.parquet").stat().st_mtime_ns
    parts = write_flags(model, chunks, tmp_path)
    assert (tmp_path / "part-000000.parquet").stat().st_mtime_ns == first
    frame = pd.concat([pd.read_parquet(part) for part in parts])
    assert frame["window"].tolist() == list(range(24))
    assert frame["memorized"].tolist() == [miss is None for miss in FIRST_MISS]
    with pytest.raises(ValueError, match="choose an empty folder"):
        write_flags(model, chunks[::-1], tmp_path)
    with pytest.raises(ValueError, match="choose an empty folder"):
        write_flags(models["OLMo1"], chunks, tmp_path)


def test_a_damaged_part_or_one_too_many_is_named(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path
) -> None:
    chunks = [windows.select(np.arange(i, i + 4)) for i in (0, 4, 8)]
    first, second, third = write_flags(models["Pythia"], chunks, tmp_path)
    with pytest.raises(WindowError, match=r"part-000002.parquet is of an earlier, longer run"):
        write_flags(models["Pythia"], chunks[:2], tmp_path)
    whole = second.read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 4
    for bytes_now in (b"", whole[:-20], b"text", bytes(flipped)):
        second.write_bytes(bytes_now)
        with pytest.raises(WindowError, match=r"part-000001.parquet is damaged.*Remove"):
            write_flags(models["Pythia"], chunks, tmp_path)
        assert second.read_bytes() == bytes_now
    second.unlink()
    write_flags(models["Pythia"], chunks, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".interp.lock", first.name, second.name, third.name}


def test_a_second_writer_waits_and_takes_over_what_the_first_made(
    models: dict[str, TransformerBridge], windows: Windows, tmp_path: Path
) -> None:
    started, go_on = threading.Event(), threading.Event()
    chunks = [windows.select(np.arange(i, i + 6)) for i in (0, 6)]

    def slow() -> Iterator[Windows]:
        yield chunks[0]
        started.set()
        assert go_on.wait(20)
        yield chunks[1]

    first = threading.Thread(target=write_flags, args=(models["Pythia"], slow(), tmp_path))
    waiting = threading.Thread(target=write_flags, args=(models["Pythia"], chunks, tmp_path))
    first.start()
    assert started.wait(20)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    go_on.set()
    first.join(20)
    written = (tmp_path / "part-000001.parquet").stat().st_mtime_ns
    waiting.join(20)
    assert not waiting.is_alive()
    assert (tmp_path / "part-000001.parquet").stat().st_mtime_ns == written


def test_refuses_nan_and_a_batch_of_none(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["Pythia"]
    tokens = windows.tokens.clone()
    tokens[tokens == 2047] = 0
    tokens[7, 3] = 2047

    def poison(_module: torch.nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
        return torch.where((args[0] == 2047)[..., None], float("nan"), out)

    handle = model.original_model.get_input_embeddings().register_forward_hook(poison)
    try:
        with pytest.raises(DecodingError, match=r"window 7 .*document-3"):
            list(memorized_flags(model, [replace(windows, tokens=tokens)], batch_size=5))
    finally:
        handle.remove()
    with pytest.raises(WindowError, match="batch_size"):
        list(memorized_flags(model, [windows], batch_size=0))


def test_parts_of_other_text_or_weights_under_the_same_names_are_not_taken_over(
    checkpoints: dict[str, Path], windows: Windows, tmp_path: Path
) -> None:
    model = load_model(checkpoints["Pythia"], device="cpu")
    write_flags(model, [windows], tmp_path)
    with pytest.raises(WindowError, match=r"other windows digest .*choose an empty folder"):
        write_flags(model, [replace(windows, tokens=windows.tokens.flip(1))], tmp_path)
    model.cfg.model_revision = "step1000"
    with pytest.raises(WindowError, match=r"other model revision \(step1000, not none recorded\)"):
        write_flags(model, [windows], tmp_path)
    model.cfg.model_revision = ""
    next(model.original_model.parameters()).data[0, 0] += 1
    with pytest.raises(WindowError, match="other weights"):
        write_flags(model, [windows], tmp_path)
