from __future__ import annotations

import lzma
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.results import Provenance
from interp.statistical.compression import Compression, compress, compression_summary, ratio_distribution
from interp.statistical.extraction import extract
from interp.statistical.text_size import deflated_bytes, lzma_bytes, text_size
from interp.stats.estimates import wilson


def recited(model: TransformerBridge, windows: Windows, *, k: int, n: int) -> Windows:
    """Windows of which the model writes all but every third, from the last k prefix tokens."""
    start = Windows.from_tokens(windows.tokens[:, : k + n], prefix_len=k)
    tokens = torch.cat([start.prefix, torch.from_numpy(extract(model, start).generated)], dim=1)
    tokens[::3, -1] = (tokens[::3, -1] + 1) % 2048
    return replace(start, tokens=tokens)


@pytest.mark.parametrize("batch_size", [3, 256])
def test_every_length_is_what_extraction_finds(model: TransformerBridge, windows: Windows, batch_size: int) -> None:
    """Short texts, so that random models, too, recite some of them from less than the whole prefix."""
    made = recited(model, windows, k=8, n=3)
    result = compress(model, made, batch_size=batch_size)
    assert result.memorized.tolist() == [i % 3 != 0 for i in range(12)]
    for length in range(1, 9):
        shorter = Windows.from_tokens(made.tokens[:, 8 - length :], prefix_len=length)
        expected = extract(model, shorter).memorized & result.memorized
        np.testing.assert_array_equal(result.works[:, length - 1], expected)


def test_texts_that_depend_on_one_token_compress_to_it(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """With attention cut off, the next token depends on the last one alone: one prefix token is enough."""
    model = models["OpenLLaMA"]
    cut = [(f"blocks.{layer}.attn.hook_z", lambda z, hook: torch.zeros_like(z)) for layer in range(4)]
    with model.hooks(fwd_hooks=cut):
        made = recited(model, windows, k=32, n=32)
        result = compress(model, made)
    assert result.smallest[result.memorized].tolist() == [1.0] * 8
    assert result.every_longer[result.memorized].tolist() == [1.0] * 8
    assert result.ratio[1] == 1 / 32
    assert np.isnan(result.ratio[::3]).all()


def by_hand(works: list[list[bool]]) -> Compression:
    n = len(works)
    windows = Windows.from_tokens(torch.zeros(n, 6, dtype=torch.long), prefix_len=4, domain=["code"] * n)
    return Compression(
        windows=windows,
        works=np.array(works),
        near_ties=np.zeros(n, dtype=np.int64),
        provenance=Provenance("compress", "by-hand", "by hand", n, {}, "float32", "cpu"),
    )


WORKS = [
    [False, False, False, True],  # only the whole prefix: 4 and 4
    [True, True, True, True],  # 1 and 1
    [False, True, False, True],  # 2 works, 3 does not: 2 and 4
    [True, False, True, True],  # 1 and 3
    [False, False, False, False],  # not memorized
]


def test_both_lengths_by_hand() -> None:
    result = by_hand(WORKS)
    np.testing.assert_array_equal(result.smallest, [4, 1, 2, 1, np.nan])
    np.testing.assert_array_equal(result.every_longer, [4, 1, 4, 3, np.nan])
    np.testing.assert_array_equal(result.ratio, [1, 0.25, 0.5, 0.25, np.nan])
    np.testing.assert_array_equal(result.to_frame()["ratio_every_longer"], [1, 0.25, 1, 0.75, np.nan])


def test_summary_by_hand() -> None:
    summary = compression_summary(by_hand(WORKS).to_frame().assign(model="m")).set_index("quantity")
    assert summary.loc["ratio", "value"] == pytest.approx((1 + 0.25 + 0.5 + 0.25) / 4)
    assert summary.loc["ratio_every_longer", "value"] == pytest.approx((1 + 0.25 + 1 + 0.75) / 4)
    assert summary.loc["within_limit", "value"] == 0.75
    assert summary.loc["not_monotone", "value"] == 0.5
    assert (summary["n"] == 4).all()
    # Two documents give no interval: of a mean nothing is known, of a share that it is one.
    assert summary.loc[["ratio", "ratio_every_longer"], ["low", "high"]].isna().all(axis=None)
    assert (summary.loc[["within_limit", "not_monotone"], ["low", "high"]] == [0, 1]).all(axis=None)


def test_summary_clusters_by_document() -> None:
    """Ten windows of each of six documents weigh less than sixty documents: the interval is wider."""
    ratio = np.repeat([0.1, 0.2, 0.3, 0.5, 0.7, 0.9], 10)
    frame = pd.DataFrame({"model": "m", "domain": "code", "ratio": ratio, "ratio_every_longer": 1.0})
    alone = compression_summary(frame.assign(document=[f"d{i}" for i in range(60)]))
    together = compression_summary(frame.assign(document=np.repeat(list("abcdef"), 10)))
    width = [(s["high"] - s["low"]).iloc[0] for s in (alone, together)]
    assert width[1] > 2 * width[0]


def test_nothing_memorized(models: dict[str, TransformerBridge], windows: Windows) -> None:
    result = compress(models["OLMo1"], windows)
    assert np.isnan(result.smallest).all()
    assert compression_summary(result.to_frame().assign(model="m")).empty


def test_ratio_distribution_is_the_share_at_or_below() -> None:
    once = pd.DataFrame({"model": "m", "ratio": [0.5, 0.25, np.nan, 1.0, 0.5], "document": ["a", "a", "b", "c", "d"]})
    table = pd.concat([once.assign(document=once["document"] + copy) for copy in "123"])
    shares = ratio_distribution(table, by=("model",))
    assert shares["ratio"].tolist() == [0, 0.25, 0.5, 1]
    assert shares["value"].tolist() == [0, 1 / 4, 3 / 4, 1]
    assert set(shares["n"]) == {12}
    assert set(shares["n_documents"]) == {9}
    # At 0 and 1 the share is the same in every document: these are the units.
    assert shares[["low", "high"]].iloc[0].tolist() == [0, wilson(0, 9).high]
    assert shares[["low", "high"]].iloc[3].tolist() == [wilson(9, 9).low, 1]
    assert 0 < shares["low"].iloc[1] < 1 / 4 < shares["high"].iloc[1] < 1


def test_refuses_a_batch_of_none(models: dict[str, TransformerBridge], windows: Windows) -> None:
    with pytest.raises(WindowError, match="batch_size"):
        compress(models["OLMo1"], windows, batch_size=0)


def test_text_size_of_text_made_by_hand(models: dict[str, TransformerBridge]) -> None:
    """Stored text costs 5 bytes more than itself; repeated text costs almost nothing more than once."""
    random = np.random.default_rng(0).integers(0, 256, 300, dtype=np.uint8).tobytes()
    assert deflated_bytes(random) == 305
    assert deflated_bytes(b"") == 2
    assert deflated_bytes(random * 2) < 330

    tokenizer = models["OLMo1"].tokenizer
    varied = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:64] + 40
    windows = Windows.from_tokens(torch.stack([torch.full((64,), 300), varied]))
    size = text_size(tokenizer, windows)
    assert size.zlib[0] == deflated_bytes(tokenizer.decode([300] * 64).encode()) * 8 / 64
    assert size.zlib[0] < 3
    assert size.zlib[1] > 15
    # The small dictionary compresses as the preset's own does.
    preset = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME}]
    for text in (b"", b"a" * 5000, random * 20, tokenizer.decode(varied).encode()):
        assert lzma_bytes(text) == len(lzma.compress(text, lzma.FORMAT_RAW, filters=preset))
    assert size.lzma[0] < 4
    assert size.lzma[1] > 15
