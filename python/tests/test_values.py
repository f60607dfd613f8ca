"""What is accepted as an id, a value, a text or a file: the same at every door."""

import contextlib
import os
import threading
import time

import numpy as np
import pytest

import omendb


def test_ids_that_look_alike_are_two(db):
    composed = [f"{i} caf\u00e9" for i in range(100)]
    decomposed = [f"{i} cafe\u0301" for i in range(100)]
    ids = composed + decomposed
    vectors = np.random.default_rng(0).random((200, 8), np.float32)
    assert db.add_batch(vectors, ids) == ids
    assert len(db) == 200
    assert sorted(db.list_ids()) == sorted(ids)
    for id, vector in zip(ids, vectors, strict=True):
        assert db.search(vector, 1)[0].id == id
        assert np.array_equal(db.get(id).vector, vector)
    assert db.delete_batch(composed) == 100
    assert sorted(db.list_ids()) == sorted(decomposed)


METRICS = ["l2", "cosine", "ip"]


def test_vectors_that_are_nearly_zero_are_refused_by_name(db):
    good = np.ones((3, 8))
    for metric in METRICS:
        one = db.collection(metric, metric=metric)
        one.add_batch(good, [10, 11, 12])
        # Float64 that is zero in 32 bits is not zero.
        for scale in (1e-16, 1e-20, 1e-40, 1e-46, 1e-200):
            for kind in (np.float32, np.float64):
                rows = good.copy()
                rows[1] *= scale
                rows = rows.astype(kind)
                if not rows[1].any():
                    continue
                for order in "CF":
                    given = np.array(rows, order=order)
                    with pytest.raises(omendb.ValidationError, match="vector 1 is nearly zero"):
                        one.add_batch(given, [1, 2, 3])
                    with pytest.raises(omendb.ValidationError, match="query 1 is nearly zero"):
                        one.search_batch(given)
                for single in (rows[1], rows[1].tolist()):
                    with pytest.raises(omendb.ValidationError, match="vector 0 is nearly zero"):
                        one.add(1, single)
                    with pytest.raises(omendb.ValidationError, match="query 0 is nearly zero"):
                        one.search(single)
                    with pytest.raises(omendb.ValidationError, match="vector 0 is nearly zero"):
                        one.update(10, vector=single)
        assert sorted(one.list_ids()) == [10, 11, 12]


def test_a_late_vector_that_is_nearly_zero_is_named_and_leaves_nothing(db):
    rows = np.ones((30_000, 64))
    rows[29_000] = 1e-60
    rows[29_000, 5] = 1e-50
    for order in "CF":
        given = np.array(rows, order=order)
        with pytest.raises(
            omendb.ValidationError, match=r"vector 29000 .* largest element 5 is 1e-"
        ):
            db.add_batch(given)
        assert len(db) == 0
        db.add_batch(rows[:10])
        with pytest.raises(
            omendb.ValidationError, match=r"query 29000 .* largest element 5 is 1e-"
        ):
            db.search_batch(given)
        db.clear()


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_vectors_of_zeros_are_vectors_but_for_cosine(db, metric):
    one = db.collection(metric, metric=metric)
    one.add_batch(np.vstack([np.zeros(4), np.eye(4)]), range(5))
    assert len(one.search(np.zeros(4), 5)) == 5
    if metric == "l2":
        assert one.search(np.zeros(4), 1)[0].id == 0
    with pytest.raises(omendb.ValidationError, match="vector 0 is zero"):
        db.collection("c", metric="cosine").add(1, np.zeros(4))


@pytest.mark.parametrize("metric", METRICS)
def test_scaled_sets_are_found_as_well_as_others(metric):
    """Whatever is accepted has distances that are neither zero nor infinite."""
    generator = np.random.default_rng(7)
    centres = generator.standard_normal((40, 32))
    rows = centres[generator.integers(40, size=3000)] + 0.3 * generator.standard_normal((3000, 32))
    queries = rows[:100] + 0.05 * generator.standard_normal((100, 32))
    recalls = []
    for scale in (1, 1e-14, 1e-6, 1e6, 1e14):
        with omendb.DB(metric=metric) as db:
            db.add_batch((rows * scale).astype(np.float32), range(3000))
            db.wait_linked()
            asked = (queries * scale).astype(np.float32)
            found = db.search_batch(asked, 10)
            exact = db.search_batch(asked, 10, exact=True)
            assert np.isfinite(found.distances).all()
            assert len(np.unique(exact.distances)) > 900
            same = [len(set(a) & set(b)) for a, b in zip(found.ids, exact.ids, strict=True)]
            recalls.append(sum(same) / 1000)
    assert min(recalls) >= recalls[0] - 0.01, recalls


def test_masked_arrays_are_refused_by_name_everywhere(db):
    db.add_batch(np.ones((3, 4)), [0, 1, 2])
    matrix = np.ma.MaskedArray(np.ones((3, 4), np.float32), mask=np.eye(3, 4, dtype=bool))
    ids = np.ma.MaskedArray(np.arange(3), mask=[0, 1, 0])
    for call in (
        lambda: db.add_batch(matrix),
        lambda: db.add_batch(list(matrix)),
        lambda: db.add_batch(tuple(matrix)),
        lambda: db.add_batch(matrix.astype(np.float64)),
        lambda: db.upsert_batch(matrix, [7, 8, 9]),
        lambda: db.add(5, matrix[0]),
        lambda: db.add(5, [1.0, 2.0, np.ma.masked, 3.0]),
        lambda: db.update(1, vector=matrix[0]),
        lambda: db.search(matrix[0]),
        lambda: db.search(list(matrix[:1])),
        lambda: db.search_batch(matrix),
        lambda: db.search_batch(list(matrix)),
        lambda: omendb.DB.from_numpy(matrix),
        lambda: db.add_batch(np.ones((3, 4)), ids),
        lambda: db.add_batch(np.ones((3, 4)), list(ids)),
        lambda: db.get_many(ids),
        lambda: db.delete_batch(ids),
    ):
        with pytest.raises(omendb.ValidationError, match="mask"):
            call()
    assert db.list_ids() == [0, 1, 2]
    db.add_batch(matrix.filled(2), [0, 1, 2])
    assert db.get(0).vector.tolist() == [2, 1, 1, 1]


def test_missing_values_of_data_frames_are_refused_by_name(db):
    pandas = pytest.importorskip("pandas")
    good = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    db.add_batch(good, [0, 1, 2])
    assert db.get(2).vector.tolist() == [3, 6]
    bad = good.astype("Float32")
    bad.loc[1, "b"] = pandas.NA
    for call in (
        lambda: db.add_batch(bad),
        lambda: db.add(9, bad["b"]),
        lambda: db.search(bad["b"]),
        lambda: db.search_batch(bad),
        lambda: db.add_batch(bad.astype("Float64")),
        lambda: db.add_batch(bad.to_numpy(dtype=float, na_value=np.nan)),
    ):
        with pytest.raises(omendb.ValidationError, match=r"row 1|vector 1 element 1 is nan"):
            call()
    for rows in ([[1.0, pandas.NA]], [[1.0, None]], [[1.0, pandas.NaT]]):
        with pytest.raises(omendb.ValidationError, match=r"missing value, .*, at \[0, 1\]"):
            db.add_batch(rows)
        with pytest.raises(omendb.ValidationError, match=r"missing value, .*, at \[1\]"):
            db.search(rows[0])
    ids = pandas.Series([1, 2, pandas.NA], dtype="Int64")
    for call in (
        lambda: db.add_batch(good, ids),
        lambda: db.delete_batch(ids),
        lambda: db.get_many(ids),
    ):
        with pytest.raises(omendb.ValidationError, match="missing"):
            call()
    assert len(db) == 3
    frame = pandas.DataFrame(
        {
            "vector": [np.ones(2), np.ones(2)],
            "year": pandas.array([1990, pandas.NA], dtype="Int64"),
            "day": [pandas.NaT, pandas.NaT],
            "name": pandas.array([pandas.NA, "x"], dtype="string"),
        }
    )
    frame["id"] = [20, 21]
    db.add_pandas(frame)
    assert db.get(20).metadata == {"year": 1990} and db.get(21).metadata == {"name": "x"}
    frame["vector"] = [np.ones(2), np.ma.MaskedArray([1.0, 2.0], mask=[0, 1])]
    with pytest.raises(omendb.ValidationError, match="mask"):
        db.add_pandas(frame)


BAD_PATHS = [b"d\xff", b"caf\xe9", b"\xe2\x82", b"\xed\xa0\x80", b"a\0b", b""]


@pytest.mark.parametrize("name", BAD_PATHS, ids=range(len(BAD_PATHS)))
@pytest.mark.parametrize("shards", [None, 1])
def test_paths_that_are_not_utf8_are_refused_first(tmp_path, monkeypatch, name, shards):
    monkeypatch.chdir(tmp_path)
    whole = os.fsencode(tmp_path) + b"/" + name if name else b""
    options = {} if shards is None else {"shards": shards}
    for path in (name, os.fsdecode(name), whole, os.fsdecode(whole)):
        with pytest.raises(omendb.ValidationError, match=r"not UTF-8|zero byte|is empty"):
            omendb.DB(path, **options)
    for path in (name, os.fsdecode(name)):
        with pytest.raises(omendb.ValidationError, match=r"not UTF-8|zero byte|is empty"):
            omendb.DB.load(path, **options)
        with (
            omendb.DB() as db,
            pytest.raises(omendb.ValidationError, match=r"not UTF-8|zero byte|is empty"),
        ):
            db.save(path)
    assert os.listdir(tmp_path) == []
    if b"\0" not in name and name:
        os.mkdir(name)
        os.chdir(name)
        with pytest.raises(omendb.ValidationError, match="not UTF-8"):
            omendb.DB("inside", **options)
        assert os.listdir(".") == []


def test_paths_of_bytes_are_paths(tmp_path):
    path = tmp_path / "caf\u00e9"
    with omendb.DB(os.fsencode(path)) as db:
        db.add(1, [1.0])
        assert db.path == str(path)
        db.save(os.fsencode(tmp_path / "copy"))
    with omendb.DB.load(os.fsencode(tmp_path / "copy")) as db:
        assert len(db) == 1
    for wrong in (7, 1.5, ["a"]):
        with pytest.raises(omendb.ValidationError, match="path is of type"):
            omendb.DB(wrong)


COUNT = 50_001


def parquet(path, vectors, ids=None, metadata=None):
    pyarrow = pytest.importorskip("pyarrow")
    files = pytest.importorskip("pyarrow.parquet")
    columns = {"vector": pyarrow.array(vectors)}
    if ids is not None:
        columns["id"] = pyarrow.array(ids)
    if metadata is not None:
        columns["note"] = pyarrow.array(metadata)
    files.write_table(pyarrow.table(columns), path)


def test_late_rows_of_files_are_named_and_nothing_stays(db, tmp_path):
    rows = np.ones((COUNT, 4), np.float32)
    heads = np.full((COUNT, 1), 4, "<i4").view("<f4")
    for place, value, says in (
        (45_000, np.nan, "vector 45000 element 2 is nan"),
        (24_999, np.inf, "vector 24999 element 2 is inf"),
        (50_000, -1e16, "vector 50000 element 2 is -1"),
    ):
        bad = rows.copy()
        bad[place, 2] = value
        np.save(tmp_path / "a.npy", bad)
        np.save(tmp_path / "b.npy", bad.astype(np.float64))
        np.save(tmp_path / "c.npy", np.asfortranarray(bad))
        np.hstack([heads, bad]).tofile(tmp_path / "a.fvecs")
        parquet(tmp_path / "a.parquet", list(bad))
        for name in ("a.npy", "b.npy", "c.npy", "a.fvecs", "a.parquet"):
            with pytest.raises(
                omendb.ValidationError, match=f"{name}: {says}.*nothing of the file"
            ):
                db.import_file(tmp_path / name)
            assert len(db) == 0


def test_late_rows_of_tables_are_named_and_nothing_stays(db, tmp_path):
    pandas = pytest.importorskip("pandas")
    small = 25_000
    vectors = [np.ones(3, np.float32)] * small
    ids = [f"id {i}" for i in range(small)]
    notes = ["text"] * small
    for change, says in (
        (lambda v, i, n: v.__setitem__(24_999, np.ones(2, np.float32)), "vector 24999"),
        (
            lambda v, i, n: v.__setitem__(24_999, np.full(3, np.nan)),
            "vector 24999 element 0 is nan",
        ),
        (lambda v, i, n: v.__setitem__(24_998, None), "vector 24998"),
        (lambda v, i, n: i.__setitem__(24_999, ""), "row 24999: id '' has 0 bytes"),
        (lambda v, i, n: i.__setitem__(24_999, "x" * 513), "row 24999: id .* has 513 bytes"),
        (lambda v, i, n: i.__setitem__(24_999, None), "row 24999: id (None|nan)"),
        (
            lambda v, i, n: n.__setitem__(24_999, "x" * 70_000),
            "row 24999: metadata has 70011 bytes",
        ),
    ):
        columns = list(vectors), list(ids), list(notes)
        change(*columns)
        parquet(tmp_path / "a.parquet", *columns)
        with pytest.raises(omendb.ValidationError, match=f"a.parquet: {says}"):
            db.import_file(tmp_path / "a.parquet")
        assert len(db) == 0
        frame = pandas.DataFrame(dict(zip(("vector", "id", "note"), columns, strict=True)))
        with pytest.raises(omendb.ValidationError, match=says):
            db.add_pandas(frame)
        assert len(db) == 0
    notes[24_999] = "\ud800"
    frame = pandas.DataFrame(
        {"vector": vectors, "id": ids, "note": pandas.Series(notes, dtype=object)}
    )
    with pytest.raises(omendb.ValidationError, match=r"row 24999: .*surrogate"):
        db.add_pandas(frame)
    assert len(db) == 0


def test_late_ids_and_metadata_of_a_batch_are_named_and_nothing_stays(db):
    vectors = np.asfortranarray(np.ones((30_000, 64)))
    for ids, says in (
        ([*range(29_999), -5], "row 29999: id -5"),
        ([*range(29_999), 2**64], "row 29999: id 18446744073709551616"),
        ([*range(29_999), 1.5], "row 29999: id 1.5 is of type float"),
        ([*range(29_999), True], "row 29999: id True is of type bool"),
        ([*map(str, range(29_999)), ""], "row 29999: id ''"),
        ([*map(str, range(29_999)), "\udfff"], "row 29999: .*surrogate"),
        (np.r_[np.arange(29_999), -1], "row 29999: id -1 is negative"),
    ):
        with pytest.raises(omendb.ValidationError, match=says):
            db.add_batch(vectors, ids)
        assert len(db) == 0
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    for bad, says in (
        ({"a": object()}, "JSON"),
        ({"a": float("nan")}, "JSON"),
        ({"a": "\udc80"}, "surrogate"),
        ({"\udc80": 1}, "surrogate"),
        ({"a": deep}, "nested deeper than 32"),
        ({"a": 10**400}, "64 bits"),
        ({1: 1, "1": 2}, "twice"),
        ({"a": {None: 1, "null": 2}}, "twice"),
        ("text", "expected a dict"),
    ):
        for given in (vectors, np.ones((30_000, 64), np.float32)):
            with pytest.raises(omendb.ValidationError, match=f"(row|vector) 29999: .*{says}"):
                db.add_batch(given, metadata=[None] * 29_999 + [bad])
            assert len(db) == 0


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_an_array_that_changes_while_it_is_added_loses_nothing(tmp_path, metric):
    """Another thread writes what no collection takes over rows that are being read."""
    bad = 0.0 if metric == "cosine" else np.nan
    given = np.random.default_rng(0).random((20_000, 64), dtype=np.float32)
    query = given[0].copy()
    with omendb.DB(tmp_path / "db", durability="none", metric=metric) as db:
        db.add(-1 % 2**64, query)
        done = threading.Event()

        def change() -> None:
            while not done.is_set():
                given[::7] = bad
                query[:] = bad
                time.sleep(0.0005)
                given[::7] = 0.5
                query[:] = 0.5
                # Long enough for all rows to be found right.
                time.sleep(0.002)

        changer = threading.Thread(target=change)
        changer.start()
        try:
            for _ in range(200):
                for call in (lambda: db.add_batch(given, range(20_000)), lambda: db.search(query)):
                    with contextlib.suppress(omendb.ValidationError):
                        call()
        finally:
            done.set()
            changer.join()
        count = len(db)
    with omendb.DB(tmp_path / "db") as db:
        assert len(db) == count
        _, vectors = db.to_numpy()
        assert np.isfinite(vectors).all() and vectors.any(axis=1).all()
