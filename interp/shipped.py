"""Digests of the files shipped with the package, so that damaged files are refused.

``shipped.json`` holds the SHA-256 of each file by its path in the package. Update it after training the small models or
planting windows again: ``python -m interp.shipped``.
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
    """A file of the package differs from what was shipped."""


def check_shipped(path: Path, name: str) -> Path:
    """Check a shipped file, or a folder of such files, against its digest. Returns the path.

    Args:
        path: path of the file or folder.
        name: path inside the package.

    Raises:
        ShippedFileError: a file is damaged, missing, or was not shipped.
    """
    known = {file: digest for file, digest in _digests().items() if f"{file}/".startswith(f"{name}/")}
    for file, digest in known.items():
        place = path / Path(file).relative_to(name)
        if not place.is_file() or sha256(place) != digest:
            raise ShippedFileError(
                f"{place} is not the file that was shipped: it is damaged or was changed; install the package again, "
                "or run `python -m interp.shipped` if you made a new one"
            )
    if not known:
        raise ShippedFileError(f"{path} was not shipped; run `python -m interp.shipped` if you made a new one")
    return path


def shipped_digest(name: str) -> str:
    """One digest of a shipped folder."""
    known = sorted((file, digest) for file, digest in _digests().items() if file.startswith(f"{name}/"))
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def write_digests() -> Path:
    """Record the digests of the package's present files as shipped."""
    files = sorted(file for folder in FOLDERS for file in folder.rglob("*") if file.is_file())
    digests = {file.relative_to(PACKAGE).as_posix(): sha256(file) for file in files if not file.name.startswith(".")}
    _digests.cache_clear()
    return write_text(DIGESTS, json.dumps(digests, indent=1) + "\n")


@cache
def _digests() -> dict[str, str]:
    return json.loads(DIGESTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    print(write_digests())
