"""Token substitution: which prefix tokens carry the memory (ours; a discrete companion of noise).

A prefix token is replaced by a different one, drawn from the unigram distribution of the windows or of a corpus. The
result is the fall in the continuation's mean log-probability under teacher forcing (true minus substituted), averaged
over a few draws. If one prefix token carries the memory, a memorized window falls at that position only. If other
tokens can compensate for a lost one, replacing a set of positions together costs more than replacing them one by one.

    >>> substitute(model, windows).curves(groups=memorization_groups(score))
    >>> substitute_sets(model, windows, ends(windows.prefix_len, sizes=(1, 2, 4, 8))).curves("memorized")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.owned import WindowError
from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.engine.decoding import Decoder
from interp.engine.readout import true_log_probs
from interp.errors import InterpError
from interp.models.hooks import check_computed
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import along
from interp.results import Provenance, Result
from interp.seeds import generator
from interp.several import several
from interp.sizes import Size
from interp.stats.curves import Groups, group_curves

Loss = Literal["fall", "memorized"]
"""Result of a substitution: the fall in log-probability, or the share of draws after which M is still 1."""


class SubstitutionError(InterpError, ValueError):
    """The substitution cannot be made."""


@dataclass(frozen=True, repr=False, eq=False)
class Substitution(Result):
    """What the continuation loses when the tokens at some prefix positions are replaced."""

    name: tuple[str, ...]
    """Name of each set of positions. For a single position, its number."""
    positions: tuple[tuple[int, ...], ...]
    """Substituted positions of the prefix in each set, 0-based."""
    log_prob: Float[np.ndarray, " window"]
    """Mean log-probability of a continuation token after the true prefix, nats."""
    fall: Float[np.ndarray, "window set"]
    """Fall after the substitution, mean over the draws, nats per continuation token."""
    memorized: Float[np.ndarray, "window set"]
    """Share of the draws after which M is 1."""
    windows: Windows
    provenance: Provenance

    @property
    def position(self) -> Int[np.ndarray, " set"] | None:
        """The position of each set, if all sets have a single one; otherwise None."""
        single = all(len(positions) == 1 for positions in self.positions)
        return np.array([positions[0] for positions in self.positions]) if single else None

    def curves(self, quantity: Loss = "fall", *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Mean by group and set, with intervals by document; see ``group_curves``.

        The columns ``set`` and ``n_positions`` give the set, and ``position`` if all sets have a single one.
        """
        points: dict[str, Any] = {"set": self.name, "n_positions": [len(positions) for positions in self.positions]}
        if self.position is not None:
            points["position"] = self.position
        trials = 0 if quantity == "fall" else self.provenance.settings["n_draws"]
        return group_curves(
            getattr(self, quantity), self.windows, points=points, groups=groups, seed=seed, trials=trials
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per window and set: ``window``, ``set``, ``n_positions``, ``fall``, ``memorized``.

        If all sets have a single position, also ``position`` and ``token``, the replaced one.
        """
        w, i = np.indices(self.fall.shape).reshape(2, -1)
        frame = pd.DataFrame(
            {
                "window": self.windows.window[w],
                "set": np.asarray(self.name, dtype=object)[i],
                "n_positions": np.array([len(positions) for positions in self.positions])[i],
                "fall": self.fall.reshape(-1),
                "memorized": self.memorized.reshape(-1),
            }
        )
        if self.position is None:
            return frame
        position = self.position[i]
        return frame.assign(position=position, token=self.windows.tokens.numpy()[w, position])


def ends(prefix_len: int, *, sizes: int | Sequence[int]) -> dict[str, range]:
    """The first and the last positions of a prefix, for each size, named ``first 4``, ``last 4`` ...

    Raises:
        SubstitutionError: a size is not between 1 and the prefix length.
    """
    sizes = several(sizes)
    wrong = [size for size in sizes if not 1 <= size <= prefix_len]
    if wrong:
        raise SubstitutionError(f"{wrong[0]} tokens cannot be replaced together: the prefix has {prefix_len}")
    first = {f"first {size}": range(size) for size in sizes}
    return first | {f"last {size}": range(prefix_len - size, prefix_len) for size in sizes}


def blocks(prefix_len: int, *, size: int) -> dict[str, range]:
    """The prefix cut into blocks of ``size`` positions, named ``0-7``, ``8-15`` ... The last may be shorter."""
    starts = range(0, prefix_len, size)
    found = [range(start, min(start + size, prefix_len)) for start in starts]
    return {f"{block[0]}-{block[-1]}": block for block in found}


def draw_substitutes(
    windows: Windows, position: int, *, n_draws: int, unigrams: Float[np.ndarray, " d_vocab"], seed: int
) -> Int[Tensor, "window draw"]:
    """Tokens that replace the one at ``position``. Each window's draw depends only on (seed, window id, position).

    Raises:
        WindowError: the distribution has no other token.
    """
    drawn = np.empty((len(windows), n_draws), dtype=np.int64)
    for i, (window, token) in enumerate(zip(windows.window, windows.tokens[:, position].tolist(), strict=True)):
        weights = unigrams.copy()
        weights[token] = 0
        if weights.sum() == 0:
            raise WindowError(
                f"window {window}: token {token} is the only token of the distribution, nothing can replace it"
            )
        rng = generator(seed, int(window) % 2**63, position)
        cumulative = np.cumsum(weights)
        # side="right" skips tokens of weight 0, among them the token itself.
        drawn[i] = np.searchsorted(cumulative, rng.random(n_draws) * cumulative[-1], side="right")
    return torch.from_numpy(drawn)


def _continued(
    model: TransformerBridge,
    decoder: Decoder,
    windows: Windows,
    tokens: Int[Tensor, "sequence pos"],
    *,
    batch_size: int,
) -> tuple[Float[np.ndarray, " sequence"], Bool[np.ndarray, " sequence"]]:
    """Mean log-probability of the continuation, and whether the argmax is correct at all its positions (M = 1)."""
    n = windows.continuation_len
    values, memorized = np.empty(len(tokens)), np.empty(len(tokens), dtype=bool)
    for start in range(0, len(tokens), batch_size):
        batch = tokens[start : start + batch_size].to(model.cfg.device)
        # The last token predicts nothing. Only the continuation is unembedded.
        logits = decoder.logits(decoder.hidden(batch[:, :-1])[:, -n:])
        owners = windows.window[np.arange(start, start + len(batch)) % len(windows)]
        check_computed(logits, model, batch, name="the logits", windows=owners)
        truth = batch[:, -n:]
        values[start : start + len(batch)] = true_log_probs(logits, truth).double().mean(dim=1).cpu().numpy()
        memorized[start : start + len(batch)] = (logits.argmax(-1) == truth).all(dim=1).cpu().numpy()
    return values, memorized


@measurement
def substitute(
    model: TransformerBridge,
    windows: Windows,
    *,
    positions: int | Sequence[int] | None = None,
    n_draws: int = 4,
    corpus: Windows | None = None,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Substitution:
    """Replace each prefix token in turn, and measure what the continuation loses.

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        positions: positions of the prefix, 0-based. Default: all.
        n_draws, corpus, batch_size, memory_budget, seed, progress: as in ``substitute_sets``.

    Raises:
        WindowError, SubstitutionError, ActivationError: as ``substitute_sets``.
    """
    alone = {str(p): [p] for p in (range(windows.prefix_len) if positions is None else several(positions))}
    found = substitute_sets(
        model,
        windows,
        alone,
        n_draws=n_draws,
        corpus=corpus,
        batch_size=batch_size,
        memory_budget=memory_budget,
        seed=seed,
        progress=progress,
    )
    return replace(found, provenance=replace(found.provenance, measurement="substitute"))


@measurement
def substitute_sets(
    model: TransformerBridge,
    windows: Windows,
    sets: Mapping[str, int | Sequence[int]],
    *,
    n_draws: int = 4,
    corpus: Windows | None = None,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Substitution:
    """Replace all tokens of each set of prefix positions, and measure what the continuation loses.

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        sets: sets of prefix positions, 0-based, by name. ``ends`` and ``blocks`` make the usual ones. An empty set
            replaces nothing.
        n_draws: number of substitutes for each window and position.
        corpus: windows whose tokens give the unigram distribution. Default: the tested windows.
        batch_size: windows per forward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        seed: seed of the draws. A position has the same substitutes in every set.
        progress: show a bar with the time left.

    Raises:
        WindowError: the model cannot take the windows, there is no set, or a position is outside the prefix or twice in
            a set.
        SubstitutionError: there is no draw.
        ActivationError: logits are not finite.
    """
    positions = tuple(tuple(int(p) for p in several(chosen)) for chosen in sets.values())
    if not positions:
        raise WindowError("no set of positions is given, so nothing would be substituted")
    for name, chosen in zip(sets, positions, strict=True):
        if len(set(chosen)) < len(chosen):
            raise WindowError(f"set {name!r} names a position twice: {list(chosen)}")
    for checked in (windows, corpus or windows):
        check_windows(model, checked)
    used = sorted({position for one in positions for position in one})
    outside = [p for p in used if not 0 <= p < windows.prefix_len]
    if outside:
        raise WindowError(f"positions {outside} are outside the prefix, 0 to {windows.prefix_len - 1}")
    if n_draws < 1:
        raise SubstitutionError(f"n_draws={n_draws}: at least one substitute is needed")
    tokens = windows.tokens if corpus is None else corpus.tokens
    unigrams = np.bincount(tokens.numpy().ravel(), minlength=model.cfg.d_vocab).astype(np.float64)
    unembedded = 3 * windows.continuation_len
    batch_size = rows_at_once(model, windows.tokens.shape[1], batch_size, memory_budget, unembedded=unembedded)
    decoder = Decoder.of(model, windows.tokens[:1], stepwise=False)
    clean, _ = _continued(model, decoder, windows, windows.tokens, batch_size=batch_size)
    drawn = {p: draw_substitutes(windows, p, n_draws=n_draws, unigrams=unigrams, seed=seed) for p in used}
    fall, memorized = np.empty((len(windows), len(positions))), np.empty((len(windows), len(positions)))
    for i, together in enumerate(along(positions, "substitution", progress, total=len(positions), unit="set")):
        changed = windows.tokens.repeat(n_draws, 1)
        for position in together:
            changed[:, position] = drawn[position].T.reshape(-1)
        after, right = _continued(model, decoder, windows, changed, batch_size=batch_size)
        fall[:, i] = clean - after.reshape(n_draws, len(windows)).mean(axis=0)
        memorized[:, i] = right.reshape(n_draws, len(windows)).mean(axis=0)
    settings = {"sets": {name: list(chosen) for name, chosen in zip(sets, positions, strict=True)}}
    return Substitution(
        name=tuple(sets),
        positions=positions,
        log_prob=clean,
        fall=fall,
        memorized=memorized,
        windows=windows,
        provenance=Provenance.of(
            "substitute_sets",
            model,
            windows,
            **settings,
            n_draws=n_draws,
            batch_size=batch_size,
            seed=seed,
            corpus=None if corpus is None else corpus.described,
        ),
    )
