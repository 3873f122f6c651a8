"""Depth: how many tokens a model reproduces beyond the continuation.

The depth of a memorized window is the number of tokens reproduced exactly beyond its continuation, until the first miss
or the end of the document. A window that is still correct where its text or the model's context ends is censored there.
(Ours.)

Correct generated text is the true text, so one teacher-forced pass over the document finds the first miss. Nothing is
generated.

    >>> result = depth(model, windows, further)
    >>> depth_summary(result.to_frame().assign(model="m"))  # of interp.statistical.survival
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from xxhash import xxh3_128_hexdigest

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import NEAR_TIE, refuse_not_finite
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import along
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.statistical.cascade import exact_runs, texts_at_once

NO_TOKEN = -1
"""Fills ``further`` after the end of a document."""


@dataclass(frozen=True, repr=False, eq=False)
class Depth(Result):
    """How many tokens the model reproduces beyond each window."""

    windows: Windows
    memorized: Bool[np.ndarray, " window"]
    """M = 1. Depth is defined for these windows."""
    depth: Float[np.ndarray, " window"]
    """Correct tokens beyond the continuation, 0 to ``available``. NaN if not memorized."""
    available: Int[np.ndarray, " window"]
    """Number of tokens of the document beyond the continuation that could be tried."""
    near_ties: Int[np.ndarray, " window"]
    """Number of near ties beyond the continuation, up to the first miss. 0 if not memorized."""
    provenance: Provenance

    def found(self) -> str:
        """Number of memorized and of censored windows, for ``repr``."""
        return f"{self.memorized.sum()} memorized, {self.censored.sum()} of them up to the last token tried"

    @property
    def censored(self) -> Bool[np.ndarray, " window"]:
        """Memorized and correct up to the last token that could be tried: the true depth is at least ``depth``."""
        return self.memorized & (self.depth == self.available)

    def to_frame(self) -> pd.DataFrame:
        """One row per window; ``depth`` and ``available`` in tokens."""
        return self.windows.to_frame().assign(
            memorized=self.memorized,
            depth=self.depth,
            available=self.available,
            censored=self.censored,
            near_ties=self.near_ties,
        )


def split_further(
    windows: Windows, *, prefix_len: int, continuation_len: int
) -> tuple[Windows, Int[Tensor, "window further"]]:
    """Shorten windows. Returns the shorter windows and the tokens cut off from each.

    Raises:
        WindowError: no token would be left beyond the continuation.
    """
    length = prefix_len + continuation_len
    if length >= windows.tokens.shape[1]:
        raise WindowError(
            f"{prefix_len} tokens of prefix and {continuation_len} of continuation leave nothing to try beyond them in "
            f"windows of {windows.tokens.shape[1]} tokens"
        )
    return replace(windows, tokens=windows.tokens[:, :length], prefix_len=prefix_len), windows.tokens[:, length:]


@measurement
def depth(
    model: TransformerBridge,
    windows: Windows,
    further: Int[Tensor, "window further"],
    *,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> Depth:
    """Count the tokens that the model reproduces beyond the continuation.

    Args:
        model: a booted model.
        windows: any windows; those that are not memorized get NaN.
        further: the document's tokens after each window; ``NO_TOKEN`` after the end of the document.
        batch_size: windows per forward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Returns:
        Depth of each memorized window, and whether it is censored. Tokens beyond the model's context are not tried.

    Raises:
        WindowError: the model cannot take the windows; the further tokens do not fit the windows or the vocabulary, or
            continue after their end; or the context has no room beyond the continuation.
        DecodingError: NaN or infinite logits, with the window.
    """
    check_windows(model, windows)
    batch_size = texts_at_once(model, windows, batch_size, memory_budget)
    # The last token tried is never an input, so the text may be one token longer than the context.
    room = model.cfg.n_ctx + 1 - windows.tokens.shape[1]
    further = _checked(model, windows, further)[:, :room]
    # The longest text that will be read.
    longest_text = torch.cat([windows.tokens, further.clamp(min=0)], dim=1)[further.ne(NO_TOKEN).sum(dim=1).argmax()]
    decoder = Decoder.of(model, longest_text[None, : model.cfg.n_ctx])
    everything, whole = np.arange(len(windows)), np.full(len(windows), windows.prefix_len)
    runs = exact_runs(model, decoder, windows, row=everything, used=whole, batch_size=batch_size, progress=progress)
    memorized = runs.exact_run == windows.continuation_len
    available = (further != NO_TOKEN).sum(dim=1).numpy()
    depths, near_ties = np.full(len(windows), np.nan), np.zeros(len(windows), dtype=np.int64)

    rows = np.flatnonzero(memorized)
    batches = range(0, len(rows), batch_size)
    for start in along(batches, "depth", progress, total=len(batches), unit="batch"):
        batch = rows[start : start + batch_size]
        longest = int(available[batch].max())
        if longest == 0:
            depths[batch] = 0
            continue
        true = further[batch, :longest]
        text = torch.cat([windows.tokens[batch], true.clamp(min=0)], dim=1)
        hidden = decoder.hidden(text[:, :-1].to(decoder.device))
        choice = decoder.choose(hidden[:, -longest:])
        there = true != NO_TOKEN
        refuse_not_finite(model, windows, batch, choice.finite.cpu() | ~there)
        # A missing token counts as a miss. The depth is the number of tokens before the first miss.
        still_right = (choice.token.cpu() == true).long().cumprod(dim=1)
        depths[batch] = still_right.sum(dim=1).numpy()
        # A near tie at the first miss counts too: it decided the miss.
        decided = torch.cat([torch.ones(len(batch), 1, dtype=torch.long), still_right[:, :-1]], dim=1).bool() & there
        near_ties[batch] = (choice.near_tie.cpu() & decided).sum(dim=1).numpy()
    return Depth(
        windows=windows,
        memorized=memorized,
        depth=depths,
        available=available,
        near_ties=near_ties,
        provenance=Provenance.of(
            "depth",
            model,
            windows,
            further=xxh3_128_hexdigest(further.contiguous().numpy().data),
            batch_size=batch_size,
            near_tie=NEAR_TIE,
            through=decoder.through,
        ),
    )


def _checked(
    model: TransformerBridge, windows: Windows, further: Int[Tensor, "window further"]
) -> Int[Tensor, "window further"]:
    """The further tokens, after a check that they fit the windows."""
    if len(further) != len(windows):
        raise WindowError(f"further tokens were given for {len(further)} windows, but there are {len(windows)}")
    if windows.tokens.shape[1] > model.cfg.n_ctx:
        raise WindowError(
            f"no room beyond windows of {windows.tokens.shape[1]} tokens in a context of {model.cfg.n_ctx}"
        )
    wrong = (further < NO_TOKEN) | (further >= model.cfg.d_vocab)
    after_end = (further[:, :-1] == NO_TOKEN) & (further[:, 1:] != NO_TOKEN)
    for bad, what in ((wrong, "has a token id beyond the vocabulary"), (after_end, "continues after its end")):
        if bad.any():
            row = int(bad.any(dim=1).nonzero()[0])
            raise WindowError(
                f"the text after window {windows.window[row]} of document {windows.document[row]!r} {what}"
            )
    return further.to(torch.int64)
