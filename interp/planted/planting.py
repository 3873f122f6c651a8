"""Planted truth: how often each window of the shipped corpus was shown in training.

Documents are cut into windows that share no run of 32 tokens. Some documents are held out. From the others, sets of
windows are drawn in each domain and shown exactly 1, 2, 4 ... 256 times. Every remaining window is shown once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Int, Integer

from interp.seeds import generator

WINDOW_LEN = 64
"""Tokens per window: a prefix of 32 and a continuation of 32."""
PREFIX_LEN = 32

SHARED_RUN = 32
"""Number of shared tokens in a row that would make the counts of two windows wrong."""

REPETITIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WINDOWS_PER_SET = 32
HELD_OUT_PER_DOMAIN = 128

HELD_OUT = "held_out"
BACKGROUND = "background"


def planted_set(repetitions: int) -> str:
    """Name of the set of windows shown ``repetitions`` times: ``planted_set(64) == "planted-64"``."""
    return f"planted-{repetitions}"


def _runs(ids: Integer[np.ndarray, " pos"]) -> Iterator[bytes]:
    for start in range(len(ids) - SHARED_RUN + 1):
        yield hashlib.blake2b(ids[start : start + SHARED_RUN].tobytes(), digest_size=8).digest()


def cut_windows(documents: pd.DataFrame, token_ids: list[list[int]], *, seed: int) -> pd.DataFrame:
    """Cut documents into windows, and choose the held-out documents.

    Windows do not overlap and do not cross documents. The shorter last piece of a document is dropped. A window that
    shares a run of 32 tokens with an earlier one is dropped too. Shown documents come first, so a held-out window
    shares no such run with any shown text.

    Args:
        documents: columns ``document`` and ``domain``, one row per document.
        token_ids: the documents' token ids, in the same order.
        seed: decides which documents are held out.

    Returns:
        One row per window: ``document``, ``domain``, ``start`` (token offset), ``held_out`` and ``tokens``.
    """
    rng = generator(seed)
    held_out: set[int] = set()
    for domain in sorted(documents["domain"].unique()):
        positions = rng.permutation(np.flatnonzero(documents["domain"] == domain))
        n_windows = np.cumsum([len(token_ids[i]) // WINDOW_LEN for i in positions])
        # Half as many again, because windows that repeat a shown run are dropped later.
        n_documents = int(np.searchsorted(n_windows, 1.5 * HELD_OUT_PER_DOMAIN)) + 1
        held_out.update(int(i) for i in positions[:n_documents])

    seen: set[bytes] = set()
    rows = []
    for i in sorted(range(len(documents)), key=lambda i: (i in held_out, i)):
        ids = np.asarray(token_ids[i], dtype=np.uint16)
        for start in range(0, len(ids) - WINDOW_LEN + 1, WINDOW_LEN):
            window = ids[start : start + WINDOW_LEN]
            runs = set(_runs(window))
            # Fewer runs than offsets: the window repeats itself, and its count would be ambiguous.
            if len(runs) < WINDOW_LEN - SHARED_RUN + 1 or not seen.isdisjoint(runs):
                continue
            seen |= runs
            document = documents.iloc[i]
            rows.append((document["document"], document["domain"], start, i in held_out, window))
    return pd.DataFrame(rows, columns=["document", "domain", "start", "held_out", "tokens"])


def plant(windows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Assign every window to a set, with its exact number of showings.

    Args:
        windows: the table that ``cut_windows`` returns.
        seed: decides which windows are drawn.

    Returns:
        Columns ``window`` (id, 0 ... n-1), ``document``, ``domain``, ``start``, ``set``, ``count``, ``tokens``.

    Raises:
        ValueError: a domain has too few windows for its sets.
    """
    rng = generator(seed)
    sets = np.full(len(windows), BACKGROUND, dtype=object)
    counts = np.ones(len(windows), dtype=np.int64)
    for domain, group in windows.groupby("domain", sort=True):
        shown = rng.permutation(group.index[~group["held_out"]].to_numpy(copy=True))
        unseen = rng.permutation(group.index[group["held_out"]].to_numpy(copy=True))
        n_needed = WINDOWS_PER_SET * len(REPETITIONS)
        if len(shown) < n_needed or len(unseen) < HELD_OUT_PER_DOMAIN:
            raise ValueError(
                f"domain {domain!r} has {len(shown)} shown and {len(unseen)} held-out windows; "
                f"{n_needed} and {HELD_OUT_PER_DOMAIN} are needed: add documents to it"
            )
        for repetitions, drawn in zip(REPETITIONS, shown[:n_needed].reshape(len(REPETITIONS), -1), strict=True):
            sets[drawn], counts[drawn] = planted_set(repetitions), repetitions
        sets[unseen[:HELD_OUT_PER_DOMAIN]], counts[unseen[:HELD_OUT_PER_DOMAIN]] = HELD_OUT, 0
        sets[unseen[HELD_OUT_PER_DOMAIN:]] = "spare"
    planted = windows.drop(columns="held_out").assign(set=sets, count=counts)
    planted = planted[planted["set"] != "spare"].reset_index(drop=True)
    return planted.assign(window=np.arange(len(planted)))[
        ["window", "document", "domain", "start", "set", "count", "tokens"]
    ]


def training_order(counts: Int[np.ndarray, " window"], *, seed: int) -> Int[np.ndarray, " step"]:
    """Window ids in training order: each as often as its count, all shuffled together."""
    return generator(seed).permutation(np.repeat(np.arange(len(counts)), counts))
