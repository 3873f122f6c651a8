"""The one base of what the suite refuses."""

from __future__ import annotations


class InterpError(Exception):
    """Something was refused, with the value that was wrong and what to do about it.

    Every exception class of the suite derives from it, beside the built-in class that says its kind. The command line
    prints these in one line; anything else is a bug and keeps its traceback.
    """
