"""Sets of heads, whole layers and the cumulative curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import random_windows, written_by
from einops import rearrange
from test_head_ablation import METHODS
from transformer_lens.model_bridge import TransformerBridge

from interp.internal.ablation.choices import Method
from interp.internal.ablation.cumulative import cumulative_ablation
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.replacement import Ablation, AblationError
from interp.internal.ablation.sets import ablate_sets, whole_layer
from interp.models.hooks import checked_hooks, hook_name, logits

ALL = ("log_prob", "rate", "score")


def test_ablating_nothing_is_exact(model: TransformerBridge) -> None:
    windows = written_by(model, random_windows(6, seed=1))
    nothing = ablate_sets(model, windows, [()], metrics=ALL)
    out = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1]
    truth = windows.continuation
    log_prob = out.log_softmax(-1).gather(-1, truth[..., None]).squeeze(-1).mean(-1).detach().double().numpy()
    np.testing.assert_allclose(nothing.log_prob[0], log_prob, atol=1e-5)
    np.testing.assert_array_equal(nothing.memorized[0], (out.argmax(-1) == truth).all(-1).numpy())


def test_all_heads_of_a_layer_is_no_attention(model: TransformerBridge) -> None:
    windows = random_windows(6, seed=2)
    layer = 1
    ablated = ablate_sets(model, windows, [whole_layer(model, layer)])

    # What the layer adds to the residual stream with z = 0: its output projection's bias, normed where a norm follows.
    block = model.blocks[layer]
    merged = torch.zeros(6, windows.tokens.shape[1], model.cfg.n_heads * model.cfg.d_head)
    projected = block.attn.o.original_component(merged)
    added = block.ln1_post.original_component(projected) if hasattr(block, "ln1_post") else projected

    with checked_hooks(model, {hook_name("hook_attn_out", layer): lambda a, hook: added}):
        out = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1]
    log_prob = out.log_softmax(-1).gather(-1, windows.continuation[..., None]).squeeze(-1).mean(-1)
    np.testing.assert_allclose(ablated.log_prob[0], log_prob.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_set_of_one_is_that_head(model: TransformerBridge, method: Method) -> None:
    windows = written_by(model, random_windows(8, seed=3))
    settings = dict(
        ablation=Ablation(method, reference=random_windows(5, seed=4) if method == "mean" else None, seed=5),
        metrics=ALL,
    )
    alone = ablate_heads(model, windows, heads=[(1, 2), (3, 0)], **settings)
    sets = ablate_sets(model, windows, [[(1, 2)], [(3, 0)]], batch_size=3, **settings)
    for i, (layer, head) in enumerate([(1, 2), (3, 0)]):
        np.testing.assert_allclose(sets.log_prob[i], alone.log_prob[layer, head], atol=1e-4)
        np.testing.assert_array_equal(sets.memorized[i], alone.memorized[layer, head])
        np.testing.assert_array_equal(sets.score[i], alone.score[layer, head])
        np.testing.assert_array_equal((sets.generated[i] == windows.continuation.numpy()).mean(-1), sets.score[i])


def test_a_set_over_layers_is_one_hooked_pass(model: TransformerBridge) -> None:
    windows = random_windows(5, seed=6)
    heads = [(0, 1), (2, 0), (2, 3)]

    def edit(*which: int):
        def fn(z: torch.Tensor, hook: object) -> torch.Tensor:
            z = z.clone()
            others = [h for h in range(4) if h not in which]
            z[:, :, list(which)] = rearrange(z[:, :, others].mean(2), "b p d -> b p 1 d")
            return z

        return fn

    with checked_hooks(model, {hook_name("hook_z", 0): edit(1), hook_name("hook_z", 2): edit(0, 3)}):
        out = logits(model, windows.tokens)[:, windows.prefix_len - 1 : -1]
    log_prob = out.log_softmax(-1).gather(-1, windows.continuation[..., None]).squeeze(-1).mean(-1)
    ours = ablate_sets(model, windows, [heads], "peer_mean")
    np.testing.assert_allclose(ours.log_prob[0], log_prob.detach().numpy(), atol=1e-4)
    assert ours.to_frame().loc[0, "heads"] == "0.1 2.0 2.3"


def test_peer_mean_of_a_whole_layer_is_refused(models: dict[str, TransformerBridge]) -> None:
    model = models["OLMo1"]
    with pytest.raises(AblationError, match="all 4 heads of layer 2: no head is left"):
        ablate_sets(model, random_windows(3, seed=1), [whole_layer(model, 2)], "peer_mean")


def test_cumulative_curve(models: dict[str, TransformerBridge]) -> None:
    model = models["OpenLLaMA"]
    windows = written_by(model, random_windows(8, seed=3))
    ranking = ablate_heads(model, windows).top(16)
    curve = cumulative_ablation(model, windows, ranking, n_random=3, seed=1)
    assert curve.n_ablated.tolist() == [0, 1, 2, 3, 4, 6, 8, 12, 16]
    sets = ablate_sets(model, windows, [(), ranking[:3], ranking])
    for count, i in ((0, 0), (3, 1), (16, 2)):
        np.testing.assert_allclose(curve.log_prob[curve.n_ablated.tolist().index(count)], sets.log_prob[i], atol=1e-5)
    # All orders begin with nothing and end with everything ablated.
    for end in (0, -1):
        np.testing.assert_allclose(curve.random_log_prob[:, end], np.tile(curve.log_prob[end], (3, 1)), atol=1e-5)
    other = cumulative_ablation(model, windows, ranking, n_random=3, seed=2)
    assert not np.allclose(other.random_log_prob[:, 3], curve.random_log_prob[:, 3])
    frame = curve.to_frame()
    assert (frame["random_min"] <= frame["random_max"]).all()
    rate = frame[frame["metric"] == "rate"]
    assert rate["value"].tolist() == pytest.approx(curve.memorized.mean(axis=1).tolist())


def test_cumulative_refusals(models: dict[str, TransformerBridge]) -> None:
    model, windows = models["OLMo1"], random_windows(3, seed=1)
    with pytest.raises(AblationError, match="the ranking has 1"):
        cumulative_ablation(model, windows, [(0, 0)], n_ablated=[2])
    with pytest.raises(AblationError, match="named twice"):
        cumulative_ablation(model, windows, [(0, 0), (0, 0)])
    with pytest.raises(AblationError, match="draw at least 1"):
        cumulative_ablation(model, windows, [(0, 0)], n_random=0)
