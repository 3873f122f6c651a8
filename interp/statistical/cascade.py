"""Exact runs under teacher forcing, with each text dropped at its first miss.

M = 1 if and only if every true token is the argmax given the true tokens before it, so deciding it needs no generation.
Texts are read in stages. A text that has missed is dropped, and the others are joined with those of other batches, so
that batches stay full. The flags of large runs and the search for the shortest prefix use this. (Ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.decoding import Decoder
from interp.engine.greedy import first_misses
from interp.engine.key_values import KeyValues
from interp.engine.readout import refuse_not_finite
from interp.progress import bar
from interp.sizes import Size

STAGES = (1, 4, 16)
"""Numbers of continuation tokens after which texts with a miss are dropped."""


@dataclass(frozen=True, repr=False, eq=False)
class Runs(Brief):
    """How far the model reproduces each text."""

    exact_run: Int[np.ndarray, " text"]
    """Correct tokens before the first miss, 0 to n."""
    near_ties: Int[np.ndarray, " text"]
    """Number of near ties, up to the end of the stage of the first miss."""


@dataclass(frozen=True, repr=False, eq=False)
class _Waiting(Brief):
    """Texts without a miss so far, with the keys and values of their tokens so far."""

    texts: Int[np.ndarray, " text"]
    store: KeyValues


def texts_at_once(model: TransformerBridge, windows: Windows, batch_size: int, memory_budget: Size | None) -> int:
    """Texts per pass: the batch size, or fewer if the budget requires it.

    Raises:
        WindowError: the batch size is below 1.
        SizeError: the budget is not a size.
    """
    # Before each stage, less than one batch of texts waits with its keys and values. They are then joined to a batch.
    stores = 2 * (1 + len(STAGES))
    return rows_at_once(model, windows.tokens.shape[1], batch_size, memory_budget, stores=stores)


@torch.no_grad()
def exact_runs(
    model: TransformerBridge,
    decoder: Decoder,
    windows: Windows,
    *,
    row: Int[np.ndarray, " text"],
    used: Int[np.ndarray, " text"],
    batch_size: int,
    progress: bool = False,
    what: str = "exact runs",
) -> Runs:
    """Exact runs of texts. A text is the last ``used`` prefix tokens of a window and its continuation.

    Args:
        model: the model, for messages.
        decoder: the model's decoder.
        windows: where the texts come from.
        row: position of each text's window.
        used: prefix tokens of each text, 1 to ``windows.prefix_len``. It is fastest if texts of similar length are
            adjacent.
        batch_size: texts per forward pass. Joined batches hold less than twice as many.
        progress: show a bar of the finished texts.
        what: label of the bar.

    Raises:
        DecodingError: NaN or infinite logits, with the window.
    """
    n, prefix_len = windows.continuation_len, windows.prefix_len
    stages = [stage for stage in STAGES if stage < n] + [n]
    waiting: list[list[_Waiting]] = [[] for _ in stages]
    run = np.zeros(len(row), dtype=np.int64)
    near_ties = np.zeros(len(row), dtype=np.int64)

    def advance(stage: int, parts: list[_Waiting]) -> None:
        """Read up to the end of a stage. Texts without a miss wait for the next stage."""
        waiting[stage] = []
        texts = np.concatenate([part.texts for part in parts])
        read, upto = stages[stage - 1] if stage else 0, stages[stage]
        lengths = torch.from_numpy(used[texts])
        at = torch.from_numpy(row[texts])[:, None]
        longest = int(lengths.max()) + upto - 1
        if stage == 0:
            # All texts are read as far as the longest needs. Positions read too early are overwritten later.
            places = prefix_len - lengths[:, None] + torch.arange(longest)
            tokens = windows.tokens[at, places.clamp(max=windows.tokens.shape[1] - 1)]
            store, start = KeyValues(len(texts), longest), torch.zeros_like(lengths)
            wanted = lengths[:, None] - 1 + torch.arange(upto)
        else:
            tokens = windows.tokens[at, prefix_len + torch.arange(read - 1, upto - 1)]
            store, start = KeyValues.join([part.store for part in parts], longest), lengths + read - 1
            wanted = torch.arange(upto - read).expand(len(texts), -1)
        one_start = int(start[0]) if bool((start == start[0]).all()) else start.to(decoder.device)
        hidden = decoder.hidden_after(tokens.to(decoder.device), store, start=one_start, end=longest)
        index = wanted.to(decoder.device)[..., None].expand(-1, -1, hidden.shape[-1])
        choice = decoder.choose(hidden.gather(1, index))
        refuse_not_finite(model, windows, row[texts], choice.finite)
        truth = windows.tokens[at, prefix_len + torch.arange(read, upto)]
        miss = first_misses(choice.token.cpu() == truth).numpy()
        run[texts] = read + miss
        near_ties[texts] += choice.near_tie.sum(dim=1).cpu().numpy()
        right = np.flatnonzero(miss == upto - read)
        goes_on = stage + 1 < len(stages)
        decided(len(texts) - len(right) if goes_on else len(texts))
        if goes_on and len(right):
            kept = store.select(torch.from_numpy(right).to(decoder.device)) if len(right) < len(texts) else store
            waiting[stage + 1].append(_Waiting(texts[right], kept))

    with bar(len(row), what, progress, unit="text") as decided:
        for first in range(0, len(row), batch_size):
            advance(0, [_Waiting(np.arange(first, min(first + batch_size, len(row))), KeyValues(0, 0))])
            for stage in range(1, len(stages)):
                if sum(len(part.texts) for part in waiting[stage]) >= batch_size:
                    advance(stage, waiting[stage])
        for stage in range(1, len(stages)):
            if waiting[stage]:
                advance(stage, waiting[stage])
    return Runs(run, near_ties)
