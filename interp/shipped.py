"""Digests of the files that are shipped with the package: a damaged one is refused, not measured with.

``shipped.json`` holds the SHA-256 of each file by its path in the package. Who trains the small models or plants the
windows again writes it again: ``python -m interp.shipped``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from interp.errors import InterpError
from interp.files import PACKAGE, sha256, write_text

DIGESTS = PACKAGE / "shipped.json"
FOLDERS = (PACKAGE / "planted" / "weights", PACKAGE / "planted" / "text")


class ShippedFileError(InterpError, RuntimeError):
    """A file of the package that is not what was shipped."""


def check_shipped(path: Path, name: str) -> Path:
    """A shipped file, or a folder of such files, compared with its digest; the path itself.

    Args:
        path: where it lies.
        name: its path in the package.

    Raises:
        ShippedFileError: a file that is damaged, missing, or was not shipped.
    """
    known = {file: digest for file, digest in _digests().items() if f"{file}/".startswith(f"{name}/")}
    for file, digest in known.items():
        place = path / Path(file).relative_to(name)
        if not place.is_file() or sha256(place) != digest:
            raise ShippedFileError(
                f"{place} is not the file that was shipped: it is damaged or was changed; install the package again, "
                "or run `python -m interp.shipped` where you made it anew"
            )
    if not known:
        raise ShippedFileError(f"{path} was not shipped; run `python -m interp.shipped` where you made it anew")
    return path


def shipped_digest(name: str) -> str:
    """One digest of a folder as it was shipped."""
    known = sorted((file, digest) for file, digest in _digests().items() if file.startswith(f"{name}/"))
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def write_digests() -> Path:
    """Take the files that lie in the package for those that are shipped."""
    files = sorted(file for folder in FOLDERS for file in folder.rglob("*") if file.is_file())
    digests = {file.relative_to(PACKAGE).as_posix(): sha256(file) for file in files if not file.name.startswith(".")}
    _digests.cache_clear()
    return write_text(DIGESTS, json.dumps(digests, indent=1) + "\n")


@cache
def _digests() -> dict[str, str]:
    return json.loads(DIGESTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    print(write_digests())
