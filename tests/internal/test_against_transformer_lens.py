"""Against TransformerLens' own tools, which are an independent implementation of three of these measurements.

Where they depart from ours: its lens is asked for one target and no divergence. Its attribution patching scores a pair
of prompts, node by node at each position. Its direct attribution needs the norm folded into the unembedding, which
changes the model, and refuses a model whose attention is followed by a norm.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import attribution_patch, direct_logit_attribution
from transformer_lens.tools.analysis import logit_lens as their_lens

from interp.data.windows import Windows
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.replacement import Ablation
from interp.internal.lens.logit_attribution import logit_attribution
from interp.internal.lens.logit_lens import logit_lens
from interp.models.loading import load_model


def test_the_lens_reads_what_theirs_reads(model: TransformerBridge, windows: Windows) -> None:
    few = windows.select(np.arange(3))
    ours = logit_lens(model, few)
    tokens = few.tokens
    theirs = their_lens(
        model, tokens[:, :-1], positions=None, targets=tokens[:, 1:], return_type="log_probs", chunk_size=256
    )
    at = slice(few.prefix_len - 1, None)
    log_prob = theirs.values[:, :, at].reshape(ours.log_prob.shape)  # of the target alone
    assert len(theirs.labels) == len(ours.point)
    np.testing.assert_allclose(ours.log_prob, log_prob.numpy(), atol=2e-5)
    np.testing.assert_allclose(ours.entropy, theirs.readout.entropy[:, :, at].numpy(), atol=2e-5)
    # Theirs counts the larger logits, ours half of the equal ones as well. Two logits may change places by rounding.
    apart = np.abs(ours.rank - theirs.rank_trajectory().reshape(len(theirs.labels), len(few), -1)[:, :, at].numpy())
    assert apart.max() <= 1
    assert (apart == 0).mean() > 0.99


def test_the_gradient_estimate_is_their_attribution_patching(model: TransformerBridge, windows: Windows) -> None:
    """Theirs takes the gradient on the corrupt run and points to the clean one: ours on the tested, to the stand-in."""
    tested, stand_in = windows.select(np.array([0])), windows.select(np.array([7]))
    ours = estimate_heads(model, tested, Ablation("resample", reference=stand_in)).fall[:, :, 0]
    truth = tested.tokens[0, tested.prefix_len :]

    def metric(logits: Tensor) -> Tensor:
        log_prob = logits[..., tested.prefix_len - 1 : -1, :].log_softmax(-1).reshape(len(truth), -1)
        return log_prob.gather(-1, truth[:, None]).mean()

    found = attribution_patch(model, clean=stand_in.tokens, corrupt=tested.tokens, metric_fn=metric)
    theirs = np.zeros(ours.shape)
    for node, score in found.node_scores.items():
        if node.kind == "attn_head_out":
            theirs[node.layer, node.head] -= score
    assert np.abs(ours).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(ours).max()))


@pytest.mark.parametrize("name", ["Pythia", "OpenLLaMA", "StarCoder", "OLMo1"])
def test_shares_of_heads_are_those_of_their_direct_attribution(checkpoints, windows: Windows, name: str) -> None:
    few = windows.select(np.arange(2))
    ours = logit_attribution(load_model(checkpoints[name]), few)
    folded = load_model(checkpoints[name])
    wanted = {"fold_ln": True, "center_writing_weights": False, "center_unembed": False, "fold_value_biases": False}
    known = inspect.signature(folded.enable_compatibility_mode).parameters
    folded.enable_compatibility_mode(disable_warnings=True, **{k: v for k, v in wanted.items() if k in known})
    for row in range(len(few)):
        for i in (0, 13, few.continuation_len - 1):
            position = few.prefix_len - 1 + i
            theirs = direct_logit_attribution(
                folded, few.tokens[row : row + 1], int(few.tokens[row, position + 1]), unit="head", pos=position
            )
            by_label = dict(zip(theirs.labels, theirs.attribution.flatten().tolist(), strict=True))
            for layer in range(folded.cfg.n_layers):
                for head in range(folded.cfg.n_heads):
                    assert ours.head[layer, head, row, i] == pytest.approx(by_label[f"L{layer}H{head}"], abs=2e-4)
