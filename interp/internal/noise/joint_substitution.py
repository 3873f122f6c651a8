"""Prefix tokens substituted together: how much of the prefix, and which end of it, carries the memory (ours).

As ``substitution``, with all tokens of a chosen set of prefix positions replaced at once. A set of one position gives
what ``substitute`` gives; the other tokens of a memorized window may stand in for one that is lost, so that a set can
take more than its positions do one by one.

    result = substitute_sets(model, windows, ends(windows.prefix_len, sizes=(1, 2, 4, 8)))
    result.curves("recited", groups=memorization_groups(score))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import WindowError, Windows
from interp.internal.noise.substitution import SubstitutionError, substituted
from interp.models.measuring import measurement
from interp.results import Provenance
from interp.several import several
from interp.stats.curves import Groups, group_curves

Loss = Literal["fall", "recited"]


@dataclass(frozen=True, repr=False, eq=False)
class SetSubstitution(Brief):
    """What the continuation loses when the tokens at several prefix positions are others."""

    name: tuple[str, ...]
    """Of each set."""
    positions: tuple[tuple[int, ...], ...]
    """Substituted positions of the prefix in each set, 0-based."""
    log_prob: Float[np.ndarray, " window"]
    """Mean log-probability of a continuation token after the true prefix, nats."""
    fall: Float[np.ndarray, "window set"]
    """Its fall after the substitution, mean over the draws, nats a continuation token."""
    recited: Float[np.ndarray, "window set"]
    """Share of the draws after which M is 1."""
    windows: Windows
    provenance: Provenance

    def curves(self, quantity: Loss, *, groups: Groups | None = None, seed: int = 0) -> pd.DataFrame:
        """Mean by group and set, with intervals by document; ``set`` and ``n_positions`` say which."""
        points = {"set": self.name, "n_positions": [len(positions) for positions in self.positions]}
        trials = 0 if quantity == "fall" else self.provenance.settings["n_draws"]
        return group_curves(
            getattr(self, quantity), self.windows, points=points, groups=groups, seed=seed, trials=trials
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a window and set: ``window``, ``set``, ``n_positions``, ``fall``, ``recited``."""
        w, i = np.indices(self.fall.shape).reshape(2, -1)
        return pd.DataFrame(
            {
                "window": self.windows.window[w],
                "set": np.asarray(self.name, dtype=object)[i],
                "n_positions": np.array([len(positions) for positions in self.positions])[i],
                "fall": self.fall.reshape(-1),
                "recited": self.recited.reshape(-1),
            }
        )


def ends(prefix_len: int, *, sizes: int | Sequence[int]) -> dict[str, range]:
    """The first and the last so many positions of a prefix, by the names ``first 4``, ``last 4`` ...

    Raises:
        SubstitutionError: a size that is no number of the prefix's tokens.
    """
    sizes = several(sizes)
    wrong = [size for size in sizes if not 1 <= size <= prefix_len]
    if wrong:
        raise SubstitutionError(f"{wrong[0]} tokens cannot be replaced together: the prefix has {prefix_len}")
    first = {f"first {size}": range(size) for size in sizes}
    return first | {f"last {size}": range(prefix_len - size, prefix_len) for size in sizes}


def blocks(prefix_len: int, *, size: int) -> dict[str, range]:
    """The prefix cut into blocks of so many positions, the last shorter if it must be; ``0-7``, ``8-15`` ..."""
    starts = range(0, prefix_len, size)
    found = [range(start, min(start + size, prefix_len)) for start in starts]
    return {f"{block[0]}-{block[-1]}": block for block in found}


@measurement
def substitute_sets(
    model: TransformerBridge,
    windows: Windows,
    sets: Mapping[str, int | Sequence[int]],
    *,
    n_draws: int = 4,
    corpus: Windows | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> SetSubstitution:
    """Replace all tokens of each set of prefix positions and measure what the continuation loses.

    Args:
        model: the booted model.
        windows: windows with their true continuation.
        sets: positions of the prefix, 0-based, by a name; ``ends`` and ``blocks`` give the usual ones. An empty set
            replaces nothing.
        n_draws: substitutes for each window and position.
        corpus: windows whose tokens give the unigram distribution; the tested ones unless given.
        batch_size: windows in a forward pass.
        seed: of the draws; a position's are those of ``substitute``.

    Raises:
        WindowError: no set, a position named twice in one, and as ``substitute``.
        SubstitutionError, ActivationError: as ``substitute``.
    """
    positions = tuple(tuple(int(p) for p in several(chosen)) for chosen in sets.values())
    if not positions:
        raise WindowError("no set of positions is given: nothing would be substituted")
    for name, chosen in zip(sets, positions, strict=True):
        if len(set(chosen)) < len(chosen):
            raise WindowError(f"set {name!r} names a position twice: {list(chosen)}")
    outcome = substituted(model, windows, positions, n_draws=n_draws, corpus=corpus, batch_size=batch_size, seed=seed)
    settings = {"sets": {name: list(chosen) for name, chosen in zip(sets, positions, strict=True)}}
    return SetSubstitution(
        name=tuple(sets),
        positions=positions,
        log_prob=outcome.log_prob,
        fall=outcome.fall,
        recited=outcome.recited,
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
