"""Views for Jupyter by circuitsvis: attention patterns and windows coloured token by token.

Unlike the plotly figures these fetch their script from the network when they are shown.
"""

from __future__ import annotations

import numpy as np
from circuitsvis.attention import attention_heads
from circuitsvis.tokens import colored_tokens
from circuitsvis.utils.render import RenderedHTML
from jaxtyping import Float, Int
from transformers import PreTrainedTokenizerBase

from interp.internal.substitution import Substitution
from interp.statistical.extraction import Extraction


def token_texts(ids: Int[np.ndarray, " pos"], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Each token as text. What would end a script is broken by a zero-width space: the text comes from a corpus."""
    return [tokenizer.decode([int(i)]).replace("</", "<\u200b/").replace("<!--", "<\u200b!--") for i in ids]


def attention_view(
    pattern: Float[np.ndarray, "head query_pos key_pos"], tokens: list[str], *, layer: int
) -> RenderedHTML:
    """Attention of every head of a layer on one window; click a head to see where each token looks.

    Args:
        pattern: ``hook_pattern`` of one window.
        tokens: from ``token_texts``, one a position.
        layer: for the heads' names.

    Raises:
        ValueError: a pattern of another length than the tokens.
    """
    if pattern.shape[1:] != (len(tokens), len(tokens)):
        raise ValueError(f"a pattern over {pattern.shape[1:]} positions does not fit {len(tokens)} tokens")
    names = [f"{layer}.{head}" for head in range(len(pattern))]
    return attention_heads(attention=pattern, tokens=tokens, attention_head_names=names)


def log_prob_view(extraction: Extraction, row: int, tokenizer: PreTrainedTokenizerBase) -> RenderedHTML:
    """One window with its continuation coloured by the true tokens' log-probability (nats); the prefix is blank."""
    windows = extraction.windows
    values = np.concatenate([np.zeros(windows.prefix_len), extraction.log_prob[row]])
    return colored_tokens(token_texts(windows.tokens[row].numpy(), tokenizer), values)


def substitution_view(substitution: Substitution, row: int, tokenizer: PreTrainedTokenizerBase) -> RenderedHTML:
    """One window with its prefix coloured by what the continuation loses (nats a token) when the token is another."""
    windows = substitution.windows
    values = np.zeros(windows.tokens.shape[1])
    values[substitution.position] = substitution.fall[row]
    return colored_tokens(token_texts(windows.tokens[row].numpy(), tokenizer), values)
