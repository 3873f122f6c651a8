"""The base class of all errors of the suite."""

from __future__ import annotations


class InterpError(Exception):
    """A refusal: says what was wrong, with which value, and what to do.

    Every exception class of the suite derives from it and from a fitting built-in class. The command line prints these
    in one line. Any other exception is a bug and keeps its traceback.
    """
