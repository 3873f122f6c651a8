from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM

from interp.data.windows import WindowError, Windows
from interp.statistical.depth import NO_TOKEN, depth, split_further


def written(path: Path, prefix: torch.Tensor, n: int) -> torch.Tensor:
    """Hugging Face's own greedy text after a prefix, prefix included."""
    hf = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    options = {"do_sample": False, "min_new_tokens": n, "max_new_tokens": n, "eos_token_id": None, "pad_token_id": 0}
    return hf.generate(prefix, attention_mask=torch.ones_like(prefix), **options)


def test_depth_of_texts_that_miss_at_known_places(
    model: TransformerBridge, family: str, checkpoints: dict[str, Path], windows: Windows
) -> None:
    """Prefix 8, continuation 8, up to 12 tokens further, in the model's own words with changes."""
    text = written(checkpoints[family], windows.tokens[:, :8], 20)
    further = text[:, 16:].clone()
    for row, miss in enumerate([0, 1, 5, 11]):
        further[row, miss] = (further[row, miss] + 1) % 2048
    further[4, 6:] = NO_TOKEN  # the document ends
    further[5, :] = NO_TOKEN  # nothing left to try
    further[6, 3] = (further[6, 3] + 1) % 2048
    further[6, 9:] = NO_TOKEN  # misses before it ends
    text[7, 15] = (text[7, 15] + 1) % 2048  # not memorized
    result = depth(model, Windows.from_tokens(text[:, :16], prefix_len=8), further, batch_size=5)
    expected = [0, 1, 5, 11, 6, 0, 3, np.nan, 12, 12, 12, 12]
    np.testing.assert_array_equal(result.depth, expected)
    assert result.censored.tolist() == [False] * 4 + [True, True, False, False] + [True] * 4
    assert result.available.tolist() == [12, 12, 12, 12, 6, 0, 9, 12, 12, 12, 12, 12]


def test_what_lies_beyond_the_context_is_not_tried(
    models: dict[str, TransformerBridge], checkpoints: dict[str, Path], windows: Windows
) -> None:
    """Sixty of 64 places are taken: the model predicts 5 tokens more, the last from its 64th input."""
    text = written(checkpoints["Pythia"], windows.tokens[:, :32], 28)
    result = depth(models["Pythia"], Windows.from_tokens(text), torch.zeros(12, 40, dtype=torch.long))
    assert result.available.tolist() == [5] * 12


def test_refuses_further_tokens_that_are_not_the_windows(
    models: dict[str, TransformerBridge], windows: Windows
) -> None:
    short = Windows.from_tokens(windows.tokens[:, :32], prefix_len=16)
    further = windows.tokens[:, 32:].clone()
    with pytest.raises(WindowError, match="given for 3 windows, but there are 12"):
        depth(models["Pythia"], short, further[:3])
    further[2, 4] = 2048
    with pytest.raises(WindowError, match="window 2 .* beyond the vocabulary"):
        depth(models["Pythia"], short, further)
    further[2, 4] = NO_TOKEN
    with pytest.raises(WindowError, match="window 2 .* continues after its end"):
        depth(models["Pythia"], short, further)


def test_windows_are_split_into_shorter_ones_and_what_follows(windows: Windows) -> None:
    short, further = split_further(windows, prefix_len=10, continuation_len=20)
    assert (short.prefix_len, short.continuation_len, further.shape[1]) == (10, 20, 34)
    assert torch.equal(torch.cat([short.tokens, further], dim=1), windows.tokens)
    assert short.document.tolist() == windows.document.tolist()
    with pytest.raises(WindowError, match="leave nothing to try"):
        split_further(windows, prefix_len=32, continuation_len=32)
