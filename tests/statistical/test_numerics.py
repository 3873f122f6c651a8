from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.statistical.extraction import extract
from interp.statistical.numerics import compare, numerics


def test_comparison_by_hand(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """Of 12 windows the reference flags 0, 1 and 2; the other 0, 3 and 4: two lost, two gained, four flipped."""
    base = extract(models["Pythia"], windows)
    flags = [np.isin(np.arange(12), flagged) for flagged in ([0, 1, 2], [0, 3, 4])]
    text = base.generated.copy()
    text[[1, 2, 3, 4, 7], 31] += 1
    other_log_prob = base.log_prob.copy()
    other_log_prob[5, 5] -= 0.25
    ties = np.array([0, 2, 0, 1] + [0] * 8)
    reference = replace(base, memorized=flags[0])
    other = replace(base, memorized=flags[1], generated=text, log_prob=other_log_prob, near_ties=ties)
    setting = compare(reference, other, dtype="bfloat16", batch_size=3)
    assert (setting.lost, setting.gained) == (2, 2)
    assert setting.flip_rate.value == pytest.approx(4 / 12)
    assert setting.other_text.value == pytest.approx(5 / 12)
    assert setting.near_ties.value == pytest.approx(2 / 12)
    assert setting.largest_log_prob_change == pytest.approx(0.25)
    assert setting.flip_rate.n_documents == 6
    assert setting.flip_rate.low < 4 / 12 < setting.flip_rate.high
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(reference, extract(models["Pythia"], windows.select(np.arange(3))), dtype="float32", batch_size=3)


def test_float32_agrees_over_batch_sizes_and_bfloat16_does_not_quite(
    checkpoints: dict[str, Path], windows: Windows
) -> None:
    few = windows.select(np.arange(6))
    result = numerics(checkpoints["OpenLLaMA"], few, dtypes=("float32", "bfloat16"), batch_sizes=(6, 4), device="cpu")
    single, half, half_again = result.settings
    assert (single.dtype, half.dtype, half_again.batch_size) == ("float32", "bfloat16", 4)
    assert single.flip_rate.value == 0
    assert single.other_text.value == 0
    assert single.largest_log_prob_change < 1e-3 < half.largest_log_prob_change
    assert len(result.to_frame()) == 3 * 3  # settings, shares


def test_refuses_an_unknown_format(windows: Windows) -> None:
    with pytest.raises(ValueError, match="float8"):
        numerics("pythia-small-0.2m", windows, dtypes=("float8",))
    with pytest.raises(ValueError, match="batch size"):
        numerics("pythia-small-0.2m", windows, batch_sizes=())
