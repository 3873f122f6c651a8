"""What a model is: other weights, dtype, tokenizer or revision make another one, whatever its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

import interp
from interp.data.windows import WindowError
from interp.models import loading
from interp.models.identity import NO_TOKENIZER, ModelIdentity, check_windows, weights_digest
from interp.models.loading import load_model
from interp.planted.shapes import WEIGHTS


@pytest.fixture
def own(checkpoints: dict[str, Path], family: str) -> TransformerBridge:
    """A model of each architecture that a test may change."""
    return load_model(checkpoints[family], device="cpu")


def behind_the_counters(model: TransformerBridge) -> None:
    """An edit through ``.data``, which torch does not count."""
    parameters = [p for p in model.original_model.parameters() if p.ndim >= 2]
    versions = [p._version for p in parameters]
    parameters[-1].data[0, 0] += 1e-3
    assert [p._version for p in parameters] == versions


def in_place(model: TransformerBridge) -> None:
    with torch.no_grad():
        next(model.original_model.parameters()).mul_(1.01)


def one_bit(model: TransformerBridge) -> None:
    last = list(model.original_model.parameters())[-1].data
    last.view(torch.int32).view(-1)[-1] ^= 1


def low_rank(model: TransformerBridge) -> None:
    """An adapter beside a layer, as LoRA puts it there."""

    class Adapted(torch.nn.Module):
        def __init__(self, base: torch.nn.Module) -> None:
            super().__init__()
            self.base, self.a = base, torch.nn.Parameter(torch.zeros(2, 3))

        def forward(self, *args, **kwargs):
            return self.base(*args, **kwargs)

    parent = model.original_model
    name, layer = next((n, m) for n, m in parent.named_children() if list(m.parameters()))
    setattr(parent, name, Adapted(layer))


def half(model: TransformerBridge) -> None:
    model.original_model.half()


@pytest.mark.parametrize("change", [behind_the_counters, in_place, one_bit, low_rank, half])
def test_digest_of_the_weights_sees_every_change(
    own: TransformerBridge, change: Callable[[TransformerBridge], None]
) -> None:
    before = weights_digest(own.original_model)
    assert weights_digest(own.original_model) == before
    change(own)
    assert weights_digest(own.original_model) != before


def test_loading_again_gives_the_same_identity(own: TransformerBridge, model: TransformerBridge) -> None:
    assert ModelIdentity.of(own) == ModelIdentity.of(model)


def test_digests_of_shapes_names_and_types_do_not_run_together() -> None:
    def of(name: str, values: torch.Tensor) -> str:
        module = torch.nn.Module()
        module.register_buffer(name, values)
        return weights_digest(module)

    base = torch.arange(6, dtype=torch.float32)
    kinds = [of("w", base), of("v", base), of("w", base.view(2, 3)), of("w", base.view(torch.int32)), of("w", base + 1)]
    assert len(set(kinds)) == 5
    assert of("w", base.view(2, 3).T) == of("w", base.view(2, 3).T.contiguous())


def test_tied_weights_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3, bias=False), "b": torch.nn.Linear(3, 3, bias=False)})
    module["b"].weight = module["a"].weight
    read = []
    from interp.models import identity

    whole = identity._bytes
    monkeypatch.setattr(identity, "_bytes", lambda tensor: read.append(tensor) or whole(tensor))
    weights_digest(module)
    assert len(read) == 1


def test_dtype_is_that_of_the_parameters_now(own: TransformerBridge) -> None:
    assert ModelIdentity.of(own).dtype == "float32"
    own.half()
    own.cfg.dtype = torch.float32  # as after ``original_model.half()``
    assert ModelIdentity.of(own).dtype == "float16"
    next(own.original_model.parameters()).data = next(own.original_model.parameters()).data.float()
    assert ModelIdentity.of(own).dtype == "float16+float32"


def test_revision_and_commit_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--o--m" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    loading.load_tokenizer("pythia-small-0.2m").save_pretrained(snapshot)
    for file in (WEIGHTS / "pythia-small-0.2m").iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(loading, "_from_hub", lambda hub_id, revision, *, fetch: snapshot)
    found = [ModelIdentity.of(load_model("o/m", revision=r, device="cpu")) for r in ("step1000", None)]
    assert [f.model_revision for f in found] == [f"step1000 = {commit}", f"main = {commit}"]
    assert ModelIdentity.of(load_model("pythia-small-0.2m", device="cpu")).model_revision == ""


def test_hooks_are_noticed(model: TransformerBridge) -> None:
    assert ModelIdentity.of(model).hooks == ()
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda activation, hook: None)]):
        assert ModelIdentity.of(model).hooks == ("blocks.0.hook_resid_post",)


def test_windows_of_another_tokenizer_are_refused_and_a_model_without_one_says_so(own: TransformerBridge) -> None:
    windows = interp.planted_windows(sets=["held_out"], per_set=1)
    check_windows(own, windows)
    own.tokenizer.backend_tokenizer.normalizer = __import__("tokenizers").normalizers.Lowercase()
    with pytest.raises(WindowError, match="another tokenizer"):
        check_windows(own, windows)
    own.tokenizer = None
    check_windows(own, windows)
    assert ModelIdentity.of(own).tokenizer == NO_TOKENIZER
