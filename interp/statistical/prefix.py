"""Log-probability of the prefix itself, without any text before it (ours).

A likely prefix suggests that a window is memorized because it is predictable, not because it was seen often. Beside the
repetition count, this factor separates the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.readout import DecodingError, at_least_float32, true_log_probs
from interp.models.hooks import logits
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance, Result
from interp.sizes import Size


@dataclass(frozen=True, repr=False, eq=False)
class PrefixLogProb(Result):
    """How likely each prefix is under the model."""

    windows: Windows
    log_prob: Float[np.ndarray, "window prefix"]
    """Log-probability of each prefix token given those before it, nats, at most 0. NaN for the first token."""
    provenance: Provenance

    def to_frame(self) -> pd.DataFrame:
        """One row per window. ``prefix_log_prob`` is the mean over the prefix, in nats per token."""
        return self.windows.to_frame().assign(prefix_log_prob=np.nanmean(self.log_prob, axis=1))


@measurement
def prefix_log_prob(
    model: TransformerBridge,
    windows: Windows,
    *,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> PrefixLogProb:
    """Log-probability of each window's prefix, by one teacher-forced pass.

    Args:
        model: a booted model.
        windows: windows with prefixes of at least two tokens.
        batch_size: windows per forward pass. Values change only by rounding.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Raises:
        WindowError: the model cannot take the windows, or prefixes have only one token.
        DecodingError: the logits are NaN or infinite.
    """
    check_windows(model, windows)
    if windows.prefix_len < 2:
        raise WindowError("a prefix of one token has no log-probability: no token precedes it")
    values = np.full((len(windows), windows.prefix_len), np.nan)
    k = windows.prefix_len
    batch_size = rows_at_once(model, k, batch_size, memory_budget, unembedded=3 * k)
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), "prefixes", progress):
        prefix = tokens[:, : windows.prefix_len].to(model.cfg.device)
        predicted = at_least_float32(logits(model, prefix)[:, :-1])
        values[where, 1:] = true_log_probs(predicted, prefix[:, 1:]).double().cpu().numpy()
    bad = ~np.isfinite(values[:, 1:]).all(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DecodingError(
            f"{model.cfg.model_name} gives NaN or infinite log-probabilities on the prefix of window "
            f"{windows.window[first]} (document {windows.document[first]!r}); load it in float32, or check its weights"
        )
    return PrefixLogProb(windows=windows, log_prob=values, provenance=Provenance.of("prefix_log_prob", model, windows))
