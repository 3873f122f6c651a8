from __future__ import annotations

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from interp.data.windows import WindowError, Windows
from interp.statistical.extraction import extract
from interp.statistical.prefix import prefix_log_prob


def test_equals_hugging_faces_own_loss(model: TransformerBridge, windows: Windows) -> None:
    values = prefix_log_prob(model, windows, batch_size=5).log_prob
    assert np.isnan(values[:, 0]).all()
    prefix = windows.prefix[:3]
    with torch.no_grad():
        logits = model.original_model(prefix).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), prefix[:, 1:].flatten(), reduction="none")
    assert values[:3, 1:] == pytest.approx(-loss.view(3, -1).numpy(), abs=1e-4)


def test_goes_on_where_extraction_begins(model: TransformerBridge, windows: Windows) -> None:
    # With one more token in the prefix, its last log-probability is that of the first continuation token.
    longer = Windows.from_tokens(windows.tokens, prefix_len=windows.prefix_len + 1)
    last = prefix_log_prob(model, longer).log_prob[:, -1]
    assert last == pytest.approx(extract(model, windows).log_prob[:, 0], abs=1e-4)


def test_batches_change_nothing(models: dict[str, TransformerBridge], windows: Windows) -> None:
    one, many = (prefix_log_prob(models["Pythia"], windows, batch_size=b).log_prob for b in (1, 12))
    assert one[:, 1:] == pytest.approx(many[:, 1:], abs=1e-4)


def test_refusals(models: dict[str, TransformerBridge], windows: Windows) -> None:
    with pytest.raises(ValueError, match="prefix of one token"):
        prefix_log_prob(models["Pythia"], Windows.from_tokens(windows.tokens, prefix_len=1))
    with pytest.raises(WindowError, match="token id 5000"):
        prefix_log_prob(models["Pythia"], Windows.from_tokens(torch.full((1, 64), 5000)))
