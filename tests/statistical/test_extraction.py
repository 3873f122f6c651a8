from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, PreTrainedModel

from interp.data.windows import WindowError, Windows
from interp.engine.greedy import first_misses
from interp.engine.readout import NEAR_TIE, DecodingError, choose
from interp.statistical.extraction import extract


@pytest.fixture(scope="module")
def hf_models(checkpoints: dict[str, Path]) -> dict[str, PreTrainedModel]:
    """The same checkpoints, without a bridge."""
    return {
        family: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        for family, path in checkpoints.items()
    }


def hf_generate(hf: PreTrainedModel, prefix: torch.Tensor, n: int) -> np.ndarray:
    """Hugging Face's own greedy text, one batch, end-of-text a token like any other."""
    options = {"do_sample": False, "min_new_tokens": n, "max_new_tokens": n, "eos_token_id": None, "pad_token_id": 0}
    return hf.generate(prefix, attention_mask=torch.ones_like(prefix), **options)[:, prefix.shape[1] :].numpy()


@pytest.fixture(scope="module")
def written(hf_models: dict[str, PreTrainedModel], windows: Windows) -> dict[str, np.ndarray]:
    """What Hugging Face writes after each window's prefix."""
    return {family: hf_generate(hf, windows.prefix, 32) for family, hf in hf_models.items()}


@pytest.fixture(scope="module")
def recited(written: dict[str, np.ndarray], windows: Windows) -> dict[str, Windows]:
    """Windows of which a model writes all, the first 3, 20 or 31 tokens, or none: every path of decoding."""
    made = {}
    for family, text in written.items():
        tokens = torch.cat([windows.prefix, torch.from_numpy(text)], dim=1)
        for row, wrong in enumerate([None, 3, 20, 31, 0, None, 3, 3, 1, 30, None, 2]):
            if wrong is not None:
                tokens[row, windows.prefix_len + wrong] = (tokens[row, windows.prefix_len + wrong] + 1) % 2048
        made[family] = replace(windows, tokens=tokens)
    return made


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_text_is_that_of_hugging_face_for_any_batch_size(
    model: TransformerBridge, family: str, written: dict[str, np.ndarray], recited: dict[str, Windows], batch_size: int
) -> None:
    n_windows = 5 if batch_size == 1 else 12
    result = extract(model, recited[family].select(np.arange(n_windows)), batch_size=batch_size)
    np.testing.assert_array_equal(result.generated, written[family][:n_windows])
    assert result.exact_run.tolist() == [32, 3, 20, 31, 0, 32, 3, 3, 1, 30, 32, 2][:n_windows]


def test_text_is_the_same_without_log_prob(
    model: TransformerBridge, family: str, written: dict[str, np.ndarray], recited: dict[str, Windows]
) -> None:
    result = extract(model, recited[family], log_prob=False, batch_size=7)
    np.testing.assert_array_equal(result.generated, written[family])
    assert np.isnan(result.log_prob).all()
    assert result.to_frame()["log_prob"].isna().all()


def test_text_is_the_same_through_a_hooked_bridge(
    model: TransformerBridge, family: str, written: dict[str, np.ndarray], recited: dict[str, Windows]
) -> None:
    with model.hooks(fwd_hooks=[("blocks.1.attn.hook_z", lambda z, hook: z)]):
        hooked = extract(model, recited[family])
    free = extract(model, recited[family])
    assert (hooked.provenance.settings["through"], free.provenance.settings["through"]) == ("bridge", "plain")
    np.testing.assert_array_equal(hooked.generated, written[family])
    np.testing.assert_allclose(hooked.log_prob, free.log_prob, atol=1e-3)


@pytest.mark.parametrize("prefix_len", [1, 47, 63])
def test_any_prefix_length(
    model: TransformerBridge,
    family: str,
    hf_models: dict[str, PreTrainedModel],
    recited: dict[str, Windows],
    prefix_len: int,
) -> None:
    result = extract(model, recited[family], prefix_len=prefix_len)
    expected = hf_generate(hf_models[family], recited[family].tokens[:, :prefix_len], 64 - prefix_len)
    np.testing.assert_array_equal(result.generated, expected)
    assert result.windows.prefix_len == prefix_len
    assert result.provenance.settings["prefix_len"] == prefix_len


def test_scores_count_right_tokens(model: TransformerBridge, family: str, recited: dict[str, Windows]) -> None:
    result = extract(model, recited[family])
    truth = recited[family].continuation.numpy()
    for row in range(len(truth)):
        n_right = sum(int(a == b) for a, b in zip(result.generated[row], truth[row], strict=True))
        assert result.score[row] == n_right / 32
        assert result.memorized[row] == (n_right == 32)
    assert result.memorized.tolist() == [True, *[False] * 4, True, *[False] * 4, True, False]


def test_log_prob_is_that_of_the_true_tokens(
    model: TransformerBridge, family: str, checkpoints: dict[str, Path], windows: Windows
) -> None:
    hf = AutoModelForCausalLM.from_pretrained(checkpoints[family], dtype=torch.float64).eval()
    with torch.no_grad():
        log_probs = hf(windows.tokens).logits.log_softmax(-1)
    expected = torch.stack([log_probs[:, p - 1].gather(1, windows.tokens[:, p, None])[:, 0] for p in range(32, 64)], 1)
    result = extract(model, windows)
    np.testing.assert_allclose(result.log_prob, expected.numpy(), atol=1e-3)
    np.testing.assert_array_equal(result.to_frame()["log_prob"], result.log_prob.mean(axis=1))


def test_end_of_text_neither_stops_nor_is_suppressed(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """A head that always prefers token 0, the end of text, writes nothing else."""
    model = models["Pythia"]
    head = model.original_model.get_output_embeddings()
    bias = torch.zeros(2048)
    bias[0] = 1e4
    handle = head.register_forward_hook(lambda _module, _args, out: out + bias)
    try:
        assert (extract(model, windows).generated == 0).all()
    finally:
        handle.remove()


def test_first_miss_by_hand() -> None:
    right = torch.tensor([[True, True, True], [False, True, True], [True, False, False], [True, True, False]])
    assert first_misses(right).tolist() == [3, 0, 1, 2]


def test_choice_by_hand() -> None:
    logits = torch.tensor(
        [[[1.0, 3.0, 3.0 - NEAR_TIE / 2], [2.0, 2.0, 0.0], [5.0, 4.9, 0.0], [0.0, float("nan"), 1.0]]]
    )
    choice = choose(logits)
    assert choice.token[0, :3].tolist() == [1, 0, 0]
    assert choice.near_tie[0, :3].tolist() == [True, True, False]
    assert choice.finite[0].tolist() == [True, True, True, False]


def test_near_ties_are_counted(models: dict[str, TransformerBridge], windows: Windows) -> None:
    """With a head that gives tokens 5 and 9 the same, largest logit, every choice is a near tie."""
    model = models["OLMo2"]

    def tie(_module: torch.nn.Module, _args: object, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        out[..., [5, 9]] = 1e4
        return out

    handle = model.original_model.get_output_embeddings().register_forward_hook(tie)
    try:
        result = extract(model, windows)
    finally:
        handle.remove()
    assert (result.generated == 5).all()
    assert result.near_ties.tolist() == [32] * 12
    assert result.n_near_ties == 32 * 12


def test_refuses_nan_with_the_window(models: dict[str, TransformerBridge], windows: Windows) -> None:
    model = models["Pythia"]
    tokens = windows.tokens.clone()
    tokens[tokens == 2047] = 0
    tokens[7, -2] = 2047

    def poison(_module: torch.nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
        return torch.where((args[0] == 2047)[..., None], float("nan"), out)

    handle = model.original_model.get_input_embeddings().register_forward_hook(poison)
    try:
        with pytest.raises(DecodingError, match=r"window 7 .*document-3.* 0 others"):
            extract(model, replace(windows, tokens=tokens), batch_size=5)
    finally:
        handle.remove()


@pytest.mark.parametrize("prefix_len", [0, 64, -1])
def test_refuses_a_prefix_outside_the_window(
    models: dict[str, TransformerBridge], windows: Windows, prefix_len: int
) -> None:
    with pytest.raises(WindowError, match=f"prefix_len={prefix_len}"):
        extract(models["Pythia"], windows, prefix_len=prefix_len)


def test_refuses_no_windows_and_foreign_ids(models: dict[str, TransformerBridge], windows: Windows) -> None:
    with pytest.raises(WindowError, match="no windows"):
        extract(models["Pythia"], windows.select(np.zeros(12, dtype=bool)))
    foreign = windows.tokens.clone()
    foreign[4, 9] = 5000
    with pytest.raises(WindowError, match=r"document-2.*5000"):
        extract(models["Pythia"], replace(windows, tokens=foreign))
