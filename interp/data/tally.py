"""Counts of what is read of a corpus and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Tally:
    """Counts of one reading of a corpus. ``str`` gives notes on what was left out.

    >>> tally = Tally()
    >>> windows = read_windows(corpus, tokenizer, max_windows=1000, short_documents="skip", tally=tally)
    >>> tally.short
    """

    documents: int = 0
    """Number of documents read."""
    empty: int = 0
    """Of these, documents without text."""
    short: int = 0
    """Documents with text that are shorter than a window."""
    unnamed: int = 0
    """Documents without an id; they are named by their row."""
    without_domain: int = 0
    """Documents without a domain; it is "unknown" here."""
    special: int = 0
    """Documents whose text contains the string of a special token, such as ``<|endoftext|>``."""
    other_files: int = 0
    """Files of a folder that were not read because of another type or split."""
    stopped: bool = False
    """Whether reading stopped at ``max_windows``, before the end of the corpus."""

    def __str__(self) -> str:
        return "; ".join(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.empty or self.short:
            yield (
                f"left out {self.empty + self.short:,} of {self.documents:,} documents read: "
                f"{self.short:,} shorter than a window, {self.empty:,} without text"
            )
        if self.unnamed:
            yield f"{self.unnamed:,} documents without an id are named by their row"
        if self.without_domain:
            yield f'{self.without_domain:,} documents without a domain are "unknown"'
        if self.special:
            yield f"{self.special:,} documents contain the text of a special token"
        if self.other_files:
            yield f"{self.other_files:,} files of the folder were not read (another type or split)"
        if self.stopped:
            yield "stopped at the requested number of windows; the rest of the corpus was not read"
