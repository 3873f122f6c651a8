"""The explorer's running model: attention, layers and ablated text of the shown windows.

The model is taken apart once, and no hook is set, because a notebook may answer a click in one thread while a cell runs
in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.take_apart import take_apart
from interp.explore.maps import plain
from interp.explore.text import token_texts
from interp.internal.ablation.choices import Method
from interp.internal.ablation.replacement import Ablation
from interp.internal.ablation.sets import Heads, SetAblation, ablate_sets
from interp.internal.comparison.attention_targets import ENTROPY, TARGETS, attention_targets
from interp.internal.lens.distributions import READ, Distribution, decode
from interp.internal.lens.first_layer import first_holding
from interp.internal.lens.logit_lens import predicting
from interp.models.measuring import measuring
from interp.planted.corpus import planted_windows
from interp.progress import Progress
from interp.seeds import generator

N_RANDOM = 5
"""Number of random sets beside a chosen one."""
_WINDOWS_KEPT = 8
"""Number of windows whose attention is cached."""


class Live:
    """A model on the shown windows."""

    def __init__(self, model: TransformerBridge, windows: Windows, *, reference: Windows | None, seed: int) -> None:
        self.model, self.windows, self.reference, self.seed = model, windows, reference, seed
        with measuring(model):
            self._blocks = take_apart(model, windows.tokens[:1], fused=False)
        self._patterns: dict[int, Any] = {}
        self._lens: dict[int, Any] = {}
        self._ablated: dict[tuple[Method, Heads], dict[int, dict[str, np.ndarray]]] = {}

    @property
    def methods(self) -> list[Method]:
        """The methods for sets: ``mean`` needs reference windows, ``peer_mean`` other heads."""
        several = self.model.cfg.n_heads > 1
        return ["zero", *(["mean"] if self.reference else []), "resample", *(["peer_mean"] if several else [])]  # type: ignore[list-item]

    @cached_property
    def memorized(self) -> Bool[np.ndarray, " window"]:
        """M = 1."""
        return ablate_sets(self.model, self.windows, [()]).memorized[0]

    def _pass(self, row: int) -> tuple[list[Tensor], list[Tensor]]:
        """Residual streams before the first layer and after each, and attention patterns, of one window."""
        blocks, tokens = self._blocks, self.windows.tokens[row : row + 1]
        positions = blocks.positions(0, tokens.shape[1])
        residuals, patterns = [blocks.embed(tokens)], []
        for layer in range(len(blocks.layers)):
            z, pattern = blocks.attend(layer, residuals[-1], positions)
            assert pattern is not None
            patterns.append(pattern[0])
            residuals.append(blocks.after_attention(layer, residuals[-1], blocks.project(layer, z)))
        return residuals, patterns

    def _look(self, row: int) -> None:
        with measuring(self.model):
            residuals, patterns = self._pass(row)
            self._lens[row] = self._decoded(row, residuals)
        while len(self._patterns) >= _WINDOWS_KEPT:
            self._patterns.pop(next(iter(self._patterns)))
        # Thousandths are precise enough to show, and take a quarter of the memory.
        self._patterns[row] = [(1000 * p.float()).round().short().cpu().numpy() for p in patterns]

    def attention(self, row: int, layer: int, head: int) -> dict[str, Any]:
        """A head's attention in thousandths, with a row per query, up to its own position."""
        if row not in self._patterns:
            self._look(row)
        pattern = self._patterns[row][layer][head]
        return {"rows": [pattern[query, : query + 1].tolist() for query in range(len(pattern))]}

    def lens(self, row: int) -> dict[str, Any]:
        """The logit lens of a window's continuation, by point of the residual stream."""
        if row not in self._lens:
            self._look(row)
        return self._lens[row]

    def _decoded(self, row: int, residuals: list[Float[Tensor, "1 pos d_model"]]) -> dict[str, Any]:
        at, truth = predicting(self.windows), self.windows.continuation[row : row + 1].to(self._blocks.device)
        logits = [self._blocks.unembed(residual[:, at]).float() for residual in residuals]
        final = Distribution.of(logits[-1][0].clone())
        decoded = [dict(zip(READ, decode(lens[0].clone(), final, truth[0])[:, None], strict=True)) for lens in logits]
        probability = torch.stack([found["log_prob"].exp() for found in decoded]).cpu().numpy()
        depth = np.arange(len(logits), dtype=np.float64)
        ids = [lens.argmax(-1)[0].tolist() for lens in logits]
        return {
            "depth": depth.tolist(),
            "token": [[token_texts([i], self.model.tokenizer)[0] for i in row_ids] for row_ids in ids],
            "top": [plain(lens.softmax(-1).amax(-1)[0].cpu().numpy().astype(float)) for lens in logits],
            "probability": plain(probability[:, 0].astype(float)),
            "rank": [plain(found["rank"][0].cpu().numpy().astype(float)) for found in decoded],
            "decided": plain(first_holding(probability, depth, 0.5)[0]),
        }

    def targets(self) -> dict[str, Any]:
        """Attention targets of each head, mean over the shown windows."""
        # For windows of the shipped corpus, rare tokens are counted in the whole corpus.
        corpus = planted_windows()
        shipped = self.windows.source == corpus.source and self.windows.tokenizer == corpus.tokenizer
        found = attention_targets(self.model, self.windows, corpus=corpus if shipped else None)
        quantities = {
            name: {"value": plain(found.mean(name)), "uniform": plain(found.evenly(name))}
            for name in (*TARGETS, ENTROPY)
        }
        return {**quantities, "n_windows": len(self.windows)}

    def ablation(self, method: Method) -> Ablation:
        """A method with the explorer's reference windows and seed."""
        reference = self.reference if method in {"mean", "resample"} else None
        return Ablation(method, reference=reference, seed=self.seed)

    def _sets(
        self, rows: Sequence[int], sets: Sequence[Heads], method: Method, progress: Progress | bool = False
    ) -> SetAblation:
        return ablate_sets(
            self.model,
            self.windows.select(np.array(rows)),
            sets,
            self.ablation(method),
            metrics=("log_prob", "rate", "score"),
            progress=progress,
        )

    def _keep(self, found: SetAblation, rows: Sequence[int]) -> None:
        assert found.generated is not None
        for i, heads in enumerate(found.sets):
            kept = self._ablated.setdefault((found.method, heads), {})
            for j, row in enumerate(rows):
                kept[row] = {"log_prob": found.token_log_prob[i, j], "generated": found.generated[i, j]}

    def prepare(self, sets: Sequence[Heads], method: Method) -> None:
        """Ablate many sets on all windows at once, so that ``ablated`` finds them."""
        rows = range(len(self.windows))
        self._keep(self._sets(rows, [(), *sets], method), rows)

    def ablated(self, row: int, method: Method, heads: Heads) -> dict[str, Any]:
        """Fall of a window's continuation by token, and the generated text, with and without the heads."""
        if row not in self._ablated.get((method, heads), {}) or row not in self._ablated.get((method, ()), {}):
            # Replacements are drawn from all windows: a single window would have none.
            among = method == "resample" and self.reference is None
            rows = range(len(self.windows)) if among else [row]
            self._keep(self._sets(rows, [(), heads], method), rows)
        before, after = (self._ablated[method, which][row] for which in ((), heads))
        truth = self.windows.continuation[row].numpy()

        def text(generated: np.ndarray) -> dict[str, Any]:
            return {
                "token": token_texts(generated.tolist(), self.model.tokenizer),
                "right": (generated == truth).tolist(),
            }

        return {
            "before": plain(before["log_prob"]),
            "after": plain(after["log_prob"]),
            "text": {"clean": text(before["generated"]), "ablated": text(after["generated"])},
        }

    def random_sets(self, heads: Heads) -> list[Heads]:
        """Random sets with equally many heads of the same layers, different from the set if possible.

        None if it has all heads.
        """
        n_heads = self.model.cfg.n_heads
        layers = sorted({layer for layer, _ in heads})
        own = {layer: [head for at, head in heads if at == layer] for layer in layers}
        if all(len(chosen) == n_heads for chosen in own.values()):
            return []
        rng, drawn = generator(self.seed), []
        for _ in range(N_RANDOM):
            one: list[tuple[int, int]] = []
            for layer, chosen in own.items():
                others = [head for head in range(n_heads) if head not in chosen]
                pool = others if len(others) >= len(chosen) else list(range(n_heads))
                one += [(layer, int(head)) for head in sorted(rng.choice(pool, len(chosen), replace=False))]
            drawn.append(tuple(one))
        return drawn

    def set(self, method: Method, heads: Heads, progress: Progress | bool = False) -> dict[str, Any]:
        """A set ablated together on all shown windows, beside the clean model and random sets."""
        drawn, rows = self.random_sets(heads), range(len(self.windows))
        found = self._sets(rows, [(), heads, *drawn], method, progress)
        self._keep(found, rows)
        of_metrics = {str(metric): rows.set_index("set") for metric, rows in found.to_frame().groupby("metric")}

        def told(name: str, one: int) -> dict[str, Any]:
            ends = {
                metric: {end: plain(rows.loc[one, end]) for end in ("value", "low", "high")}
                for metric, rows in of_metrics.items()
            }
            return {"name": name, **ends}

        told_rows = [told("nothing ablated", 0), told(f"the set, {len(heads)} heads", 1)]
        if drawn:
            random = {metric: rows.loc[2:, "value"] for metric, rows in of_metrics.items()}
            spread = {
                metric: {"value": plain(of.mean()), "low": plain(of.min()), "high": plain(of.max())}
                for metric, of in random.items()
            }
            told_rows.append({"name": f"{len(drawn)} random sets", **spread})
        return {
            "rows": told_rows,
            "n_windows": len(self.windows),
            "n_documents": self.windows.n_documents,
            "random": "Random sets: as many heads of the same layers; mean, lowest and highest of the sets."
            if drawn
            else "All heads of these layers are in the set: there are no others to draw.",
        }
