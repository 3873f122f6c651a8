"""Writing: whole or not at all, over nothing that a user keeps, known before the work."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kills import killed_at_each_call

from interp import files
from interp.files import (
    OutputError,
    check_outputs,
    only_writer,
    safe_name,
    whole_file,
    whole_files,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"
    write_text(target, "old")
    seen = set()
    for _ in killed_at_each_call(lambda: write_text(target, "new")):
        seen.add(target.read_text())
        write_text(target, "old")
    assert seen == {"old", "new"}
    assert target.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(OSError, match="full"), whole_file(target) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert (target.read_text(), names(tmp_path)) == ("old", ["file"])


def test_the_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_end(tmp_path, monkeypatch) -> None:
    done: list[tuple[str, str]] = []
    replace = os.replace
    monkeypatch.setattr(files, "sync", lambda path: done.append(("sync", path.name)))
    monkeypatch.setattr(os, "replace", lambda one, other: (done.append(("name", other.name)), replace(one, other)))
    write_text(tmp_path / "new" / "file", "text")
    made, content, named, folder = done
    assert (made, named, folder) == (("sync", tmp_path.name), ("name", "file"), ("sync", "new"))
    assert content[0] == "sync"
    assert content[1].endswith(".partial")


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    for target in (tmp_path / "kept" / "there", tmp_path / "kept" / "not-yet"):
        link = tmp_path / f"link-{target.name}"
        link.symlink_to(target)
        write_text(link, "new")
        assert link.is_symlink()
        assert target.read_text() == "new"
    assert names(tmp_path / "kept") == ["not-yet", "there"]


def test_a_replaced_file_hands_on_its_mode_and_a_hard_link_keeps_the_old(tmp_path: Path) -> None:
    target, other = tmp_path / "file", tmp_path / "other"
    target.write_text("old")
    target.chmod(0o640)
    os.link(target, other)
    write_text(target, "new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert other.read_text() == "old"


def odd_outputs(folder: Path) -> dict[str, Path]:
    """Paths that no result may be written to, by what is wrong with each."""
    (folder / "file").write_text("mine")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "protected").write_text("mine")
    (folder / "protected").chmod(0o444)
    return {
        "is a folder": folder / "folder",
        "a device": Path("/dev/null"),
        "a device or a pipe": folder / "pipe",
        "is a file, not a folder": folder / "file" / "below",
        "write-protected": folder / "protected",
        "too long": folder / ("x" * 300),
        "null": folder / "a\0b",
        "surrogates": folder / "a\udcff",
        "cannot be written": folder / "circle",
    }


def test_what_is_no_file_is_refused_before_and_on_writing(tmp_path: Path) -> None:
    for said, path in odd_outputs(tmp_path).items():
        before = names(tmp_path)
        with pytest.raises(OutputError, match=said):
            check_outputs({"--out": path})
        with pytest.raises(OSError, match=r"\w"):
            write_text(path, "new")
        assert names(tmp_path) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert (tmp_path / "file").read_text() == (tmp_path / "protected").read_text() == "mine"


def test_an_output_that_is_an_input_or_lies_in_one_is_refused(tmp_path: Path) -> None:
    model, corpus = tmp_path / "model", tmp_path / "corpus"
    (model / "sub").mkdir(parents=True)
    corpus.write_text("text")
    os.link(corpus, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(corpus)
    (tmp_path / "way").symlink_to(model)
    read = {"model": str(model), "corpus": corpus, "tables": [tmp_path / "none", corpus], "nothing": None}
    for out in (
        corpus, tmp_path / "hard", tmp_path / "soft", model / ".." / "corpus",
        model / "new", model / "sub" / "x" / "new", tmp_path / "way" / "new",
    ):  # fmt: skip
        with pytest.raises(OutputError, match="would be written into the input"):
            check_outputs({"--out": out}, read)
    with pytest.raises(OutputError, match="would be written into the input"):
        check_outputs({}, read, folders={"--out": model})
    for holds in (tmp_path, tmp_path / "way" / ".."):
        with pytest.raises(OutputError, match="contains the input"):
            check_outputs({}, read, folders={"--folder": holds})
    with pytest.raises(OutputError, match="this package"):
        check_outputs({"--out": files.PACKAGE / "planted" / "text" / "windows.parquet"})
    check_outputs(
        {"--out": tmp_path / "model-2", "--figure": tmp_path / "new" / "f"}, read, folders={"--parts": tmp_path / "p"}
    )
    assert names(tmp_path) == ["corpus", "hard", "model", "soft", "way"]


def test_two_outputs_in_one_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for figure in (
        tmp_path / "a",
        tmp_path / "x" / ".." / "a",
        tmp_path / "link",
        tmp_path / "A",
        tmp_path / "a" / "b",
    ):
        with pytest.raises(OutputError, match="--out" if figure.name != "A" else "case of letters"):
            check_outputs({"--out": tmp_path / "a", "--figure": figure})
    with pytest.raises(OutputError, match="overwrite each other"):
        check_outputs({"--out": tmp_path / "parts" / "part-000000.parquet"}, folders={"--parts": tmp_path / "parts"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_closed_is_known_before(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_outputs({"--out": tmp_path / "file"})


def test_a_place_that_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(self: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    for asked in ({"outputs": {"--out": tmp_path / "new" / "file"}}, {"outputs": {}, "folders": {"--out": tmp_path}}):
        with pytest.raises(OutputError, match="Read-only file system"):
            check_outputs(**asked)


NAMES = [
    "a", "A", "a/b", "a-b", "/a/b", "../a", "..", ".", "", " ", "a b", "a\0b", "a\udc80", "a\udc81", "ä", "x" * 300,
    "x" * 301, ".a", "a.", "pythia-small-1.2m", "EleutherAI/pythia-160m", "eleutherai/pythia-160m", "K", "\u212a",
]  # fmt: skip


def test_names_become_one_safe_component_each_its_own(tmp_path: Path) -> None:
    made = [safe_name(name) for name in NAMES]
    made += [safe_name(name) for name in made if name not in NAMES]  # a name that looks like what another one became
    assert len({name.casefold() for name in made}) == len(made)
    assert safe_name("pythia-small-1.2m") == "pythia-small-1.2m"
    for name in made:
        (tmp_path / name).mkdir()
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
        assert len(name) < 120


def test_files_of_a_writer_that_names_them_itself_take_their_places(tmp_path: Path) -> None:
    write_text(tmp_path / "one", "old")
    with pytest.raises(OSError, match="full"), whole_files(tmp_path) as folder:
        (folder / "one").write_text("half")
        raise OSError("full")
    assert (names(tmp_path), (tmp_path / "one").read_text()) == (["one"], "old")
    with whole_files(tmp_path) as folder:
        (folder / "one").write_text("new")
        (folder / "two").write_text("new")
    assert (names(tmp_path), (tmp_path / "one").read_text()) == (["one", "two"], "new")


def test_one_process_at_a_time_holds_a_folder_and_a_killed_one_does_not(tmp_path: Path) -> None:
    hold = f"""
import sys; from pathlib import Path; from interp.files import only_writer
with only_writer(Path({str(tmp_path)!r}), wait=False): print("held", flush=True); sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match="another process writes into"), only_writer(tmp_path, wait=False):
        pass
    waited = []

    def wait() -> None:
        with only_writer(tmp_path, wait=True):
            waited.append(holder.poll())

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.2)
    assert not waited
    holder.kill()
    waiting.join(10)
    assert waited
    holder.communicate()
