"""Extraction: what a model generates after a window's prefix, and how much of it is the true continuation.

Score M = (1/n) * sum_i [generated_i == true_i] over the n continuation tokens, by greedy decoding; memorized means
M = 1 (arXiv 2603.21658, the statistical level). The exact run and the log-probability are ours.

One teacher-forced pass over a window's true text decides most of this. Up to and including the first miss, the greedy
token is the argmax of that pass, which also gives the log-probability of the truth. Only the tokens after a first miss
are decoded one by one, from the keys and values of the same pass. Without log-probabilities, the pass is made only if
most windows begin correctly. Otherwise every window is decoded from its prefix.

    >>> result = extract(model, windows)
    >>> result.memorized.mean(), result.to_frame()
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.decoding import Decoder
from interp.engine.greedy import first_misses, run_on
from interp.engine.key_values import KeyValues
from interp.engine.readout import NEAR_TIE, Choice, refuse_not_finite
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.estimates import clustered_rate
from interp.wording import percent

MOSTLY_RIGHT = 0.5
"""Smallest share of a batch that must begin correctly for these windows to be read in one pass."""


@dataclass(frozen=True, repr=False, eq=False)
class Extraction(Result):
    """The generated text of each window, compared with the truth."""

    windows: Windows
    generated: Int[np.ndarray, "window continuation"]
    """Greedy tokens."""
    score: Float[np.ndarray, " window"]
    """M, 0 to 1."""
    memorized: Bool[np.ndarray, " window"]
    """M = 1."""
    exact_run: Int[np.ndarray, " window"]
    """Correct tokens before the first miss, 0 to n."""
    log_prob: Float[np.ndarray, "window continuation"]
    """Log-probability of each true continuation token given the true tokens before it, nats, at most 0. NaN if not
    requested."""
    near_ties: Int[np.ndarray, " window"]
    """Number of greedy choices whose top two logits are closer than ``NEAR_TIE`` (1e-4). After a near tie, another
    batch shape or device may give another text."""
    provenance: Provenance

    def found(self) -> str:
        """The share memorized, for ``repr``."""
        return f"memorized {percent(clustered_rate(self.memorized, clusters=self.windows.document, seed=0))}"

    @property
    def n_near_ties(self) -> int:
        """Number of near ties in all windows."""
        return int(self.near_ties.sum())

    def to_frame(self) -> pd.DataFrame:
        """One row per window. ``log_prob`` is the mean over the continuation, in nats per token."""
        return self.windows.to_frame().assign(
            score=self.score,
            memorized=self.memorized,
            exact_run=self.exact_run,
            log_prob=self.log_prob.mean(axis=1),
            near_ties=self.near_ties,
        )


@measurement
def extract(
    model: TransformerBridge,
    windows: Windows,
    *,
    prefix_len: int | None = None,
    log_prob: bool = True,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> Extraction:
    """Decode greedily after each prefix and compare with the true continuation.

    In float32 the tokens equal those of Hugging Face ``generate(do_sample=False, eos_token_id=None)`` for any batch
    size, except after a near tie. Near ties are counted. End-of-text does not stop the generation.

    Args:
        model: a booted model.
        windows: the windows to extract.
        prefix_len: tokens of each window given to the model, from 1 to all but one. Default: ``windows.prefix_len``.
        log_prob: whether to measure the log-probability of the true continuation. False is faster: fewer windows are
            read under teacher forcing.
        batch_size: windows per forward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Returns:
        Tokens, scores and log-probabilities of each window, in the order of the windows.

    Raises:
        WindowError: the model cannot take the windows, the prefix length is outside the window, or the batch size is
            below 1.
        SizeError: the memory budget is not a size.
        DecodingError: the logits are NaN or infinite (names the window), or the model (or a hook on it) gives other
            values when a text is read position by position.
        StateError: see ``interp.models.measuring``.
    """
    check_windows(model, windows)
    if prefix_len is not None:
        windows = replace(windows, prefix_len=prefix_len)
    # Windows that are decoded further are copied out of the common store, so two stores exist.
    batch_size = rows_at_once(model, windows.tokens.shape[1], batch_size, memory_budget, stores=2)
    decoder = Decoder.of(model, windows.tokens[:1])
    written = []
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), "extraction", progress):
        choice = _write(decoder, tokens.to(decoder.device), windows.prefix_len, log_prob=log_prob)
        refuse_not_finite(model, windows, np.arange(len(windows))[where], choice.finite)
        written.append(choice)

    generated = torch.cat([choice.token for choice in written]).cpu()
    right = generated == windows.continuation
    log_probs = [choice.log_prob.double() for choice in written if choice.log_prob is not None]
    return Extraction(
        windows=windows,
        generated=generated.numpy(),
        score=right.double().mean(dim=1).numpy(),
        memorized=right.all(dim=1).numpy(),
        exact_run=first_misses(right).numpy(),
        log_prob=torch.cat(log_probs).cpu().numpy() if log_prob else np.full(right.shape, np.nan),
        near_ties=torch.cat([choice.near_tie.sum(dim=1) for choice in written]).cpu().numpy(),
        provenance=Provenance.of(
            "extract",
            model,
            windows,
            batch_size=batch_size,
            log_prob=log_prob,
            near_tie=NEAR_TIE,
            through=decoder.through,
        ),
    )


def _write(decoder: Decoder, tokens: Int[Tensor, "batch pos"], prefix_len: int, *, log_prob: bool) -> Choice:
    """Greedy continuation of a batch, and the log-probability of the truth if wanted."""
    n_rows, n = len(tokens), tokens.shape[1] - prefix_len
    token = torch.zeros((n_rows, n), dtype=torch.long, device=tokens.device)
    near_tie = torch.zeros_like(token, dtype=torch.bool)
    finite = torch.ones_like(near_tie)
    # The last token of a window is never an input.
    store = KeyValues(n_rows, tokens.shape[1] - 1)

    def read(start: int, end: int, rows: slice | Int[Tensor, " row"]) -> Choice:
        """Choices of ``rows`` after the true tokens at ``start`` ... ``end - 1``."""
        hidden = decoder.hidden_after(tokens[rows, start:end], store, start=start, end=end, rows=rows)
        # A position chooses the next token.
        asked = slice(max(start + 1, prefix_len), end + 1)
        part = decoder.choose(hidden[:, asked.start - asked.stop :], tokens[rows, asked] if log_prob else None)
        into = slice(asked.start - prefix_len, asked.stop - prefix_len)
        token[rows, into], near_tie[rows, into], finite[rows, into] = part.token, part.near_tie, part.finite
        return part

    if log_prob:
        first = read(0, prefix_len + n - 1, slice(0, n_rows))
        run = first_misses(token == tokens[:, prefix_len:])
    else:
        first = read(0, prefix_len, slice(0, n_rows))
        run = torch.zeros(n_rows, dtype=torch.long, device=tokens.device)
        right = (token[:, 0] == tokens[:, prefix_len]).nonzero().flatten()
        # One pass over the truth saves all steps of a memorized window, and none of a window that soon misses. So it is
        # faster only if most windows are memorized. Otherwise every window is decoded step by step.
        if n > 1 and len(right) >= MOSTLY_RIGHT * n_rows:
            read(prefix_len, prefix_len + n - 1, right)
            run[right] = first_misses(token[right] == tokens[right, prefix_len:])
    # Then position by position, each window from its own first miss. Active rows always come first.
    order = torch.argsort(run, stable=True)
    order = order[run[order] < n - 1]
    if len(order) < n_rows or bool((order[1:] < order[:-1]).any()):
        store = store.select(order)

    def step(i: int, written: Int[Tensor, "row 1"]) -> Int[Tensor, " row"]:
        writing, position = order[: len(written)], prefix_len + i
        rows = slice(0, len(written))
        part = decoder.choose(decoder.hidden_after(written, store, start=position, end=position + 1, rows=rows))
        near_tie[writing, i + 1], finite[writing, i + 1] = part.near_tie[:, 0], part.finite[:, 0]
        return part.token[:, 0]

    token[order] = run_on(token[order], run[order], step=step)
    return Choice(token, near_tie, finite, first.log_prob)
