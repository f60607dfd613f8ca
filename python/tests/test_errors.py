"""Wrong calls, and databases that cannot answer: an error each, and nothing is lost."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import omendb

BAD_VECTORS = [
    np.ones((2, 3, 4)),
    np.ones(3),
    [[1, 2], [3]],
    [["a", "b"]],
    np.array([[None, 1]]),
    [[1, float("nan")]],
    [[1, float("inf")]],
    np.ones((2, 0)),
    np.ones((1, 8193)),
    "text",
    None,
    np.ones((2, 2), complex),
    [[True, False]],
    np.array([["2020-01-01"]], "datetime64[D]"),
]


@pytest.mark.parametrize("vectors", BAD_VECTORS, ids=range(len(BAD_VECTORS)))
def test_bad_vectors(db, vectors):
    with pytest.raises(omendb.ValidationError):
        db.add_batch(vectors)
    assert len(db) == 0


def test_a_bad_vector_far_behind_leaves_nothing(db):
    vectors = np.ones((20_000, 128), np.float32)
    vectors[17_000, 5] = np.nan
    with pytest.raises(omendb.ValidationError, match="vector 17000 element 5"):
        db.add_batch(vectors)
    assert len(db) == 0


def test_a_bad_vector_far_behind_leaves_nothing_of_what_is_converted(db):
    vectors = np.ones((20_000, 128))
    for wrong in (np.nan, np.inf, 1e20, 1e300):
        vectors[17_000, 5] = wrong
        with pytest.raises(omendb.ValidationError, match="vector 17000 element 5"):
            db.add_batch(vectors)
        with np.errstate(over="ignore"):
            columns = np.asfortranarray(vectors.astype(np.float32))
        with pytest.raises(omendb.ValidationError, match="vector 17000 element 5"):
            db.add_batch(columns)
    vectors[17_000] = 0
    with omendb.DB(metric="cosine") as other:
        with pytest.raises(omendb.ValidationError, match="vector 17000 is zero"):
            other.add_batch(vectors)
        assert len(other) == 0
    assert len(db) == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_a_fraction_far_behind_leaves_nothing_where_bytes_are_stored(kind):
    vectors = np.ones((20_000, 256), kind)
    with omendb.DB(dim=256, element="u8") as db:
        for wrong in (0.5, -1, 256):
            vectors[19_999, 3] = wrong
            with pytest.raises(omendb.ValidationError, match="vector 19999 element 3"):
                db.add_batch(vectors)
            assert len(db) == 0


def test_a_name_ends_where_it_ends(db):
    db.collection("docs", dim=2).add(1, [1, 2])
    for call in (db.collection, db.drop):
        with pytest.raises(omendb.ValidationError, match="name"):
            call("docs\0x")
    with pytest.raises(omendb.ValidationError, match="zero byte"):
        omendb.DB("docs\0x")
    assert len(db.collection("docs")) == 1


@pytest.mark.parametrize("count", [2, 40_000])
def test_halves_that_are_no_numbers(db, count):
    vectors = np.ones((count, 128), np.float16)
    for wrong in (np.nan, np.inf, -np.inf):
        vectors[count - 1, 7] = wrong
        with pytest.raises(omendb.ValidationError, match=f"vector {count - 1} element 7"):
            db.add_batch(vectors)
    assert len(db) == 0


BAD_IDS = [
    [-1],
    [2**64],
    [1.5],
    [None],
    [True],
    [""],
    ["x" * 513],
    [b"bytes"],
    ["\ud800"],
    "text",
    [(1,)],
    [1, 2],
    [],
    np.array([[1]]),
    np.array([-1]),
    np.array([1.0]),
]


@pytest.mark.parametrize("ids", BAD_IDS, ids=range(len(BAD_IDS)))
def test_bad_ids(db, ids):
    with pytest.raises(omendb.ValidationError):
        db.add_batch([[1, 2]], ids)
    assert len(db) == 0


@pytest.mark.parametrize(
    "metadata",
    [
        [{"a": float("nan")}],
        [{"a": object()}],
        ["text"],
        [1],
        {"a": 1},
        [{}, {}],
        [],
        [{"a": "x" * 70_000}],
    ],
)
def test_bad_metadata(db, metadata):
    with pytest.raises(omendb.ValidationError):
        db.add_batch([[1, 2]], [1], metadata)
    assert len(db) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 10_001},
        {"limit": 1.5},
        {"limit": 1.0},
        {"limit": True, "ef": 1},
        {"limit": 1, "ef": True},
        {"limit": np.ones(3)},
        {"ef": 0},
        {"ef": 10**9},
        {"recall": 0},
        {"recall": 1},
        {"ef": 10, "recall": 0.9},
        {"max_distance": float("nan")},
        {"filter": {"a": 1}},
    ],
)
def test_bad_options_of_a_search(db, options):
    db.add(1, [1, 2])
    # What was prepared for a right search must not let a wrong one pass.
    db.search([1, 2], limit=1, ef=1)
    with pytest.raises(omendb.ValidationError):
        db.search([1, 2], **options)
    # Right ones work afterwards.
    assert len(db.search([1, 2])) == 1


def test_bad_queries(db):
    db.add(1, [1, 2])
    for query in ([1, 2, 3], [float("nan"), 1], [[1, 2]], "text", []):
        with pytest.raises(omendb.ValidationError):
            db.search(query)
    with pytest.raises(omendb.ValidationError):
        db.add(2, [1, 2, 3])


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 0},
        {"dim": 8193},
        {"dim": "2"},
        {"metric": "l3"},
        {"codes": "u2"},
        {"element": "f16"},
        {"dim": 2, "m": 10_000},
        {"durability": "maybe"},
        {"shards": 0},
        {"shards": "two"},
    ],
)
def test_bad_options_of_a_database(options):
    with pytest.raises(omendb.ValidationError):
        omendb.DB(**options)


def test_a_cosine_needs_a_direction():
    with omendb.DB(metric="cosine") as db, pytest.raises(omendb.ValidationError, match="direction"):
        db.add(1, [0, 0])


def test_a_schema_stays(tmp_path):
    with omendb.DB(tmp_path / "db", dim=4, metric="cosine") as db:
        db.add(1, [1, 2, 3, 4])
    for wrong in (
        {"dim": 5},
        {"metric": "l2"},
        {"element": "u8"},
        {"codes": "u4"},
        {"m": 8},
        {"ef_construction": 50},
    ):
        what, value = next(iter(wrong.items()))
        with pytest.raises(omendb.ValidationError, match=f"has {what} .*, expected {value}"):
            omendb.DB(tmp_path / "db", **wrong)
    with omendb.DB(tmp_path / "db") as db:
        assert db.metric == "cosine" and len(db) == 1
        with pytest.raises(omendb.ValidationError, match="expected l2"):
            db.collection("default", metric="l2")


def test_a_closed_database_says_so(db):
    db.add(1, [1, 2])
    db.close()
    db.close()
    for call in (
        lambda: db.search([1, 2]),
        lambda: db.add(1, [1, 2]),
        lambda: db.get(1),
        db.info,
        lambda: len(db),
        db.list_ids,
        lambda: db.delete(1),
        db.checkpoint,
        db.clear,
    ):
        with pytest.raises(omendb.Unavailable, match="closed"):
            call()
    assert "closed" in repr(db)


def test_a_path_in_use_names_its_process(tmp_path):
    with omendb.DB(tmp_path / "db") as db:
        db.add(1, [1, 2])
        with pytest.raises(omendb.Locked, match=str(os.getpid())):
            omendb.DB(tmp_path / "db")


def test_paths_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below", "/proc/nothing"):
        with pytest.raises(omendb.DatabaseError):
            omendb.DB(path)


def test_damage_is_told(tmp_path):
    with omendb.DB(tmp_path / "db") as db:
        db.add_batch(np.ones((2000, 8), np.float32) * np.arange(2000)[:, None])
    manifest = tmp_path / "db" / "shards" / "000" / "MANIFEST"
    content = bytearray(manifest.read_bytes())
    content[40] ^= 1
    manifest.write_bytes(content)
    with pytest.raises(omendb.Corrupt, match="MANIFEST"):
        omendb.DB(tmp_path / "db")
    newer = tmp_path / "db" / "cluster.manifest"
    content = bytearray(newer.read_bytes())
    content[8] += 1
    newer.write_bytes(content)
    with pytest.raises(omendb.DatabaseError):
        omendb.DB(tmp_path / "db")


def test_after_fork_a_child_is_told(tmp_path):
    program = textwrap.dedent(
        """
        import os, sys, omendb
        db = omendb.DB(sys.argv[1])
        db.add(1, [1, 2])
        child = os.fork()
        if child == 0:
            try:
                db.search([1, 2])
            except omendb.DatabaseError as error:
                assert "fork" in str(error), error
                db.close()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert db.search([1, 2])[0].id == 1
        db.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
