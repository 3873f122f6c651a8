"""Compressed size of a window's text: how predictable it is by itself.

Bits per token under zlib and lzma (Carlini et al. 2021, arXiv 2012.07805, compare perplexity with zlib in this way).
The size separates "memorized because the text is predictable" from "memorized because it was seen often". Both
compressors run without headers and checksums, which would outweigh 64 tokens. Sizes are in bytes of UTF-8, so the sizes
of 64 tokens come in steps of 8 / 64 bits per token. (Ours.)
"""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from transformers import PreTrainedTokenizerBase

from interp.data.owned import WindowError
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import Windows
from interp.results import Result


@dataclass(frozen=True, repr=False, eq=False)
class TextSize(Result):
    """Compressed size of each window's text, prefix and continuation together."""

    zlib: Float[np.ndarray, " window"]
    """Bits per token under zlib (deflate, level 9)."""
    lzma: Float[np.ndarray, " window"]
    """Bits per token under lzma (preset 9, extreme)."""

    def to_frame(self) -> pd.DataFrame:
        """One row per window: ``zlib``, ``lzma``, bits per token."""
        return pd.DataFrame({"zlib": self.zlib, "lzma": self.lzma})


def deflated_bytes(text: bytes) -> int:
    """Length of the deflate stream, without zlib's header and checksum."""
    compressor = zlib.compressobj(level=9, wbits=-15)
    return len(compressor.compress(text) + compressor.flush())


def lzma_bytes(text: bytes) -> int:
    """Length of the raw LZMA stream."""
    # The preset's dictionary of 64 MiB takes 50 ms to set up. A dictionary as long as the text gives the same stream.
    size = {"dict_size": max(2**12, len(text))}
    filters = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, **size}]
    return len(lzma.compress(text, lzma.FORMAT_RAW, filters=filters))


def text_size(tokenizer: PreTrainedTokenizerBase, windows: Windows) -> TextSize:
    """Compressed size of each window's text, in bits per token.

    Args:
        tokenizer: the tokenizer that made the windows.
        windows: any windows.

    Returns:
        Sizes in the order of the windows. A character cut by a window's edge counts as the replacement character.

    Raises:
        WindowError: the windows have another tokenizer.
    """
    if windows.tokenizer not in (None, tokenizer_fingerprint(tokenizer)):
        raise WindowError(
            f"windows of {windows.source} have token ids of the tokenizer {windows.tokenizer}, not of this one: "
            "it would decode another text"
        )
    texts = [text.encode() for text in tokenizer.batch_decode(windows.tokens)]
    bits = 8 / windows.tokens.shape[1]
    return TextSize(
        zlib=np.array([deflated_bytes(text) for text in texts]) * bits,
        lzma=np.array([lzma_bytes(text) for text in texts]) * bits,
    )
