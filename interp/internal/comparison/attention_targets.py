"""What heads attend to while they predict the continuation (ours).

For each head, from every position whose next token is a continuation token, the attention to:

``first``      the first position of the window, a common attention sink;
``start``      the four positions after it, the start of the prefix;
``rare``       rare tokens: the least frequent types of a corpus that together make up 10 % of its tokens;
``induction``  the token that followed the previous occurrence of the current one (Olsson et al. 2022), from
               positions whose token has occurred before; NaN for a window without one.

Each is given beside its value for attention spread evenly over all positions up to the current one. ``entropy`` is the
entropy of the attention distribution, in nats. ``correlation`` relates each quantity to the importance of heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.budget import rows_at_once
from interp.internal.lens.logit_lens import predicting
from interp.models.hooks import activations, hook_name
from interp.models.identity import check_windows
from interp.models.measuring import measurement
from interp.progress import in_batches
from interp.results import Provenance, Result
from interp.sizes import Size
from interp.stats.columns import estimate_columns
from interp.stats.curves import column_estimates
from interp.stats.estimates import bootstrap
from interp.stats.ranks import Importance, membership

TARGETS = ("first", "start", "rare", "induction")
ENTROPY = "entropy"
START = 4
"""Number of positions after the first that count as the start of the prefix."""
RARE_SHARE = 0.1


@dataclass(frozen=True, repr=False, eq=False)
class AttentionTargets(Result):
    """Attention of each head to each target: the mean over the predicting positions of a window."""

    share: Float[np.ndarray, "target layer head window"]
    """Attention to each of ``TARGETS``, 0 to 1."""
    uniform: Float[np.ndarray, "target window"]
    """The same for attention spread evenly over all positions up to the current one."""
    entropy: Float[np.ndarray, "layer head window"]
    """Entropy of attention, nats. 0: all attention is on one position."""
    windows: Windows
    provenance: Provenance

    def of(self, quantity: str) -> Float[np.ndarray, "layer head window"]:
        """Attention to a target, or the entropy, by name."""
        return self.entropy if quantity == ENTROPY else self.share[TARGETS.index(quantity)]

    def mean(self, quantity: str) -> Float[np.ndarray, "layer head"]:
        """Mean over the windows where it is defined. NaN if there are none."""
        values = self.of(quantity)
        measured = ~np.isnan(values)
        total = np.where(measured, values, 0).sum(axis=-1)
        return np.divide(total, measured.sum(axis=-1), out=np.full(total.shape, np.nan), where=measured.any(axis=-1))

    def evenly(self, quantity: str) -> float:
        """Mean value for even attention, over the windows with the target. NaN if there are none, and for entropy."""
        values = np.full(1, np.nan) if quantity == ENTROPY else self.uniform[TARGETS.index(quantity)]
        known = values[~np.isnan(values)]
        return float(known.mean()) if known.size else float("nan")

    def to_frame(self, *, seed: int = 0) -> pd.DataFrame:
        """One row per head and quantity.

        Columns ``layer``, ``head``, ``target``, ``value`` with its interval by document, and ``uniform`` (NaN for the
        entropy).
        """
        n_layers, n_heads, _ = self.entropy.shape
        rows = []
        for quantity in (*TARGETS, ENTROPY):
            columns = rearrange(self.of(quantity), "layer head window -> window (layer head)")
            estimates, _ = column_estimates(columns, self.windows.document, seed=seed, trials=0)
            uniform = self.evenly(quantity)
            for (layer, head), e in zip(np.ndindex(n_layers, n_heads), estimates, strict=True):
                rows.append(
                    {"layer": layer, "head": head, "target": quantity, **estimate_columns(e), "uniform": uniform}
                )
        return pd.DataFrame(rows)

    def top_against_rest(self, importance: Importance, *, share: float = 0.2, seed: int = 0) -> pd.DataFrame:
        """Mean attention of the most important heads, and of the others, with intervals by document.

        Returns:
            One row per quantity and ``heads`` (``top``, ``other``): ``value``, ``low``, ``high``, ``n``,
            ``n_documents``. NaN for ``other`` if all heads are top ones.

        Raises:
            ComparisonError: as ``membership``. Heads that tie for the last places count in both means, with its
                weights.
        """
        top = membership(importance, share=share)
        weights = [w / w.sum() if w.any() else np.full_like(w, np.nan) for w in (top, 1 - top)]
        rows = []
        for quantity in (*TARGETS, ENTROPY):
            values = self.of(quantity)
            columns = np.stack([einsum(values, w, "layer head window, layer head -> window") for w in weights], axis=1)
            estimates, _ = column_estimates(columns, self.windows.document, seed=seed, trials=0)
            for heads, e in zip(("top", "other"), estimates, strict=True):
                rows.append({"target": quantity, "heads": heads, **estimate_columns(e)})
        return pd.DataFrame(rows)

    def correlation(self, importance: Importance, *, seed: int = 0, n_resamples: int | None = None) -> pd.DataFrame:
        """Spearman correlation of head importance with each quantity, over heads.

        ``within_layers`` compares each head only with the others of its layer (ranks within a layer, minus their mean).
        Importance and attention both change with depth, and this alone correlates them. Intervals come from a bootstrap
        over heads. They are too narrow if heads depend on one another.

        Returns:
            One row per quantity and ``over`` (``all_heads``, ``within_layers``): ``value``, ``low``, ``high``, and
            ``n`` (heads).
        """
        layers = np.repeat(np.arange(importance.shape[0]), importance.shape[1])
        rows = []
        for quantity in (*TARGETS, ENTROPY):
            x, y = importance.ravel(), self.mean(quantity).ravel()
            known = ~np.isnan(x) & ~np.isnan(y)
            pair, layer = np.stack([x[known], y[known]]), layers[known]
            for over, strata in (("all_heads", np.zeros_like(layer)), ("within_layers", layer)):
                statistic = partial(_resampled_spearman, pair, strata)
                estimate = bootstrap(statistic, pair.shape[1], seed=seed, n_resamples=n_resamples)
                row = {k: v for k, v in estimate_columns(estimate).items() if k != "n_documents"}
                rows.append({"target": quantity, "over": over, **row})
        return pd.DataFrame(rows)


def spearman(pair: Float[np.ndarray, "2 head"], strata: Int[np.ndarray, " head"]) -> float:
    """Spearman correlation of two rows, ranked within strata, minus each stratum's mean. NaN if one is constant."""
    # Ranks of (stratum, value), minus their mean in the stratum, are ranks within it. This needs no loop over strata.
    ranks = rankdata(rankdata(pair, axis=1) + strata * (pair.shape[1] + 1), axis=1)
    sizes = np.maximum(np.bincount(strata), 1)
    ranks -= np.stack([(np.bincount(strata, row) / sizes)[strata] for row in ranks])
    norms = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    return float(ranks[0] @ ranks[1]) / norms if norms else float("nan")


def _resampled_spearman(
    pair: Float[np.ndarray, "2 head"], strata: Int[np.ndarray, " head"], sample: Int[np.ndarray, " sample"]
) -> float:
    return spearman(pair[:, sample], strata[sample])


def rare_types(tokens: Int[Tensor, "window pos"], *, d_vocab: int, share: float) -> Bool[np.ndarray, " d_vocab"]:
    """The least frequent token types that together make up at most ``share`` of the tokens. Unseen types are rare.

    Of types that occur equally often, all or none are rare.
    """
    counts = np.bincount(tokens.numpy().ravel(), minlength=d_vocab)
    occurs, which, n_types = np.unique(counts, return_inverse=True, return_counts=True)
    return (np.cumsum(occurs * n_types) <= share * counts.sum())[which]


def target_masks(
    tokens: Int[Tensor, "batch pos"], rare: Bool[np.ndarray, " d_vocab"], at: slice
) -> Float[Tensor, "target batch query key"]:
    """1 where a key is the target of a query, for the queries ``at`` and keys up to each."""
    n_pos = tokens.shape[1]
    causal = torch.ones(n_pos, n_pos).tril()
    key = torch.arange(n_pos)
    first = (key == 0).expand(n_pos, n_pos)
    start = ((key >= 1) & (key <= START)).expand(n_pos, n_pos)
    is_rare = torch.from_numpy(rare)[tokens][:, None, :].expand(-1, n_pos, -1)
    earlier = (tokens[:, :, None] == tokens[:, None, :]) & (key[:, None] > key)
    # Position after the latest earlier occurrence; 0 if there is none.
    after = torch.where(earlier.any(-1), (earlier * key).amax(-1) + 1, -1)
    induction = after[:, :, None] == key
    masks = torch.stack([m.float().expand(len(tokens), -1, -1) for m in (first, start, is_rare, induction)])
    return (masks * causal)[:, :, at]


@measurement
def attention_targets(
    model: TransformerBridge,
    windows: Windows,
    *,
    corpus: Windows | None = None,
    batch_size: int = 64,
    memory_budget: Size | None = None,
    progress: bool = False,
) -> AttentionTargets:
    """Measure what each head attends to while the continuation is predicted (teacher-forced).

    Args:
        model: a booted model.
        windows: windows with their true continuation.
        corpus: windows that define which tokens are rare. Default: the tested windows.
        batch_size: windows per forward pass.
        memory_budget: approximate bytes of activations to hold at a time, or a text such as ``"2GiB"``. Batches
            shrink to fit. Values change only by rounding.
        progress: show a bar with the time left.

    Raises:
        WindowError: the model cannot take the windows.
        ActivationError: attention is not finite.
        HookError: the model does not give its attention pattern.
    """
    for checked in (windows, corpus or windows):
        check_windows(model, checked)
    rare = rare_types((corpus or windows).tokens, d_vocab=model.cfg.d_vocab, share=RARE_SHARE)
    names = [hook_name("hook_pattern", layer) for layer in range(model.cfg.n_layers)]
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    share = np.empty((len(TARGETS), n_layers, n_heads, len(windows)))
    uniform = np.empty((len(TARGETS), len(windows)))
    entropy = np.empty((n_layers, n_heads, len(windows)))
    at = predicting(windows)
    # The patterns of all layers, and those of one layer in float64 for every target.
    patterns = n_layers + 2 * (1 + len(TARGETS))
    batch_size = rows_at_once(model, windows.tokens.shape[1], batch_size, memory_budget, patterns=patterns)
    for where, tokens in in_batches(windows.batches(batch_size), len(windows), "attention", progress):
        masks = target_masks(tokens, rare, at)
        # Only induction can lack a target. For the others, no attention is a measured 0.
        has_target = torch.ones(masks.shape[:3], dtype=torch.float64)
        has_target[TARGETS.index("induction")] = masks[TARGETS.index("induction")].sum(-1).double()
        n_queries = has_target.sum(-1)  # 0 / 0 below gives the NaN of a window without a target
        seen = torch.arange(at.start + 1, at.stop + 1, dtype=torch.float64)
        uniform[:, where] = ((masks.sum(-1) / seen * has_target).sum(-1) / n_queries).numpy()
        patterns = activations(model, tokens.to(model.cfg.device), names, windows=windows.window[where])
        for layer, name in enumerate(names):
            pattern = patterns[name][:, :, at].double().cpu()
            to = einsum(pattern, masks.double(), "b head query key, target b query key -> target head b query")
            share[:, layer, :, where] = ((to * has_target[:, None]).sum(-1) / n_queries[:, None]).numpy()
            entropy[layer, :, where] = rearrange(
                torch.special.entr(pattern).sum(-1).mean(-1), "b head -> head b"
            ).numpy()
    settings = {"corpus": None if corpus is None else corpus.described, "rare_share": RARE_SHARE, "start": START}
    return AttentionTargets(
        share=share,
        uniform=uniform,
        entropy=entropy,
        windows=windows,
        provenance=Provenance.of("attention_targets", model, windows, **settings, batch_size=batch_size),
    )
