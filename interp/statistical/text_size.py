"""Compressed size of a window's own text: how predictable it is without having been seen.

Bits a token under zlib and lzma (Carlini et al. 2021, arXiv 2012.07805, compare perplexity with zlib in this way). It
tells "recited because the text is predictable" from "recited because it was seen often". Both compressors run without
headers and checksums, which would outweigh 64 tokens. Sizes are in bytes of UTF-8, so short texts differ in steps of
8 / 64 bits a token. (Ours.)
"""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from transformers import PreTrainedTokenizerBase

from interp.brief import Brief
from interp.data.owned import WindowError
from interp.data.tokenizers import tokenizer_fingerprint
from interp.data.windows import Windows


@dataclass(frozen=True, repr=False, eq=False)
class TextSize(Brief):
    """Compressed size of each window's text, prefix and continuation together."""

    zlib: Float[np.ndarray, " window"]
    """Bits a token under zlib (deflate, level 9)."""
    lzma: Float[np.ndarray, " window"]
    """Bits a token under lzma (preset 9, extreme)."""


def deflated_bytes(text: bytes) -> int:
    """Length of the deflate stream, without zlib's header and checksum."""
    compressor = zlib.compressobj(level=9, wbits=-15)
    return len(compressor.compress(text) + compressor.flush())


def lzma_bytes(text: bytes) -> int:
    """Length of the raw LZMA stream."""
    # The preset's dictionary is 64 MiB, which takes 50 ms to set up. One as long as the text gives the same stream.
    size = {"dict_size": max(2**12, len(text))}
    filters = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, **size}]
    return len(lzma.compress(text, lzma.FORMAT_RAW, filters=filters))


def text_size(tokenizer: PreTrainedTokenizerBase, windows: Windows) -> TextSize:
    """Bits a token of each window's own text.

    Args:
        tokenizer: the one that made the windows.
        windows: any windows.

    Returns:
        Sizes in the windows' order. A character cut by a window's edge is read as the replacement character.

    Raises:
        WindowError: windows of another tokenizer.
    """
    if windows.tokenizer not in (None, tokenizer_fingerprint(tokenizer)):
        raise WindowError(
            f"windows of {windows.source} are token ids of the tokenizer {windows.tokenizer}, not of this one: "
            "its text would not be theirs"
        )
    texts = [text.encode() for text in tokenizer.batch_decode(windows.tokens)]
    bits = 8 / windows.tokens.shape[1]
    return TextSize(
        zlib=np.array([deflated_bytes(text) for text in texts]) * bits,
        lzma=np.array([lzma_bytes(text) for text in texts]) * bits,
    )
