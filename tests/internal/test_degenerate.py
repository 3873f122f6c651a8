"""One window, one document, copies, no known domain: the internal level gives what is known, NaN or one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.errors import InterpError
from interp.internal.ablation.cumulative import cumulative_ablation, ranking_half
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.ablation.screening import screen_heads
from interp.internal.comparison.agreement import agreement
from interp.internal.comparison.attention_targets import ENTROPY, attention_targets
from interp.internal.comparison.profiles import concentration, importance_profile
from interp.internal.lens.distributions import READ, Distribution, decode
from interp.internal.lens.logit_attribution import logit_attribution
from interp.internal.lens.logit_lens import logit_lens
from interp.internal.noise.residual import perturb
from interp.internal.noise.substitution import ends, substitute_sets
from interp.stats.curves import memorization_groups


def some_tokens(n: int, length: int = 8) -> torch.Tensor:
    return torch.randint(0, 2048, (n, length), generator=torch.Generator().manual_seed(2))


DEGENERATE = {
    "one window of one continuation token": Windows.from_tokens(some_tokens(1, 5), prefix_len=4),
    "one document": Windows.from_tokens(some_tokens(4), prefix_len=4, document=["d"] * 4),
    "copies": Windows.from_tokens(some_tokens(1).repeat(3, 1), prefix_len=4),
    "one token": Windows.from_tokens(torch.full((3, 8), 7), prefix_len=4),
}


def halves(windows: Windows) -> dict[str, np.ndarray]:
    """A group of the first half, of the rest, and (of one window) an empty one."""
    return memorization_groups((np.arange(len(windows)) < len(windows) // 2).astype(float))


MEASURED: dict[str, Callable[[TransformerBridge, Windows], Any]] = {
    "ablation": lambda m, w: ablate_heads(m, w, metrics=("log_prob", "rate", "score")).to_frame(),
    "resample": lambda m, w: ablate_heads(m, w, "resample").top(3, "rate"),
    "screening": lambda m, w: screen_heads(m, w).to_frame(),
    "agreement": lambda m, w: agreement(
        ablate_heads(m, w).falls("rate"), estimate_heads(m, w).fall, documents=w.document, n_resamples=9
    ),
    "cumulative": lambda m, w: cumulative_ablation(m, w, [(0, 0), (0, 1)], n_random=1).to_frame(),
    "ranking half": lambda m, w: ranking_half(w, seed=0),
    "profile": lambda m, w: [
        importance_profile(ablate_heads(m, w).falls("rate"), w.document, representation="depth", n_resamples=9),
        concentration(ablate_heads(m, w).falls("rate"), w.document, n_resamples=9),
    ],
    "lens": lambda m, w: logit_lens(m, w).curves("rank", groups=halves(w)),
    "first layer": lambda m, w: logit_lens(m, w).first_layer().summary(halves(w)),
    "attribution": lambda m, w: logit_attribution(m, w).to_frame(),
    "substitution": lambda m, w: substitute_sets(m, w, ends(4, sizes=(1,)), n_draws=1).curves("memorized"),
    "attention": lambda m, w: attention_targets(m, w).top_against_rest(np.arange(16.0).reshape(4, 4), share=1.0),
}


@pytest.mark.parametrize("name", MEASURED)
def test_degenerate_windows_give_values_or_one_line_and_never_a_warning(
    models: dict[str, TransformerBridge], name: str
) -> None:
    for kind, windows in DEGENERATE.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                MEASURED[name](models["Pythia"], windows)
            except InterpError as error:
                said = str(error)
                assert "\n" not in said, kind


def test_what_lies_at_the_mean_has_no_direction(models: dict[str, TransformerBridge]) -> None:
    """The one position of the windows is the mean that is taken from it: nothing is left whose cosine could be told."""
    found = perturb(models["Pythia"], DEGENERATE["one window of one continuation token"], alphas=(0.0, 0.3), lens=False)
    assert np.isnan(found.centred_cosine).all()
    assert (found.cosine[0] > 0.999).all()
    assert found.curves("centred_cosine")["value"].isna().all()


def test_a_structural_share_under_noise_needs_known_domains(models: dict[str, TransformerBridge]) -> None:
    ids = some_tokens(6)
    windows = Windows.from_tokens(ids, prefix_len=4, domain=["code", "prose", "unknown", "code", "unknown", "unknown"])
    found = perturb(models["Pythia"], windows, alphas=(0.0,), lens=False)
    all_recited = replace(found, memorized=np.ones((1, 6), dtype=bool))
    share = all_recited.scores().set_index("statistic").loc["structural_share"]
    assert (share["value"], share["n"]) == (2 / 3, 3)
    nowhere = {"unknown": windows.domain == "unknown"}
    share = all_recited.scores(groups=nowhere).set_index("statistic").loc["structural_share"]
    assert np.isnan(share["value"])
    assert share["n"] == 0


def test_even_attention_to_what_is_not_there_is_not_measured(models: dict[str, TransformerBridge]) -> None:
    seen = attention_targets(models["Pythia"], Windows.from_tokens(torch.arange(16).reshape(2, 8), prefix_len=4))
    assert np.isnan(seen.evenly("induction"))
    assert np.isnan(seen.evenly(ENTROPY))
    assert seen.evenly("first") == pytest.approx(np.mean([1 / k for k in range(4, 8)]))
    # Where the heads tie, each counts in the top ones' mean by its chance: here all do alike but the first.
    importance = np.zeros((4, 4))
    importance[0, 0] = 1
    top = seen.top_against_rest(importance, share=0.25).set_index(["target", "heads"])["value"]["first", "top"]
    heads = seen.mean("first").ravel()
    assert top == pytest.approx((heads[0] + 3 * heads[1:].mean()) / 4)


def test_where_a_token_holds_is_not_told_from_nan(models: dict[str, TransformerBridge]) -> None:
    decoding = logit_lens(models["Pythia"], DEGENERATE["one document"])
    log_prob = decoding.log_prob.copy()
    log_prob[1, 0, 0] = np.nan
    with pytest.raises(WindowError, match="not known"):
        replace(decoding, log_prob=log_prob).first_layer()


def test_equal_logits_put_the_true_token_in_the_middle() -> None:
    found = decode(torch.zeros(1, 9), Distribution.of(torch.zeros(1, 9)), torch.tensor([3]))
    assert dict(zip(READ, found.flatten().tolist(), strict=True))["rank"] == 4
