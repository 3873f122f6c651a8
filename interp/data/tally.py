"""What was read of a corpus and what was left out of it, counted while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Tally:
    """Counts of one reading of a corpus; as a string, what a user should know about what was left out.

    >>> tally = Tally()
    >>> windows = read_windows(corpus, tokenizer, max_windows=1000, short_documents="skip", tally=tally)
    >>> tally.short
    """

    documents: int = 0
    """Documents that were read."""
    empty: int = 0
    """Documents without text, of those."""
    short: int = 0
    """Documents with text that gave no window, since they are shorter than one."""
    unnamed: int = 0
    """Documents without an id, which are called by their row."""
    without_domain: int = 0
    """Documents whose domain is null, and "unknown" here."""
    special: int = 0
    """Documents in whose text the string of a special token stands, such as ``<|endoftext|>``."""
    other_files: int = 0
    """Files of a folder that are of another kind or another split, and were not read."""
    stopped: bool = False
    """Whether reading ended at ``max_windows``, before the end of the corpus."""

    def __str__(self) -> str:
        return "; ".join(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.empty or self.short:
            yield (
                f"left out {self.empty + self.short:,} of {self.documents:,} documents read: "
                f"{self.short:,} shorter than a window, {self.empty:,} without text"
            )
        if self.unnamed:
            yield f"{self.unnamed:,} documents without an id are called by their row"
        if self.without_domain:
            yield f'{self.without_domain:,} documents without a domain are "unknown"'
        if self.special:
            yield f"{self.special:,} documents hold the text of a special token"
        if self.other_files:
            yield f"{self.other_files:,} files of the folder were not read (another kind or another split)"
        if self.stopped:
            yield "stopped at the number of windows asked for; the rest of the corpus was not read"
