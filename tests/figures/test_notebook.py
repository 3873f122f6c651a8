"""Views for Jupyter: what they show, and that corpus text cannot become script."""

import html
import re

import numpy as np
import pytest

from interp.figures.notebook import attention_view, coloured_tokens, log_prob_view, substitution_view, token_texts
from interp.internal.noise.substitution import substitute, substitute_sets
from interp.models.hooks import activations, hook_name
from interp.statistical.extraction import extract


def spans(page):
    """Style, title and text of each token."""
    return [
        (style, said or None, text)
        for style, said, text in re.findall(r'<span style="([^"]*)"(?: title="([^"]*)")?>([^<]*)</span>', page)
    ]


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
    of_log_prob = spans(log_prob_view(extraction, 1, model.tokenizer).html)[-64:]
    assert [said for _, said, _ in of_log_prob] == [None] * 32 + [f"{x:.3g} nats" for x in extraction.log_prob[1]]
    assert [html.unescape(text) for *_, text in of_log_prob] == [
        model.tokenizer.decode([i]).replace("\n", "\u21b5\n") for i in two.tokens[1].tolist()
    ]
    of_fall = spans(substitution_view(substitution, 0, model.tokenizer).html)[-64:]
    assert [said for _, said, _ in of_fall] == [f"{x:.3g} nats per token" for x in substitution.fall[0]] + [None] * 32
    together = substitute_sets(model, two, {"first": [0, 1]}, n_draws=1)
    with pytest.raises(ValueError, match="sets first have several positions"):
        substitution_view(together, 0, model.tokenizer)


def luminance(colour):
    """Relative luminance by WCAG 2, 0 to 1."""
    channels = np.array(colour) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_token_can_be_read_in_a_light_and_a_dark_theme():
    """A coloured token brings ground and text, with the contrast that WCAG 2 asks for; another brings neither."""
    values = np.array([np.nan, *np.linspace(-3, 3, 61)])
    plain, *coloured = spans(coloured_tokens(["t"] * 62, values, unit="nats", what="x").html)[-62:]
    assert "background" not in plain[0]
    assert "color:inherit" in plain[0]
    grounds = []
    for style, _, _ in coloured:
        ground = [float(x) for x in re.search(r"background:rgb\(([^)]*)\)", style)[1].split(",")]
        text = {"#000": 0, "#fff": 255}[re.search(r";color:(#\w+)", style)[1]]
        lighter, darker = sorted([luminance(ground), luminance([text] * 3)], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5
        grounds.append(ground)
    assert min(grounds[30]) > 240
    assert grounds[0][2] > grounds[0][0]
    assert grounds[-1][0] > grounds[-1][2]


def test_the_scale_shows_the_signs_that_occur():
    for values, scale in (([-2.0, -1.0], "-2 0"), ([0.0, 4.0], "0 4"), ([-1.0, 3.0], "-3 0 3"), ([np.nan, 0.0], "0")):
        html = coloured_tokens(["a", "b"], np.array(values), unit="u", what="w").html
        assert " ".join(text.strip() for *_, text in spans(html)[:-2]) == scale


def test_a_token_cannot_become_markup(models, windows, monkeypatch):
    model = models["Pythia"]
    monkeypatch.setattr(model.tokenizer, "decode", lambda ids: "</script><script>alert(1)")
    page = log_prob_view(extract(model, windows.select(np.array([0]))), 0, model.tokenizer)._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;/script&gt;&lt;script&gt;alert(1)") == 64
    assert token_texts(np.array([1]), model.tokenizer) == ["<\u200b/script><script>alert(1)"]
