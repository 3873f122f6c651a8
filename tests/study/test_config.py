"""A study file is checked when it is read: every mistake is told with its line and with what is allowed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.measurements.ablate import AblateSettings
from interp.study.config import read_study
from interp.study.document import StudyError, read_document
from interp.study.example import example
from interp.study.plan import units

GOOD = """\
title: A study
models:
  - pythia-small-0.2m
  - name: pythia-small-0.5m
    revision: step1
windows:
  few: {sets: [held_out], per_set: 2}
  many: {sets: planted-64}
measurements:
  - extract
  - measure: ablate
    label: heads
    windows: few
    settings:
      methods: [zero, mean]
comparisons:
  - compare: heads
  - compare: scaling
    windows: few
seeds: [0, 1]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_the_measurements_own_settings(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, GOOD))
    assert list(study.models) == ["pythia-small-0.2m", "pythia-small-0.5m@step1"]
    assert study.models["pythia-small-0.5m@step1"].revision == "step1"
    assert study.windows["many"].sets == ("planted-64",)
    extract, heads = study.entries
    assert (extract.label, extract.windows) == ("extract", ("few", "many"))
    assert (heads.label, heads.windows) == ("heads", ("few",))
    assert heads.settings == AblateSettings(methods=("zero", "mean"))
    of_heads, scaling = study.comparisons
    assert (of_heads.of, of_heads.windows) == ("heads", ("few",))
    assert (scaling.of, scaling.windows) == ("extract", ("few",))
    assert study.store == tmp_path / "study-store"
    assert read_study(study.path, store=tmp_path / "other").store == tmp_path / "other"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("- extract", "- extrakt", 10, "no measurement 'extrakt'. Do you mean extract? There are: extract, compress"),
        ("[zero, mean]", "[zero, meen]", 15, "'zero', 'mean', 'resample' or 'peer_mean' (given 'meen')"),
        (
            "methods: [zero, mean]",
            "methodes: [zero]",
            15,
            "no such key. Do you mean methods? There are: methods",
        ),
        ("methods: [zero, mean]", "screen: 2", 15, "less than or equal to 1 (given 2)"),
        (
            "    windows: few\n    settings",
            "    windows: fiew\n    settings",
            13,
            "no windows 'fiew'. Do you mean few?",
        ),
        ("per_set: 2", "per_set: 0", 7, "greater than or equal to 1 (given 0)"),
        ("per_set: 2", "seed: 1", 7, "the seeds are given under `seeds`"),
        ("per_set: 2", "corpus: x.txt", 7, "give one of them"),
        ("revision: step1", "dtype: int8", 5, "'float32', 'bfloat16' or 'float16' (given 'int8')"),
        ("  - name: pythia-small-0.5m\n    revision: step1", "  - pythia-small-0.2m", 4, "is named twice"),
        ("    label: heads\n", "    label: extract\n", 11, "'extract' is named twice"),
        ("    windows: few\nseeds", "seeds", 18, "which windows of pythia-small-0.2m? Choose one of few, many"),
        ("seeds: [0, 1]", "seeds: [0, 0]", 20, "0 is given twice"),
        ("seeds: [0, 1]", "seeds: [-1]", 20, "greater than or equal to 0"),
        ("seeds: [0, 1]", "seds: [0]", 20, "no such key. Do you mean seeds?"),
        ("title: A study\n", "", 1, "title: this is required"),
        ("title: A study", "title: A study\ntitle: B", 2, "the key 'title' occurs twice"),
        ("title: A study", "title: [A", 2, "expected ',' or ']'"),
        ("title: A study", "title: &a [*a]", 1, "an alias is inside its own anchor"),
        ("- compare: heads", "- compare: hats", 17, "no comparison 'hats'"),
        ("  - measure: ablate\n    label: heads", "  - measure: lens\n    label: heads", 15, "no such key"),
        ("    revision: step1", "    windows: feww", 5, "no windows 'feww'. Do you mean few?"),
        ("  - extract\n", "", 17, "compares tables of extract, which the study does not measure"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(StudyError) as error:
        read_study(path)
    assert f"{path}, line {line}" in str(error.value)
    assert said in str(error.value)


def test_models_have_windows_of_their_own_and_are_compared_over_all(tmp_path: Path) -> None:
    text = GOOD.replace("  - pythia-small-0.2m", "  - {name: pythia-small-0.2m, windows: many}")
    text = text.replace("    revision: step1", "    windows: few").replace("    windows: few\nseeds", "seeds")
    study = read_study(written(tmp_path, text))
    assert study.comparisons[1].windows == ("few", "many")
    asked = {(u.entry, u.model.label, u.windows_name) for u in units(study, None)}
    assert asked == {
        ("extract", "pythia-small-0.2m", "many"),
        ("extract", "pythia-small-0.5m", "few"),
        ("heads", "pythia-small-0.5m", "few"),
    }


def test_paths_are_those_from_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("words")
    text = GOOD.replace("- extract", "- {measure: frequency, settings: {index: counts/index}}")
    text = text.replace("sets: planted-64", "corpus: corpus.txt").replace(
        "  - compare: scaling\n    windows: few\n", ""
    )
    study = read_study(written(tmp_path, text))
    assert study.entries[0].settings.index == tmp_path / "counts" / "index"
    assert study.windows["many"].corpus == str(tmp_path / "corpus.txt")


@pytest.mark.parametrize("text", ["", "- a list", "just words", "? [a]\n: b"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(StudyError):
        read_study(written(tmp_path, text))


def test_what_is_merged_in_gives_way_to_what_stands_there(tmp_path: Path) -> None:
    path = written(tmp_path, "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")
    assert read_document(path).values == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"title: \xff\xfe")
    with pytest.raises(StudyError, match="not UTF-8"):
        read_study(path)


@given(st.text(max_size=60), st.sampled_from(["title: A study", "zero", "few", "extract", "0, 1", "planted-64"]))
def test_any_text_is_a_study_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str, place: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(GOOD.replace(place, text).encode("utf-8", "surrogatepass"))
    with suppress(StudyError):  # anything else is a bug
        assert read_study(path).entries


def test_the_example_is_a_study_that_names_every_setting(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, example()))
    assert [entry.label for entry in study.entries] == ["extract", "ablate"]
    for name in ("metrics:", "tuned:", "alphas:", "per_unit:", "revision:", "dose-response"):
        assert name in example()
