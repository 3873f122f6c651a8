"""Views for Jupyter: windows coloured token by token, and attention patterns.

A coloured window is plain HTML without a script. circuitsvis draws attention patterns. When shown, it loads its script
from the network or, without one, puts it into the page (1.5 MB).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from circuitsvis.attention import attention_heads
from circuitsvis.utils.render import RenderedHTML
from jaxtyping import Float, Int
from plotly.colors import sample_colorscale, unlabel_rgb
from transformers import PreTrainedTokenizerBase

from interp.figures.style import DIVERGING, FigureError
from interp.internal.noise.substitution import Substitution
from interp.statistical.extraction import Extraction

_TOKEN = "padding:1px 0;border-radius:2px;outline:1px solid rgba(127,127,127,.35)"


@dataclass(frozen=True)
class TokenView:
    """HTML that a notebook shows if it is the last line of a cell."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def token_texts(ids: Int[np.ndarray, " pos"], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Each token as text, for ``attention_view``.

    The text comes from a corpus, so a zero-width space breaks any text that would end the view's script.
    """
    return [text.replace("</", "<\u200b/").replace("<!--", "<\u200b!--") for text in _decoded(ids, tokenizer)]


def _decoded(ids: Int[np.ndarray, " pos"], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [tokenizer.decode([int(i)]) for i in ids]


def coloured_tokens(tokens: list[str], values: Float[np.ndarray, " pos"], *, unit: str, what: str) -> TokenView:
    """A text coloured by a value of each token, with the value on hover and the scale above.

    A coloured token has its own background and a contrasting text colour. A token without a value keeps the notebook's.
    Both are readable in a light and in a dark theme.

    Args:
        tokens: texts of the tokens. They come from a corpus and are escaped.
        values: value of each token; NaN for none. White is 0.
        unit: unit of the values.
        what: name of the values, for the line above.
    """
    limit = float(np.nanmax(np.abs(values), initial=0)) or 1.0

    def span(text: str, value: float) -> str:
        said = "" if np.isnan(value) else f' title="{value:.3g} {escape(unit)}"'
        return f'<span style="{_TOKEN};{_ground(value, limit)}"{said}>{_visible(text)}</span>'

    ends = [sign * limit for sign in (-1, 1) if (sign * values > 0).any()]
    scale = " ".join(span(f" {x:.3g} ", x) for x in sorted([*ends, 0.0]))
    text = "".join(map(span, tokens, values.tolist()))
    return TokenView(
        f'<div><div style="font:12px system-ui,sans-serif;margin:4px 0">{escape(what)}, {escape(unit)}: {scale}</div>'
        f'<div style="font:13px/1.7 ui-monospace,monospace;white-space:pre-wrap">{text}</div></div>'
    )


def _ground(value: float, limit: float) -> str:
    if np.isnan(value):
        return "color:inherit"
    (colour,) = sample_colorscale(DIVERGING, [0.5 + value / limit / 2])
    # Above this relative luminance (WCAG 2), black has more contrast than white.
    luminance = (np.array(unlabel_rgb(colour)) / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    return f"background:{colour};color:{'#000' if luminance > 0.179 else '#fff'}"


def _visible(text: str) -> str:
    """Escaped text, with visible line breaks that can be hovered over."""
    return escape(text).replace("\n", "\u21b5\n")


def attention_view(
    pattern: Float[np.ndarray, "head query_pos key_pos"], tokens: list[str], *, layer: int
) -> RenderedHTML:
    """Attention of every head of a layer on one window. Click a head to see its attention.

    Args:
        pattern: ``hook_pattern`` of one window.
        tokens: from ``token_texts``, one per position.
        layer: layer number, for the heads' names.

    Raises:
        FigureError: the pattern and the tokens differ in length.
    """
    if pattern.shape[1:] != (len(tokens), len(tokens)):
        raise FigureError(f"a pattern over {pattern.shape[1:]} positions does not fit {len(tokens)} tokens")
    names = [f"{layer}.{head}" for head in range(len(pattern))]
    return attention_heads(attention=pattern, tokens=tokens, attention_head_names=names)


def log_prob_view(extraction: Extraction, row: int, tokenizer: PreTrainedTokenizerBase) -> TokenView:
    """One window with its continuation coloured by the true tokens' log-probability (nats). The prefix is plain."""
    windows = extraction.windows
    values = np.concatenate([np.full(windows.prefix_len, np.nan), extraction.log_prob[row]])
    tokens = _decoded(windows.tokens[row].numpy(), tokenizer)
    return coloured_tokens(tokens, values, unit="nats", what="log-probability of each true token")


def substitution_view(substitution: Substitution, row: int, tokenizer: PreTrainedTokenizerBase) -> TokenView:
    """One window with its prefix coloured by the continuation's fall (nats per token) when the token is replaced."""
    windows = substitution.windows
    values = np.full(windows.tokens.shape[1], np.nan)
    if substitution.position is None:
        raise FigureError(
            f"the sets {', '.join(substitution.name)} have several positions; view a substitution of single tokens"
        )
    values[substitution.position] = substitution.fall[row]
    tokens = _decoded(windows.tokens[row].numpy(), tokenizer)
    return coloured_tokens(tokens, values, unit="nats per token", what="fall when the token is replaced")
