"""Windows: what they hold, and what they refuse."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from interp.data.windows import WindowError, Windows


def test_prefix_and_continuation_are_the_window(windows):
    assert torch.equal(torch.cat([windows.prefix, windows.continuation], dim=1), windows.tokens)
    assert windows.prefix.shape[1] == windows.prefix_len


def test_select_keeps_ids_and_order(windows):
    kept = windows.select(np.array([5, 2]))
    assert kept.window.tolist() == [5, 2]
    assert torch.equal(kept.tokens, windows.tokens[[5, 2]])
    assert kept.document.tolist() == ["document-2", "document-1"]
    by_mask = windows.select(windows.domain == "prose")
    assert by_mask.window.tolist() == [1, 3, 5, 7, 9, 11]


def test_concat_undoes_select(windows):
    joined = Windows.concat([windows.select(np.arange(4)), windows.select(np.arange(4, 12))])
    assert torch.equal(joined.tokens, windows.tokens)
    assert np.array_equal(joined.window, windows.window)


def test_concat_refuses_the_same_window_twice(windows):
    with pytest.raises(WindowError, match="not unique"):
        Windows.concat([windows, windows])


@pytest.mark.parametrize("prefix_len", [0, 64, 80, -1])
def test_prefix_that_leaves_nothing_is_refused(prefix_len):
    with pytest.raises(WindowError, match=f"prefix_len={prefix_len}"):
        Windows.from_tokens(torch.zeros(2, 64, dtype=torch.int64), prefix_len=prefix_len)


def test_floats_and_vectors_are_refused():
    with pytest.raises(WindowError, match="matrix of integers"):
        Windows.from_tokens(np.zeros(64, dtype=np.int64))
    with pytest.raises(WindowError, match="matrix of integers"):
        Windows.from_tokens(torch.zeros(2, 64))


def test_lengths_that_disagree_are_refused():
    # Under pytest jaxtyping sees it first; without it the check of ``Windows`` itself does.
    with pytest.raises((WindowError, TypeCheckError), match="domain"):
        Windows.from_tokens(torch.zeros(2, 64, dtype=torch.int64), domain=["a"])


def test_id_beyond_the_vocabulary_names_the_document(windows):
    tokens = windows.tokens.clone()
    tokens[7, 40] = 5000
    broken = Windows.from_tokens(tokens, document=list(windows.document))
    with pytest.raises(WindowError, match=r"document-3.*5000 at position 40 of window 7"):
        broken.check_fits(n_ctx=64, d_vocab=2048, model_name="m")


def test_window_longer_than_the_context_names_the_document(windows):
    with pytest.raises(WindowError, match=r"64 tokens \(first from document 'document-0'\).*48 tokens"):
        windows.check_fits(n_ctx=48, d_vocab=2048, model_name="m")


def test_no_windows_are_refused(windows):
    with pytest.raises(WindowError, match="no windows"):
        windows.select(np.zeros(12, dtype=bool)).check_fits(n_ctx=64, d_vocab=2048, model_name="m")


def test_batches_cover_everything_once(windows):
    pieces = list(windows.batches(5))
    assert [len(ids) for _, ids in pieces] == [5, 5, 2]
    assert torch.equal(torch.cat([ids for _, ids in pieces]), windows.tokens)
