"""Results on disk: nothing is lost, and every table says where it comes from."""

import re

import numpy as np
import pandas as pd
import pytest

from interp.results import Provenance, TableError, read_provenance, read_table, write_result, write_table
from interp.statistical.extraction import extract

PROVENANCE = Provenance(
    measurement="m", model="a", windows="w", n_windows=1, settings={"x": 1}, dtype="float32", device="cpu",
    code_revision="r", time="t",
)  # fmt: skip


def test_a_written_result_comes_back_with_its_provenance(model, windows, tmp_path):
    result = extract(model, windows, batch_size=5)
    path = write_result(result, tmp_path / "deep" / "scores.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), result.to_frame(), check_dtype=False)
    (provenance,) = read_provenance(path)
    assert provenance.model == model.cfg.model_name
    assert provenance.windows == "random tokens"
    assert provenance.n_windows == 12
    assert provenance.settings["batch_size"] == 5
    assert provenance.settings["prefix_len"] == 32
    assert provenance.dtype == "float32"
    assert set(provenance.versions) == {"torch", "transformers", "transformer-lens"}


def test_an_interrupted_write_leaves_the_old_file(tmp_path, windows, models, monkeypatch):
    provenance = Provenance.of("test", models["Pythia"], windows)
    path = write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet", provenance)

    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("interp.results.pq.ParquetWriter", dies)
    with pytest.raises(KeyboardInterrupt):
        write_table(pd.DataFrame({"a": [2]}), path, provenance)
    assert pd.read_parquet(path)["a"].tolist() == [1]


def test_a_foreign_file_has_no_provenance(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(ValueError, match=r"foreign\.parquet has no provenance"):
        read_provenance(tmp_path / "foreign.parquet")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_flipped_bit_reads_as_other_numbers(tmp_path):
    """Data, statistics, names, types and provenance: a footer has no checksum of parquet's own."""
    frame = pd.DataFrame({"window": range(500), "x": np.random.default_rng(0).random(500), "kind": ["a", "b"] * 250})
    path = write_table(frame, tmp_path / "t.parquet", PROVENANCE)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    bits = np.random.default_rng(1).integers(0, 8 * len(whole), 200).tolist()
    bits += np.random.default_rng(2).integers(8 * footer, 8 * len(whole), 400).tolist()
    refused = 0
    for bit in bits:
        path.write_bytes(flipped(whole, bit))
        try:
            pd.testing.assert_frame_equal(read_table(path), frame)
            assert read_provenance(path) == [PROVENANCE]
        except TableError:
            refused += 1
    # What may pass is the name of the digest alone: 13 of thousands of bytes.
    assert refused > 0.98 * len(bits)


def test_a_table_without_a_digest_is_read_and_its_pages_are_checked(tmp_path):
    """As an older version wrote it."""
    path = write_table(pd.DataFrame({"x": np.arange(500.0)}), tmp_path / "t.parquet", PROVENANCE)
    without = path.read_bytes().replace(b"interp.sha256", b"interp.sha000")
    path.write_bytes(without)
    assert read_table(path)["x"].sum() == 499 * 250
    path.write_bytes(flipped(without, 8 * 1000))
    with pytest.raises(TableError, match="CRC"):
        read_table(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text", None])
def test_what_is_no_table_is_refused_in_one_kind(tmp_path, content):
    path = tmp_path / "t.parquet"
    if content is None:
        pd.DataFrame({"x": [1]}).to_parquet(path)
    else:
        path.write_bytes(content)
    for read in (read_table, read_provenance):
        with pytest.raises(TableError, match=re.escape(str(path))):
            read(path)


def test_columns_are_read_as_asked_and_a_lacking_one_is_named(tmp_path):
    path = write_table(pd.DataFrame({"a": [1], "b": [2.0], "c": ["x"]}), tmp_path / "t.parquet", PROVENANCE)
    pd.testing.assert_frame_equal(read_table(path), pd.read_parquet(path))
    pd.testing.assert_frame_equal(read_table(path, columns=["c", "a"]), pd.read_parquet(path, columns=["c", "a"]))
    with pytest.raises(TableError, match=r"no column 'd'; it has \['a', 'b', 'c'\]"):
        read_table(path, columns=["a", "d"])
