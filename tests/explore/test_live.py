"""What the explorer says of a running model is what the measurements say, in every architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer

import interp
from interp.data.windows import Windows
from interp.explore.explorer import Explorer, explore
from interp.explore.live import Live
from interp.explore.text import token_texts
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.sets import ablate_sets
from interp.internal.comparison.attention_targets import attention_targets
from interp.internal.lens.logit_lens import logit_lens
from interp.models.hooks import activations, hook_name
from interp.planted.shapes import TOKENIZER
from interp.statistical.extraction import extract

ROW = 3


def live_on(model: TransformerBridge, windows: Windows) -> Live:
    return Live(model, windows, reference=None, seed=0)


def test_attention_is_the_models_own(model: TransformerBridge, windows: Windows) -> None:
    live = live_on(model, windows)
    for layer in range(model.cfg.n_layers):
        (pattern,) = activations(model, windows.tokens[ROW : ROW + 1], hook_name("hook_pattern", layer)).values()
        for head in range(model.cfg.n_heads):
            rows = live.attention(ROW, layer, head)["rows"]
            assert [len(row) for row in rows] == list(range(1, 65))
            for query, row in enumerate(rows):
                np.testing.assert_allclose(np.array(row) / 1000, pattern[0, head, query, : query + 1], atol=6e-4)


def test_layers_are_the_logit_lens(model: TransformerBridge, windows: Windows) -> None:
    found, lens = live_on(model, windows).lens(ROW), logit_lens(model, windows.select(np.array([ROW])))
    np.testing.assert_allclose(found["probability"], lens.probability[:, 0], atol=1e-5)
    np.testing.assert_allclose(found["rank"], lens.rank[:, 0], atol=1)
    assert found["depth"] == lens.depth.tolist()
    decided = np.array(found["decided"], dtype=float)
    np.testing.assert_array_equal(decided, lens.first_layer(0.5).layer[0])
    written = extract(model, windows.select(np.array([ROW])))
    assert found["token"][-1][0] == model.tokenizer.decode([written.generated[0, 0]])


def test_text_without_a_head_is_the_sets(model: TransformerBridge, windows: Windows) -> None:
    live = live_on(model, windows)
    one = windows.select(np.array([ROW]))
    swept = ablate_heads(model, one, heads=[(1, 2)], by_token=True, metrics="score")
    for prepared in (False, True):
        if prepared:
            live = live_on(model, windows)
            live.prepare([((1, 2),)], "zero")
        found = live.ablated(ROW, "zero", ((1, 2),))
        np.testing.assert_allclose(found["before"], swept.token_log_prob_clean[0], atol=1e-4)
        np.testing.assert_allclose(found["after"], swept.token_log_prob[1, 2, 0], atol=1e-4)
        assert np.mean(found["text"]["ablated"]["right"]) == swept.score[1, 2, 0]
        clean = extract(model, one).generated[0]
        assert found["text"]["clean"]["token"] == token_texts(clean.tolist(), model.tokenizer)


def test_what_heads_look_at_is_the_measurement(models: dict[str, TransformerBridge], windows: Windows) -> None:
    found, measured = live_on(models["OLMo3"], windows).targets(), attention_targets(models["OLMo3"], windows)
    for quantity in ("first", "start", "rare", "induction", "entropy"):
        np.testing.assert_allclose(np.array(found[quantity]["value"], dtype=float), measured.mean(quantity), rtol=1e-4)


def test_a_set_stands_beside_the_clean_model_and_random_sets(
    models: dict[str, TransformerBridge], windows: Windows
) -> None:
    live, heads, told = live_on(models["OLMo2"], windows), ((0, 1), (0, 2), (2, 3)), []
    found = live.set("peer_mean", heads, told.append)
    drawn = live.random_sets(heads)
    measured = ablate_sets(models["OLMo2"], windows, [(), heads, *drawn], "peer_mean", metrics=("log_prob", "score"))
    table = measured.to_frame().set_index(["metric", "set"])
    for row, name in enumerate(("nothing ablated", "the set, 3 heads")):
        assert found["rows"][row]["name"] == name
        for quantity in ("rate", "log_prob", "score"):
            for end in ("value", "low", "high"):
                expected = table.loc[(quantity, row), end]
                assert found["rows"][row][quantity][end] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    random = found["rows"][2]["log_prob"]
    assert [random["low"], random["high"]] == pytest.approx(
        [measured.log_prob[2:].mean(1).min(), measured.log_prob[2:].mean(1).max()], rel=1e-4
    )
    assert sum(told) == len(windows) * (2 + len(drawn))


def test_random_sets_are_other_heads_of_the_same_layers(models: dict[str, TransformerBridge], windows: Windows) -> None:
    live = live_on(models["Pythia"], windows)
    heads = ((0, 1), (2, 0), (2, 3))
    for one in live.random_sets(heads):
        assert [layer for layer, _ in one] == [0, 2, 2]
        assert not set(one) & set(heads)
        assert len(set(one)) == 3
    assert live.random_sets(heads) == live.random_sets(heads)
    most = tuple((1, head) for head in range(3))
    assert all(len(set(one)) == 3 for one in live.random_sets(most))
    whole = tuple((1, head) for head in range(4))
    assert live.random_sets(whole) == []
    assert len(live.set("zero", whole)["rows"]) == 2


def test_a_resampled_head_is_the_same_on_one_window_and_on_all(
    models: dict[str, TransformerBridge], windows: Windows
) -> None:
    model = models["StarCoder"]
    swept = ablate_heads(model, windows, "resample", heads=[(1, 2)], by_token=True)
    found = live_on(model, windows).ablated(ROW, "resample", ((1, 2),))
    np.testing.assert_allclose(found["after"], swept.token_log_prob[1, 2, ROW], atol=1e-4)


def test_shown_windows_are_memorized_ones_first(swept) -> None:
    (shown,) = explore(swept.ablation, model=swept.model).shown
    assert shown.memorized.tolist() == sorted(shown.memorized.tolist(), reverse=True)
    assert 0 < shown.memorized.sum() == swept.ablation.memorized_clean.sum()


def test_what_a_sweep_kept_is_shown_without_its_model(swept) -> None:
    explorer = explore(swept.ablation)
    found = explorer.answer(["ablated", 0, 2, "zero", [[1, 3]]])
    falls = np.array(found["before"]) - found["after"]
    np.testing.assert_allclose(falls, swept.ablation.token_falls()[1, 3, 2], atol=1e-4)
    for request in (
        ["attention", 0, 0, 0, 0],
        ["set", 0, "zero", [[0, 0]]],
        ["ablated", 0, 2, "zero", [[1, 3], [0, 0]]],
    ):
        with pytest.raises(ValueError, match="needs the model"):
            explorer.answer(request)


def test_a_sweep_adds_a_method(swept) -> None:
    explorer = explore(swept.ablation, model=swept.model)
    told = explorer.answer(["sweep", 0, "peer_mean"])
    assert told["methods"] == ["zero", "peer_mean"]
    value = explorer.answer(["map", 0, "peer_mean", "log_prob", "all windows", 0])["value"]
    wanted = ablate_heads(swept.model, swept.windows, "peer_mean").importance()
    np.testing.assert_allclose(value, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    "text",
    ["plain words and\n\tan indent", "مرحبا بالعالم", "👩‍👩‍👧 and 🇯🇵 日本語", "</script><img src=x onerror=alert(1)>"],
)
def test_texts_of_tokens_make_up_the_text(text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    ids = tokenizer(text * 3, add_special_tokens=False)["input_ids"]
    texts = token_texts(ids, tokenizer)
    assert len(texts) == len(ids)
    assert "".join(texts) == tokenizer.decode(ids)
    assert "\ufffd" not in "".join(texts)
    assert token_texts([5, 7], None) == ["#5", "#7"]


def test_broken_bytes_do_not_swallow_what_follows() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    word = tokenizer(" word", add_special_tokens=False)["input_ids"]
    half = tokenizer("日", add_special_tokens=False)["input_ids"][:1]
    texts = token_texts([*half, *word, *word], tokenizer)
    assert "".join(texts).count(" word") == 2
    assert torch.tensor(list(map(len, texts))).sum() <= 2 * len(" word") + 1


def test_the_function_is_there_before_and_after_its_room(swept) -> None:
    for _ in range(2):
        assert isinstance(interp.explore(swept.ablation), Explorer)
