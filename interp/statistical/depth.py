"""Depth: how far recitation goes on past the continuation.

Tokens of the document reproduced exactly beyond a memorized window's continuation, until the first miss or the end of
the document; a window still right where its text or the model's context ends is censored there. (Ours.)

While the text is right it is the true text, so one teacher-forced pass over the document's own tokens finds the first
miss; nothing has to be written.

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

from interp.brief import Brief
from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import NEAR_TIE, refuse_not_finite
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import along
from interp.results import Provenance
from interp.sizes import Size
from interp.statistical.cascade import exact_runs, texts_at_once

NO_TOKEN = -1
"""Fills ``further`` where a document has ended."""


@dataclass(frozen=True, repr=False, eq=False)
class Depth(Brief):
    """How far each window is recited beyond its continuation."""

    windows: Windows
    memorized: Bool[np.ndarray, " window"]
    """M = 1; depth is defined for these."""
    depth: Float[np.ndarray, " window"]
    """Right tokens beyond the continuation, 0 to ``available``; NaN where not memorized."""
    available: Int[np.ndarray, " window"]
    """Tokens of the document beyond the continuation that could be tried."""
    near_ties: Int[np.ndarray, " window"]
    """Near ties among the choices beyond the continuation, up to the first miss; 0 where not memorized."""
    provenance: Provenance

    def found(self) -> str:
        """Windows memorized and how many are censored, for ``repr``."""
        return f"{self.memorized.sum()} memorized, {self.censored.sum()} of them to the last token tried"

    @property
    def censored(self) -> Bool[np.ndarray, " window"]:
        """Memorized and right to the last token that could be tried: the depth is at least this."""
        return self.memorized & (self.depth == self.available)

    def to_frame(self) -> pd.DataFrame:
        """One row a window; ``depth`` and ``available`` in tokens."""
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
    """Shorter windows, and the tokens that follow each of them in the window that it was cut from.

    Raises:
        WindowError: nothing would be left beyond the continuation.
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
    """Measure how far recitation goes past the continuation.

    Args:
        model: a booted model.
        windows: any windows; those that are not memorized get NaN.
        further: the document's tokens after each window, ``NO_TOKEN`` from where the document has ended.
        batch_size: windows in a forward pass.
        memory_budget: bytes of activations to hold at a time, roughly, or a text such as ``"2GiB"``. Batches are made
            smaller where they must be. Changes no value beyond rounding.
        progress: show a bar with the time left.

    Returns:
        Depth of each memorized window, and whether it is censored. What lies beyond the model's context is not tried.

    Raises:
        WindowError: windows that the model cannot take, further tokens that do not fit the windows or the vocabulary or
            go on after their end, or a context that has no room beyond the continuation.
        DecodingError: NaN or infinite logits, with the window.
    """
    check_windows(model, windows)
    batch_size = texts_at_once(model, windows, batch_size, memory_budget)
    # The last token tried is never an input, so the text may be one token longer than the context.
    room = model.cfg.n_ctx + 1 - windows.tokens.shape[1]
    further = _checked(model, windows, further)[:, :room]
    # The longest text that is read, at its whole length.
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
        # A token that is not there counts as a miss; what precedes the first one is the depth.
        still_right = (choice.token.cpu() == true).long().cumprod(dim=1)
        depths[batch] = still_right.sum(dim=1).numpy()
        # The choice at the first miss counts too: it decided that it was one.
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
    """Further tokens, refused where they cannot be the windows'."""
    if len(further) != len(windows):
        raise WindowError(f"further tokens of {len(further)} windows were given for {len(windows)}")
    if windows.tokens.shape[1] > model.cfg.n_ctx:
        raise WindowError(
            f"no room beyond windows of {windows.tokens.shape[1]} tokens in a context of {model.cfg.n_ctx}"
        )
    wrong = (further < NO_TOKEN) | (further >= model.cfg.d_vocab)
    after_end = (further[:, :-1] == NO_TOKEN) & (further[:, 1:] != NO_TOKEN)
    for bad, what in ((wrong, "has a token id beyond the vocabulary"), (after_end, "goes on after its end")):
        if bad.any():
            row = int(bad.any(dim=1).nonzero()[0])
            raise WindowError(
                f"the text after window {windows.window[row]} of document {windows.document[row]!r} {what}"
            )
    return further.to(torch.int64)
