"""Shipped files are what was shipped, and damage is refused before anything is measured with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from interp import shipped
from interp.files import PACKAGE, sha256
from interp.models import loading
from interp.models.loading import load_model
from interp.planted import corpus
from interp.shipped import FOLDERS, ShippedFileError, check_shipped

NAME = "pythia-small-0.2m"


def flip(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def test_every_shipped_file_has_its_digest_and_no_other() -> None:
    files = {
        f.relative_to(PACKAGE).as_posix(): sha256(f) for folder in FOLDERS for f in folder.rglob("*") if f.is_file()
    }
    assert files == shipped._digests()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    weights = shutil.copytree(loading.WEIGHTS / NAME, tmp_path / NAME).parent
    monkeypatch.setattr(loading, "WEIGHTS", weights)
    load_model(NAME)
    flip(weights / NAME / file)
    with pytest.raises(ShippedFileError, match=rf"{NAME}/{file} is not the file that was shipped"):
        load_model(NAME)
    (weights / NAME / file).unlink()
    with pytest.raises(ShippedFileError, match="is not the file that was shipped"):
        load_model(NAME)


def test_a_damaged_corpus_and_tokenizer_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = shutil.copytree(corpus.CORPUS, tmp_path / "corpus")
    for name, of, read in (
        ("documents.parquet", (corpus, "DOCUMENTS"), corpus.documents),
        ("windows.parquet", (corpus, "WINDOWS"), corpus.manifest.__wrapped__),
        ("tokenizer", (loading, "TOKENIZER"), lambda: load_model(NAME)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*of, copies / name)
            read()
            flip(copies / name / "tokenizer.json" if name == "tokenizer" else copies / name)
            with pytest.raises(ShippedFileError, match="is not the file that was shipped"):
                read()


def test_digests_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "DIGESTS", tmp_path / "shipped.json")
    shipped.write_digests()
    assert (tmp_path / "shipped.json").read_bytes() == (PACKAGE / "shipped.json").read_bytes()
    with pytest.raises(ShippedFileError, match="was not shipped"):
        check_shipped(tmp_path, "planted/weights/another")
