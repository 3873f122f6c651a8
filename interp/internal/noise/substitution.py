"""Token substitution: which prefix tokens carry the memory (ours; a discrete companion of ``noise``).

One prefix token at a time is replaced by another, drawn from the unigram distribution of the windows (or of others that
are given) and never the same token. Measured is the fall in the continuation's mean log-probability under teacher
forcing, true minus substituted, averaged over a few draws. A memorized window of which one token carries
the memory falls at that position alone.

    result = substitute(model, windows, n_draws=4)
    result.curves(groups=memorization_groups(score))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import WindowError, Windows
from interp.engine.decoding import Decoder
from interp.engine.readout import true_log_probs
from interp.errors import InterpError
from interp.models.hooks import check_computed
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.results import Provenance
from interp.seeds import generator
from interp.several import several
from interp.stats.curves import Groups, group_curves


class SubstitutionError(InterpError, ValueError):
    """A substitution that cannot be made."""


@dataclass(frozen=True, repr=False, eq=False)
class Outcome(Brief):
    """What the continuation loses by each set of substitutions; fields as in ``Substitution``."""

    log_prob: Float[np.ndarray, " window"]
    fall: Float[np.ndarray, "window set"]
    recited: Float[np.ndarray, "window set"]


@dataclass(frozen=True, repr=False, eq=False)
class Substitution(Brief):
    """What the continuation loses when one prefix token is another."""

    position: Int[np.ndarray, " position"]
    """Substituted positions of the prefix, 0-based."""
    log_prob: Float[np.ndarray, " window"]
    """Mean log-probability of a continuation token after the true prefix, nats."""
    fall: Float[np.ndarray, "window position"]
    """Its fall after the substitution, mean over the draws, nats a continuation token."""
    recited: Float[np.ndarray, "window position"]
    """Share of the draws after which M is still 1 (the argmax is right at every continuation position)."""
    windows: Windows
    provenance: Provenance

    def curves(self, *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Mean fall by group and position, with intervals by document; see ``group_curves``."""
        points = {"position": self.position}
        return group_curves(self.fall, self.windows, points=points, groups=groups, seed=seed, trials=0)

    def to_frame(self) -> pd.DataFrame:
        """One row a window and position: ``window``, ``position``, ``token`` (the one replaced), ``fall``,
        ``recited``."""
        w, p = np.indices(self.fall.shape).reshape(2, -1)
        tokens = self.windows.tokens.numpy()
        return pd.DataFrame(
            {
                "window": self.windows.window[w],
                "position": self.position[p],
                "token": tokens[w, self.position[p]],
                "fall": self.fall.reshape(-1),
                "recited": self.recited.reshape(-1),
            }
        )


def draw_substitutes(
    windows: Windows, position: int, *, n_draws: int, unigrams: Float[np.ndarray, " d_vocab"], seed: int
) -> Int[Tensor, "window draw"]:
    """Tokens that replace the one at ``position``, each window's drawn from (seed, window id, position) alone.

    Raises:
        WindowError: the distribution has no other token.
    """
    drawn = np.empty((len(windows), n_draws), dtype=np.int64)
    for i, (window, token) in enumerate(zip(windows.window, windows.tokens[:, position].tolist(), strict=True)):
        weights = unigrams.copy()
        weights[token] = 0
        if weights.sum() == 0:
            raise WindowError(f"window {window}: token {token} is the only one there is, nothing can replace it")
        rng = generator(seed, int(window) % 2**63, position)
        cumulative = np.cumsum(weights)
        # side="right" passes over tokens of weight 0, the token itself among them.
        drawn[i] = np.searchsorted(cumulative, rng.random(n_draws) * cumulative[-1], side="right")
    return torch.from_numpy(drawn)


def _outcome(
    model: TransformerBridge,
    decoder: Decoder,
    windows: Windows,
    tokens: Int[Tensor, "sequence pos"],
    *,
    batch_size: int,
) -> tuple[Float[np.ndarray, " sequence"], Bool[np.ndarray, " sequence"]]:
    """Mean log-probability of the continuation, and whether the argmax is right at all of it (M = 1)."""
    n = windows.continuation_len
    values, recited = np.empty(len(tokens)), np.empty(len(tokens), dtype=bool)
    for start in range(0, len(tokens), batch_size):
        batch = tokens[start : start + batch_size].to(model.cfg.device)
        # The last token predicts nothing, and only the continuation is unembedded.
        logits = decoder.logits(decoder.hidden(batch[:, :-1])[:, -n:])
        owners = windows.window[np.arange(start, start + len(batch)) % len(windows)]
        check_computed(logits, model, batch, name="the logits", windows=owners)
        truth = batch[:, -n:]
        values[start : start + len(batch)] = true_log_probs(logits, truth).double().mean(dim=1).cpu().numpy()
        recited[start : start + len(batch)] = (logits.argmax(-1) == truth).all(dim=1).cpu().numpy()
    return values, recited


def substituted(
    model: TransformerBridge,
    windows: Windows,
    sets: Sequence[Sequence[int]],
    *,
    n_draws: int,
    corpus: Windows | None,
    batch_size: int,
    seed: int,
) -> Outcome:
    """Replace the tokens of each set of prefix positions together; what ``substitute`` and ``substitute_sets`` share.

    A position's substitutes are the same in every set that it stands in.

    Raises:
        WindowError: windows that the model cannot take, or a position outside the prefix.
        SubstitutionError: fewer than one draw.
        ActivationError: logits that are not finite.
    """
    for checked in (windows, corpus or windows):
        check_windows(model, checked)
    used = sorted({position for one in sets for position in one})
    outside = [p for p in used if not 0 <= p < windows.prefix_len]
    if outside:
        raise WindowError(f"positions {outside} are outside the prefix, 0 to {windows.prefix_len - 1}")
    if n_draws < 1:
        raise SubstitutionError(f"n_draws={n_draws}: at least one substitute is needed")
    tokens = windows.tokens if corpus is None else corpus.tokens
    unigrams = np.bincount(tokens.numpy().ravel(), minlength=model.cfg.d_vocab).astype(np.float64)
    decoder = Decoder.of(model, windows.tokens[:1], stepwise=False)
    clean, _ = _outcome(model, decoder, windows, windows.tokens, batch_size=batch_size)
    drawn = {p: draw_substitutes(windows, p, n_draws=n_draws, unigrams=unigrams, seed=seed) for p in used}
    fall, recited = np.empty((len(windows), len(sets))), np.empty((len(windows), len(sets)))
    for i, together in enumerate(sets):
        changed = windows.tokens.repeat(n_draws, 1)
        for position in together:
            changed[:, position] = drawn[position].T.reshape(-1)
        after, right = _outcome(model, decoder, windows, changed, batch_size=batch_size)
        fall[:, i] = clean - after.reshape(n_draws, len(windows)).mean(axis=0)
        recited[:, i] = right.reshape(n_draws, len(windows)).mean(axis=0)
    return Outcome(log_prob=clean, fall=fall, recited=recited)


@measurement
def substitute(
    model: TransformerBridge,
    windows: Windows,
    *,
    positions: int | Sequence[int] | None = None,
    n_draws: int = 4,
    corpus: Windows | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> Substitution:
    """Replace each prefix token in turn and measure what the continuation loses.

    Args:
        model: the booted model.
        windows: windows with their true continuation.
        positions: of the prefix, 0-based; all of them unless given.
        n_draws: substitutes for each window and position.
        corpus: windows whose tokens give the unigram distribution; the tested ones unless given.
        batch_size: windows in a forward pass.
        seed: of the draws.

    Raises:
        WindowError: windows that the model cannot take, or a position outside the prefix.
        SubstitutionError: fewer than one draw.
        ActivationError: logits that are not finite.
    """
    position = np.asarray(range(windows.prefix_len) if positions is None else several(positions), dtype=np.int64)
    outcome = substituted(
        model,
        windows,
        [[p] for p in position.tolist()],
        n_draws=n_draws,
        corpus=corpus,
        batch_size=batch_size,
        seed=seed,
    )
    settings = {"positions": position.tolist(), "n_draws": n_draws, "batch_size": batch_size, "seed": seed}
    settings["corpus"] = None if corpus is None else corpus.described
    return Substitution(
        position=position,
        log_prob=outcome.log_prob,
        fall=outcome.fall,
        recited=outcome.recited,
        windows=windows,
        provenance=Provenance.of("substitute", model, windows, **settings),
    )
