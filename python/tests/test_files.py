"""Vectors from files and tables, and back."""

import sys

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

import omendb

DATA = np.random.default_rng(5).random((50, 6), np.float32)


@pytest.mark.parametrize("tqdm", [True, False])
def test_npy(db, tmp_path, capsys, monkeypatch, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    np.save(tmp_path / "a.npy", DATA)
    assert db.import_file(tmp_path / "a.npy", progress=True) == 50
    assert ("50.0/50.0" if tqdm else "50 of 50") in capsys.readouterr().err
    assert np.array_equal(db.to_numpy()[1], DATA)
    assert db.import_file(tmp_path / "a.npy") == 50
    assert len(db) == 100 and not capsys.readouterr().err


@pytest.mark.parametrize("kind", ["fvecs", "bvecs"])
def test_vecs(kind, tmp_path):
    data = DATA if kind == "fvecs" else (DATA * 255).astype(np.uint8)
    dims = np.full((50, 1), 6, "<i4").view(np.uint8)
    content = np.hstack([dims, np.ascontiguousarray(data).view(np.uint8)])
    file = tmp_path / f"a.{kind}"
    content.tofile(file)
    with omendb.DB() as db:
        assert db.import_file(file) == 50
        assert np.array_equal(db.to_numpy()[1], data)
    for bad in (content.tobytes()[:-1], b"\x00\x00\x00\x00", b"\x01", content.tobytes() * 2 + b"x"):
        file.write_bytes(bad)
        with omendb.DB() as db, pytest.raises(omendb.ValidationError):
            db.import_file(file)


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet(tmp_path, fixed):
    kind = pyarrow.list_(pyarrow.float32(), 6) if fixed else pyarrow.list_(pyarrow.float32())
    table = pyarrow.table(
        {
            "id": [f"n{i}" for i in range(50)],
            "vector": pyarrow.array(DATA.tolist(), kind),
            "n": list(range(50)),
            "colour": [None if i % 2 else "red" for i in range(50)],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with omendb.DB() as db:
        assert db.import_file(tmp_path / "a.parquet") == 50
        assert db.get("n4").metadata == {"n": 4, "colour": "red"}
        assert db.get("n5").metadata == {"n": 5}
        assert np.array_equal(db.get("n5").vector, DATA[5])
    ragged = pyarrow.table({"vector": [[1.0, 2.0], [3.0]]})
    pyarrow.parquet.write_table(ragged, tmp_path / "ragged.parquet")
    pyarrow.parquet.write_table(table.drop_columns("vector"), tmp_path / "without.parquet")
    for name in ("ragged", "without"):
        with omendb.DB() as db, pytest.raises(omendb.ValidationError, match="vector"):
            db.import_file(tmp_path / f"{name}.parquet")


def test_files_that_are_not_read(db, tmp_path):
    (tmp_path / "a.txt").write_text("1 2")
    (tmp_path / "a.npy").write_text("nothing")
    (tmp_path / "a.parquet").write_text("nothing")
    np.save(tmp_path / "one.npy", np.ones(3))
    for name in ("a.txt", "a.npy", "a.parquet", "one.npy", "missing.npy"):
        with pytest.raises(omendb.ValidationError):
            db.import_file(tmp_path / name)
    assert len(db) == 0


def test_pandas_there_and_back(db):
    db.add_batch(DATA, metadata=[{"n": i} for i in range(50)])
    frame = db.to_pandas()
    assert list(frame.columns) == ["id", "vector", "metadata"] and len(frame) == 50
    with omendb.DB.from_pandas(frame) as copy:
        assert copy.list_ids() == db.list_ids()
        assert np.array_equal(copy.get(7).vector, DATA[7]) and copy.get(7).metadata == {"n": 7}
    columns = pandas.DataFrame(
        {"vector": list(DATA[:3]), "n": [1, 2, 3], "colour": ["red", None, float("nan")]}
    )
    with omendb.DB.from_pandas(columns) as copy:
        found = [record.metadata for record in copy.get_many(range(3))]
        assert found == [{"n": 1, "colour": "red"}, {"n": 2}, {"n": 3}]
    for bad in (columns.drop(columns="vector"), pandas.DataFrame({"vector": [[1, 2], [3]]})):
        with pytest.raises(omendb.ValidationError):
            omendb.DB.from_pandas(bad)
