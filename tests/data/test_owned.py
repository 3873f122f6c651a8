"""Windows own what they hold, and take or refuse whatever they are given."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch

from interp.data.windows import WindowError, Windows

IDS = np.arange(128).reshape(2, 64)


@pytest.fixture(autouse=True)
def as_in_production() -> Any:
    """Without the tests' own type checks, which would refuse first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Awkward:
    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise ZeroDivisionError("no array today")


REFUSED = {
    "bool": IDS > 3,
    "bool tensor": torch.from_numpy(IDS) > 3,
    "complex": IDS.astype(complex),
    "float": IDS.astype(float),
    "bfloat16": torch.from_numpy(IDS).bfloat16(),
    "masked": np.ma.masked_array(IDS, IDS % 2 == 0),
    "object": IDS.astype(object),
    "text": IDS.astype(str),
    "dates": IDS.astype("datetime64[s]"),
    "ragged": [[1, 2], [3]],
    "None": None,
    "number": 3,
    "flat": [1, 2, 3],
    "empty": [],
    "no columns": np.zeros((2, 0), dtype=int),
    "three axes": IDS[None],
    "uint64 above int64": np.full((2, 64), 2**63 + 5, dtype=np.uint64),
    "beyond any integer": [[2**70] * 64] * 2,
    "an object that fails": Awkward(),
    "sparse": torch.from_numpy(IDS).to_sparse(),
    "meta": torch.zeros(2, 64, dtype=torch.int64, device="meta"),
}
TAKEN = {
    "int8": (IDS % 100).astype(np.int8),
    "int32": IDS.astype(np.int32),
    "uint16": IDS.astype(np.uint16),
    "uint64": IDS.astype(np.uint64),
    "big-endian": IDS.astype(">i4"),
    "reversed": IDS[::-1],
    "every second": np.repeat(IDS, 2, axis=1)[:, ::2],
    "list": IDS.tolist(),
    "fortran": np.asfortranarray(IDS),
    "read-only": np.broadcast_to(IDS[:1], (2, 64)),
    "frame": pd.DataFrame(IDS),
    "tensor": torch.from_numpy(IDS).to(torch.int16),
    "transposed tensor": torch.from_numpy(IDS.T.copy()).T,
}
REFUSED_LABELS: list[dict[str, Any]] = [
    {"window": [0.5, 1.5]},
    {"window": [0.0, 1.0]},
    {"window": ["x", "y"]},
    {"window": [True, False]},
    {"window": [3, 3]},
    {"window": [-1, 0]},
    {"window": [0]},
    {"window": [[0, 1]]},
    {"window": 5},
    {"count": ["x", "y"]},
    {"count": [-1, -1]},
    {"count": [1, np.inf]},
    {"count": [None, None]},
    {"count": [1 + 2j, 0]},
    {"count": [True, False]},
    {"count": [1]},
    {"count": np.ma.masked_array([1, 2], [True, False])},
    {"domain": [None, None]},
    {"domain": ["a", None]},
    {"domain": ["a", 1]},
    {"domain": [float("nan")] * 2},
    {"domain": "ab"},
    {"domain": {"a", "b"}},
    {"domain": 5},
    {"document": ["a"]},
    {"document": [b"a", b"b"]},
    {"document": ["\ud800", "b"]},
    {"document": [["a"], ["b"]]},
    {"prefix_len": 31.5},
    {"prefix_len": True},
    {"prefix_len": None},
    {"prefix_len": "32"},
    {"prefix_len": 64},
    {"source": None},
    {"tokenizer": 5},
]
TAKEN_LABELS: list[dict[str, Any]] = [
    {"window": np.array([7, 2], dtype=np.uint8)},
    {"window": pd.Series([7, 2])},
    {"count": [1, float("nan")]},
    {"count": np.array([1, 2], dtype=np.int8)},
    {"domain": np.array(["a", "b"])},
    {"domain": pd.Categorical(["a", "b"])},
    {"document": [4, 4]},
    {"document": np.arange(2)},
    {"document": iter(["a", "b"])},
    {"prefix_len": np.int64(5)},
    {"tokenizer": "abc"},
]


@pytest.mark.parametrize("name", REFUSED)
def test_ids_of_the_wrong_kind_are_refused(name: str) -> None:
    with pytest.raises(WindowError):
        Windows.from_tokens(REFUSED[name])


@pytest.mark.parametrize("name", TAKEN)
def test_integers_in_any_form_are_taken_as_they_are(name: str) -> None:
    given = TAKEN[name]
    assert Windows.from_tokens(given).tokens.tolist() == np.asarray(given).astype(int).tolist()


@pytest.mark.parametrize("labels", REFUSED_LABELS)
def test_labels_of_the_wrong_kind_are_refused_by_both_doors(labels: dict[str, Any]) -> None:
    with pytest.raises(WindowError):
        Windows.from_tokens(IDS, **labels)
    with pytest.raises(WindowError):
        replace(Windows.from_tokens(IDS), **labels)


@pytest.mark.parametrize("labels", TAKEN_LABELS)
def test_labels_are_kept_as_they_are(labels: dict[str, Any]) -> None:
    ((name, given),) = labels.items()
    found = getattr(Windows.from_tokens(IDS, **labels), name)
    if name == "document" and not isinstance(given, list | np.ndarray):  # read once
        assert found.tolist() == ["a", "b"]
    elif isinstance(found, np.ndarray):
        np.testing.assert_array_equal(found, np.asarray(given))
    else:
        assert found == given


def test_no_input_gives_a_foreign_exception() -> None:
    """Odd ids with odd labels, drawn at random: windows, or ``WindowError``."""
    rng = np.random.default_rng(0)
    odd = [*REFUSED.values(), *TAKEN.values(), *(v for given in REFUSED_LABELS for v in given.values())]
    odd += [rng.standard_normal(2), object(), {}, [[]], [None], np.nan, torch.tensor(3), np.array(None), lambda: 0]
    fields = ["prefix_len", "document", "domain", "count", "window", "source", "tokenizer"]
    whole = Windows.from_tokens(IDS)
    n_taken = 0
    for _ in range(3000):
        ids = odd[rng.integers(len(odd))] if rng.random() < 0.5 else IDS
        labels = {name: odd[rng.integers(len(odd))] for name in fields if rng.random() < 0.2}
        for make in (Windows.from_tokens, partial(replace, whole)):
            try:
                windows = make(**{"ids" if make == Windows.from_tokens else "tokens": ids}, **labels)
            except WindowError:
                continue
            n_taken += 1
            assert windows.tokens.dtype == torch.int64
            assert 0 < windows.prefix_len < windows.tokens.shape[1]
            assert len(windows.to_frame()) == len(windows)
            assert len(windows.digest) == 32
    assert n_taken > 300  # else the loop would show nothing


def test_windows_do_not_share_what_they_were_given() -> None:
    given = {
        "tokens": torch.from_numpy(IDS.copy()),
        "window": np.array([4, 9]),
        "document": np.array(["a", "b"], dtype=object),
        "domain": np.array(["c", "d"], dtype=object),
        "count": np.array([1.0, 2.0]),
    }
    windows = Windows(**given)  # type: ignore[arg-type]
    before = windows.to_frame(), windows.digest
    given["tokens"][:] = 3
    for name in ("window", "document", "domain", "count"):
        given[name][0] = given[name][1]
    pd.testing.assert_frame_equal(windows.to_frame(), before[0])
    assert windows.digest == before[1]


def test_a_buffer_that_is_used_again_does_not_change_the_windows() -> None:
    buffer = np.zeros((2, 64), dtype=np.int64)
    pieces = []
    for k in range(3):
        buffer[:] = k
        pieces.append(Windows.from_tokens(buffer, window=[2 * k, 2 * k + 1]))
    assert Windows.concat(pieces).tokens[:, 0].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["window", "document", "domain", "count"])
def test_arrays_cannot_be_written_to(name: str) -> None:
    windows = Windows.from_tokens(IDS)
    for each in (windows, windows.select(np.array([1])), Windows.concat([windows])):
        with pytest.raises(ValueError, match="read-only"):
            getattr(each, name)[0] = getattr(each, name)[-1]


CHANGES: dict[str, dict[str, Any]] = {
    "an id": {"tokens": torch.from_numpy(np.where(np.arange(128).reshape(2, 64) == 127, 126, IDS))},
    "prefix": {"prefix_len": 31},
    "window ids": {"window": [1, 0]},
    "documents": {"document": ["a", "a"]},
    "domains": {"domain": ["x", "y"]},
    "counts": {"count": [1.0, 2.0]},
    "order": {"tokens": torch.from_numpy(IDS[::-1].copy()), "window": [1, 0]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_digest_changes_with_all_that_can_change_a_result(name: str) -> None:
    windows = Windows.from_tokens(IDS)
    assert replace(windows, **CHANGES[name]).digest != windows.digest
    assert replace(windows, source="elsewhere", tokenizer="t").digest == windows.digest
    assert Windows.from_tokens(IDS.tolist()).digest == windows.digest


def test_digest_sees_ids_that_were_written_over() -> None:
    windows = Windows.from_tokens(IDS)
    before = windows.digest
    windows.tokens[1, 60] = 5
    assert windows.digest != before
    windows.tokens[1, 60] = int(IDS[1, 60])
    assert windows.digest == before


def test_names_that_run_together_are_told_apart() -> None:
    one, other = (Windows.from_tokens(IDS, document=names) for names in (["a", "bc"], ["ab", "c"]))
    assert one.digest != other.digest
    assert Windows.from_tokens(IDS, document=[1, 2]).digest != Windows.from_tokens(IDS, document=["1", "2"]).digest


def test_a_window_is_known_by_its_text_whatever_its_id() -> None:
    windows = Windows.from_tokens(IDS)
    swapped = Windows.from_tokens(IDS[::-1], document=["a", "b"], window=[5, 3])
    assert windows.to_frame()["digest"].tolist() == swapped.to_frame()["digest"].tolist()[::-1]
    assert len(set(windows.digests)) == 2
    assert not set(replace(windows, prefix_len=31).digests) & set(windows.digests)


def test_tokenizer_stays_with_the_windows_and_is_not_mixed() -> None:
    windows = Windows.from_tokens(IDS, tokenizer="one")
    one, other = windows.select(np.array([0])), windows.select(np.array([1]))
    assert Windows.concat([one, other]).tokenizer == "one"
    with pytest.raises(WindowError, match="tokenizer"):
        Windows.concat([one, replace(other, tokenizer="another")])
    with pytest.raises(WindowError, match="tokenizer"):
        Windows.concat([one, replace(other, tokenizer=None)])
    with pytest.raises(WindowError, match="no windows to join"):
        Windows.concat([])


def test_windows_of_another_tokenizer_do_not_fit() -> None:
    facts = {"n_ctx": 64, "d_vocab": 128, "model_name": "m"}
    Windows.from_tokens(IDS, tokenizer="one").check_fits(**facts, tokenizer="one")
    Windows.from_tokens(IDS, tokenizer="one").check_fits(**facts, tokenizer=None)
    Windows.from_tokens(IDS).check_fits(**facts, tokenizer="one")
    with pytest.raises(WindowError, match="another tokenizer, two: it would read another text"):
        Windows.from_tokens(IDS, tokenizer="one").check_fits(**facts, tokenizer="two")


@pytest.mark.parametrize("mask", [np.ones(3, dtype=bool), np.ones((2, 2), dtype=bool), np.ones(1, dtype=bool)])
def test_a_mask_of_another_length_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(WindowError, match="mask over 2 windows"):
        Windows.from_tokens(IDS).select(mask)
