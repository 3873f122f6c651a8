"""Extraction: what a model writes after a window's prefix, and how much of it is the true continuation.

Score M = (1/n) * sum_i [generated_i == true_i] over the n continuation tokens, by greedy decoding; memorized means
M = 1 (arXiv 2603.21658, the statistical level). The exact run and the log-probability are ours.

One pass over the whole window decides most of it: up to and including the first miss, the greedy token is the argmax
under teacher forcing, and the same pass gives the log-probability of the truth. Only what follows a first miss is
decoded token by token.

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
from interp.models.decoding import NEAR_TIE, Choice, DecodingError, choose, forced_logits, greedy_decode
from interp.results import Provenance


@dataclass(frozen=True)
class Extraction:
    """What was generated for each window, and how it compares with the truth."""

    windows: Windows
    generated: Int[np.ndarray, "window continuation"]
    """Greedy tokens."""
    score: Float[np.ndarray, " window"]
    """M, 0 to 1."""
    memorized: Bool[np.ndarray, " window"]
    """M = 1."""
    exact_run: Int[np.ndarray, " window"]
    """Right tokens before the first miss, 0 to n."""
    log_prob: Float[np.ndarray, "window continuation"]
    """Log-probability of each true continuation token given the true tokens before it, nats, at most 0."""
    near_ties: Int[np.ndarray, " window"]
    """Greedy choices of the window whose top two logits are closer than ``NEAR_TIE`` (1e-4). Where there is one,
    another batch shape or device may write another text."""
    provenance: Provenance

    @property
    def n_near_ties(self) -> int:
        """Near ties in all windows together."""
        return int(self.near_ties.sum())

    def to_frame(self) -> pd.DataFrame:
        """One row a window; ``log_prob`` is the mean over its continuation, nats a token."""
        return self.windows.to_frame().assign(
            score=self.score,
            memorized=self.memorized,
            exact_run=self.exact_run,
            log_prob=self.log_prob.mean(axis=1),
            near_ties=self.near_ties,
        )


def refuse_not_finite(model: TransformerBridge, windows: Windows, finite: Bool[Tensor, "batch chosen"]) -> None:
    """Raise where a choice was made on NaN or infinite logits, naming the first such window."""
    bad = ~finite.all(dim=1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise DecodingError(
            f"{model.cfg.model_name} gives NaN or infinite logits on window {windows.window[row]} (document "
            f"{windows.document[row]!r}) and on {int(bad.sum()) - 1} others of its batch. The model runs in "
            f"{model.cfg.dtype}: load it in float32, or check its weights."
        )


def first_miss(right: Bool[np.ndarray, "window continuation"]) -> Int[np.ndarray, " window"]:
    """Position of the first wrong token; the number of tokens where none is."""
    return np.where(right.all(axis=1), right.shape[1], right.argmin(axis=1)).astype(np.int64)


def extract(
    model: TransformerBridge, windows: Windows, *, prefix_len: int | None = None, batch_size: int = 64
) -> Extraction:
    """Decode greedily after each prefix and score against the true continuation.

    In float32 the tokens are those of Hugging Face ``generate(do_sample=False, eos_token_id=None)`` for any batch size,
    except after a near tie, which is counted. End-of-text is a token like any other: it does not stop a window. Hooks
    that the caller has attached act on every pass; the passes of free decoding see one position at a time.

    Args:
        model: a booted model.
        windows: what to extract.
        prefix_len: tokens of each window that are given, from 1 to all but one; ``windows.prefix_len`` unless set.
        batch_size: windows in a forward pass.

    Returns:
        Tokens, scores and log-probabilities of each window, in the windows' order.

    Raises:
        WindowError: windows that the model cannot take, a prefix length outside the window, a batch size below 1.
        DecodingError: NaN or infinite logits, with the window.
    """
    windows.check_fits(n_ctx=model.cfg.n_ctx, d_vocab=model.cfg.d_vocab, model_name=model.cfg.model_name)
    if prefix_len is not None:
        windows = replace(windows, prefix_len=prefix_len)
    n = windows.continuation_len
    generated = np.empty((len(windows), n), dtype=np.int64)
    near_tie = np.zeros((len(windows), n), dtype=bool)
    log_prob = np.empty((len(windows), n), dtype=np.float64)
    for where, tokens in windows.batches(batch_size):
        logits = forced_logits(model, tokens, n_last=n)
        forced = choose(logits)
        refuse_not_finite(model, windows.select(np.arange(len(windows))[where]), forced.finite.cpu())
        log_prob[where] = _log_prob(logits, tokens[:, -n:].to(logits.device)).double().cpu().numpy()
        generated[where], near_tie[where] = forced.token.cpu().numpy(), forced.near_tie.cpu().numpy()

    truth = windows.continuation.numpy()
    run = first_miss(generated == truth)
    # Windows that miss first at the same place continue together, so no batch needs padding.
    for miss in range(n - 1):
        waiting = np.flatnonzero(run == miss)
        for start in range(0, len(waiting), batch_size):
            rows = waiting[start : start + batch_size]
            free = _after_miss(model, windows, rows, miss, generated)
            refuse_not_finite(model, windows.select(rows), free.finite)
            generated[rows, miss + 1 :], near_tie[rows, miss + 1 :] = free.token.numpy(), free.near_tie.numpy()

    right = generated == truth
    return Extraction(
        windows=windows,
        generated=generated,
        score=right.mean(axis=1),
        memorized=right.all(axis=1),
        exact_run=run,
        log_prob=log_prob,
        near_ties=near_tie.sum(axis=1),
        provenance=Provenance.of("extract", model, windows, batch_size=batch_size, near_tie=NEAR_TIE),
    )


def _log_prob(
    logits: Float[Tensor, "batch continuation d_vocab"], truth: Int[Tensor, "batch continuation"]
) -> Float[Tensor, "batch continuation"]:
    return logits.gather(-1, truth[..., None]).squeeze(-1) - logits.logsumexp(dim=-1)


def _after_miss(
    model: TransformerBridge,
    windows: Windows,
    rows: Int[np.ndarray, " batch"],
    miss: int,
    generated: Int[np.ndarray, "window continuation"],
) -> Choice:
    """Free decoding of windows whose first wrong token is continuation token ``miss``."""
    written = torch.from_numpy(generated[rows, : miss + 1])
    known = torch.cat([windows.prefix[torch.from_numpy(rows)], written], dim=1)
    return greedy_decode(model, known, n_tokens=windows.continuation_len - miss - 1)
