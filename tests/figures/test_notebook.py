"""Views for Jupyter: what they show, and that corpus text cannot become script."""

import numpy as np
import pytest

from interp.figures.notebook import attention_view, log_prob_view, substitution_view, token_texts
from interp.internal.substitution import substitute
from interp.models.hooks import activations, hook_name
from interp.statistical.extraction import extract


def test_attention_view_names_every_head(model, windows):
    (pattern,) = activations(model, windows.tokens[:1], [hook_name("hook_pattern", 1)]).values()
    tokens = token_texts(windows.tokens[0].numpy(), model.tokenizer)
    page = str(attention_view(pattern[0].numpy(), tokens, layer=1))
    assert all(f'"1.{head}"' in page for head in range(model.cfg.n_heads))
    with pytest.raises(ValueError, match="does not fit 63 tokens"):
        attention_view(pattern[0].numpy(), tokens[1:], layer=1)


def test_windows_are_coloured_by_their_own_values(models, windows):
    model, two = models["Pythia"], windows.select(np.array([3, 5]))
    extraction, substitution = extract(model, two), substitute(model, two, n_draws=1)
    assert str(float(extraction.log_prob[1][0])) in str(log_prob_view(extraction, 1, model.tokenizer))
    assert str(float(substitution.fall[0][0])) in str(substitution_view(substitution, 0, model.tokenizer))


def test_a_token_cannot_end_the_script(models, windows, monkeypatch):
    model = models["Pythia"]
    monkeypatch.setattr(model.tokenizer, "decode", lambda ids: "</script><script>alert(1)")
    page = str(log_prob_view(extract(model, windows.select(np.array([0]))), 0, model.tokenizer))
    assert page.count("</script>") == 1
    assert token_texts(np.array([1]), model.tokenizer) == ["<\u200b/script><script>alert(1)"]
