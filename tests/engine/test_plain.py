from __future__ import annotations

import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import Windows
from interp.engine.decoding import Decoder
from interp.engine.plain import is_hooked, plain_model
from interp.models.hooks import logits


def test_plain_model_is_the_bridge_without_its_hooks(model: TransformerBridge, windows: Windows) -> None:
    plain = plain_model(model)
    assert plain is not None
    with torch.no_grad():
        torch.testing.assert_close(plain(windows.tokens).logits, logits(model, windows.tokens), atol=1e-3, rtol=1e-4)
    assert not plain.training
    assert not any(parameter.is_meta for parameter in plain.parameters())


def test_plain_model_copies_no_weights(model: TransformerBridge) -> None:
    plain = plain_model(model)
    assert plain is not None
    shared = {parameter.data_ptr() for parameter in model.original_model.parameters()}
    assert {parameter.data_ptr() for parameter in plain.parameters()} <= shared


def test_no_plain_model_while_something_is_hooked(model: TransformerBridge) -> None:
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: z)]):
        assert is_hooked(model)
        assert plain_model(model) is None
    assert not is_hooked(model)
    handle = model.original_model.get_output_embeddings().register_forward_hook(lambda *_: None)
    assert plain_model(model) is None
    handle.remove()


def test_decoder_goes_through_the_bridge_where_weights_were_edited_there(
    models: dict[str, TransformerBridge], windows: Windows
) -> None:
    """Pythia's fused projection is split into copies in the bridge; the plain model does not see an edit of those."""
    model = models["Pythia"]
    query = model.blocks[0].attn.q.original_component.weight
    before = query.detach().clone()
    assert Decoder.of(model, windows.tokens[:2]).through == "plain"
    with torch.no_grad():
        query.mul_(0.5)
    try:
        assert Decoder.of(model, windows.tokens[:2]).through == "bridge"
    finally:
        with torch.no_grad():
            query.copy_(before)
