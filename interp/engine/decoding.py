"""Decoding: hidden states with a key/value store in which every row has its own length, and greedy choices.

``generate`` pads a batch to one length and starts all texts at the same step. Here, each window continues from its own
first miss, in one batch with windows that missed elsewhere. Each row's keys are written at its own positions, and a
mask hides later ones. Only requested positions are unembedded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformers import PretrainedConfig

from interp.brief import Brief
from interp.engine.attention import attention_window, layer_kinds
from interp.engine.key_values import KeyValues
from interp.engine.plain import plain_model
from interp.engine.readout import (
    LOGITS_AT_ONCE,
    POSITIONS_AT_ONCE,
    Choice,
    DecodingError,
    at_least_float32,
    choose,
)
from interp.models.hooks import attached_hooks, logits
from interp.models.verify import relative_error

STEPWISE = 1e-4
"""Largest relative error of logits read position by position, compared with the whole text. A few units of rounding are
also accepted."""


@dataclass(frozen=True, repr=False, eq=False)
class Decoder(Brief):
    """A model's body and head. Uses the plain model if it is equivalent, otherwise the bridge."""

    body: nn.Module
    head: nn.Module
    config: PretrainedConfig
    device: torch.device
    through: str
    """``plain``, ``bridge``, or ``whole texts``. In the last, the bridge reads each text from its beginning in every
    pass. It is slow, but correct for architectures that cannot continue rows of different lengths."""

    @classmethod
    @torch.no_grad()
    def of(cls, model: TransformerBridge, probe: Int[Tensor, "batch pos"], *, stepwise: bool = True) -> Decoder:
        """The decoder of a model in its present state. Uses the plain model only if its logits on the probe agree.

        Args:
            model: a booted model.
            probe: one or two of the texts to be decoded, at full length: an attention window or a hook may act only
                beyond the first positions.
            stepwise: whether texts will be read position by position, not only as a whole.

        Raises:
            DecodingError: no way of decoding gives the logits of the whole model when the last position is read alone.
        """
        hf, device = model.original_model, torch.device(model.cfg.device)
        tokens = probe.to(device)
        whole = logits(model, tokens)
        hooks = attached_hooks(model)
        ways = {"plain": plain_model(model), "bridge": hf} | ({} if hooks else {"whole texts": hf})
        for through, way in ways.items():
            if way is not None:
                decoder = cls(way.get_decoder(), way.get_output_embeddings(), hf.config, device, through)
                error = decoder._disagreement(tokens, whole, stepwise=stepwise, hooked=bool(hooks))
                # Fused and stepwise attention round differently, by a few units of the model's type.
                rounding = 30 * torch.finfo(whole.dtype).eps
                if error <= (rounding if through == "plain" else max(rounding, STEPWISE)):
                    return decoder
        raise DecodingError(
            f"{model.cfg.model_name} "
            + ("read position by position" if stepwise else "without its wrapper")
            + f" differs from the whole model by {error:.2g} of its logits"
            + (
                f"; it is hooked at {', '.join(hooks)}: a hook must act inside the model, and the same on one "
                "position as on a whole text"
                if hooks
                else "; its text cannot be decoded here"
            )
        )

    def _disagreement(
        self,
        tokens: Int[Tensor, "batch pos"],
        whole: Float[Tensor, "batch pos d_vocab"],
        *,
        stepwise: bool,
        hooked: bool,
    ) -> float:
        """Relative error of the logits, compared with the whole model. Infinite if the pass fails.

        In stepwise mode, all but the last two positions are read together, and then one alone, as in decoding: first a
        different position in each of two rows, then the same in both. Room is left after it, so the mask is that of
        decoding.
        """
        if not stepwise:
            return relative_error(self.logits(self.hidden(tokens)), whole)
        n, two = max(1, tokens.shape[1] - 2), [0, -1]
        rows, store = tokens[two], KeyValues(2, tokens.shape[1])
        at = torch.tensor([n - 1, n], device=tokens.device)
        try:
            together = self.hidden_after(rows[:, :n], store, start=0, end=n)
            apart = self.hidden_after(rows.gather(1, at[:, None]), store, start=at, end=n + 1)
            last = self.hidden_after(rows[:, n : n + 1], store, start=n, end=n + 1)
        except Exception:
            if hooked:
                raise
            return float("inf")  # The architecture's own code cannot run such a pass.
        expected = [whole[two, :n], whole[two, at][:, None], whole[two, n : n + 1]]
        return relative_error(self.logits(torch.cat([together, apart, last], dim=1)), torch.cat(expected, dim=1))

    def hidden(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """Final hidden states (after the last norm) of whole texts, in one pass."""
        return self.body(input_ids=tokens, use_cache=False).last_hidden_state

    def hidden_after(
        self,
        tokens: Int[Tensor, "row pos"],
        store: KeyValues,
        *,
        start: int | Int[Tensor, " row"],
        end: int,
        rows: slice | Int[Tensor, " row"] | None = None,
    ) -> Float[Tensor, "row pos d_model"]:
        """Final hidden states of tokens that continue the texts in the store.

        Args:
            tokens: the next tokens of each row.
            store: keys and values of the earlier tokens. Those of the new tokens are added.
            start: position of the first new token: one for all rows, or one per row.
            end: one more than the last position of any row.
            rows: the rows of the store to continue. Default: all.
        """
        n_new = tokens.shape[1]
        if self.through == "whole texts":
            store.aim(slice(0, store.n_rows) if rows is None else rows, start, end)
            texts, places = store.texts(tokens)
            hidden = self.hidden(texts)
            return hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
        # One token per row: masked products over the whole store take a third of the time of products over a slice,
        # whose rows are not contiguous.
        read = store.n_pos if n_new == 1 and tokens.device.type == "cpu" else end
        store.aim(slice(0, store.n_rows) if rows is None else rows, start, read)
        new = torch.arange(n_new, device=tokens.device)
        if isinstance(start, int) and (start == 0 or n_new == 1) and read == end and not self._slides:
            # Whole texts, or one token that sees all earlier ones, need no mask. The model is faster without one.
            positions = mask = None
        else:
            positions = (new + start)[None] if isinstance(start, int) else start[:, None] + new
            mask = self._mask(positions, read)
        return self.body(
            input_ids=tokens, position_ids=positions, attention_mask=mask, past_key_values=store, use_cache=True
        ).last_hidden_state

    @property
    def _slides(self) -> bool:
        return "sliding_attention" in layer_kinds(self.config)

    def _mask(self, positions: Int[Tensor, "row pos"], n_keys: int) -> Tensor | dict[str, Tensor]:
        """Additive attention mask; one per kind of layer if the configuration names kinds."""
        dtype = next(self.head.parameters()).dtype
        query, key = positions[:, None, :, None], torch.arange(n_keys, device=positions.device)

        def additive(visible: Tensor) -> Tensor:
            return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
                ~visible, torch.finfo(dtype).min
            )

        full = key <= query
        if not self._slides:
            return additive(full)
        near = full & (key > query - (attention_window(self.config) or 0))
        if not getattr(self.config, "layer_types", None):
            return additive(near)
        return {"full_attention": additive(full), "sliding_attention": additive(near)}

    def logits(self, hidden: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_vocab"]:
        """The model's logits, in float32 or better."""
        logits = self.head(hidden)
        cap = getattr(self.config, "final_logit_softcapping", None)
        if cap is not None:  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        return at_least_float32(logits)

    def choose(
        self, hidden: Float[Tensor, "batch chosen d_model"], truth: Int[Tensor, "batch chosen"] | None = None
    ) -> Choice:
        """Greedy choice at each hidden state. Rows are unembedded in parts."""
        n_rows = max(
            1, POSITIONS_AT_ONCE // hidden.shape[1], LOGITS_AT_ONCE // (hidden.shape[1] * self.config.vocab_size)
        )
        parts = [
            choose(self.logits(hidden[i : i + n_rows]), None if truth is None else truth[i : i + n_rows])
            for i in range(0, len(hidden), n_rows)
        ]
        return Choice(
            token=torch.cat([part.token for part in parts]),
            near_tie=torch.cat([part.near_tie for part in parts]),
            finite=torch.cat([part.finite for part in parts]),
            log_prob=None if truth is None else torch.cat([p.log_prob for p in parts if p.log_prob is not None]),
        )


@torch.no_grad()
def greedy_decode(model: TransformerBridge, tokens: Int[Tensor, "batch pos"], *, n_tokens: int) -> Choice:
    """The ``n_tokens`` greedy tokens after ``tokens``, by the bridge with all its hooks.

    End-of-text neither stops the text nor is suppressed. The first pass runs on ``tokens``, each later one on one
    position.
    """
    step, cache, choices = tokens.to(model.cfg.device), None, []
    for _ in range(n_tokens):
        out = model.original_model.get_decoder()(input_ids=step, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits = model.original_model.get_output_embeddings()(out.last_hidden_state[:, -1:])
        choices.append(choose(at_least_float32(logits)))
        step = choices[-1].token
    return Choice(
        token=torch.cat([choice.token for choice in choices], dim=1).cpu(),
        near_tie=torch.cat([choice.near_tie for choice in choices], dim=1).cpu(),
        finite=torch.cat([choice.finite for choice in choices], dim=1).cpu(),
        log_prob=None,
    )
