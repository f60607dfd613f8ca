"""What a database does, in memory and on a path."""

import uuid

import numpy as np
import pytest

import omendb


def vectors(count, dim=8, seed=1):
    return np.random.default_rng(seed).random((count, dim), np.float32)


def test_a_record_goes_in_and_comes_out(db):
    db.add("apple", [1, 2, 3], {"colour": "red", "n": 7, "list": [1, None]})
    found = db.get("apple")
    assert found.id == "apple"
    assert found.metadata == {"colour": "red", "n": 7, "list": [1, None]}
    assert found.vector.tolist() == [1, 2, 3]
    assert db.get("pear") is None
    assert "apple" in db and "pear" not in db
    assert len(db) == db.count() == db.size() == 1
    assert list(db) == db.list_ids() == ["apple"]
    assert db.dim == 3


def test_ids_of_all_kinds_are_different_ids(db):
    name = uuid.uuid4()
    db.add_batch(np.eye(4, dtype=np.float32), [7, "7", 2**64 - 1, name])
    assert db.list_ids() == [7, "7", 2**64 - 1, str(name)]
    assert [one.id for one in db.get_many([name, "7", 7])] == [str(name), "7", 7]
    assert db.get(7).vector.tolist() == [1, 0, 0, 0]
    assert db.get("7").vector.tolist() == [0, 1, 0, 0]
    assert db.delete(name) and not db.delete(name)


def test_records_without_ids_are_numbered_on(db):
    assert db.add_batch(vectors(3)) == [0, 1, 2]
    db.add(10, vectors(1)[0])
    # A second batch needs no clear() in between, and takes no number that is there.
    assert db.add_batch(vectors(2)) == [11, 12]
    assert db.collection("default").add_batch(vectors(1)) == [13]
    assert db.add_batch(vectors(1)) == [14]
    assert db.list_ids() == [0, 1, 2, 10, 11, 12, 13, 14]
    db.add(2**64 - 1, vectors(1)[0])
    with pytest.raises(omendb.ValidationError, match="left"):
        db.add_batch(vectors(1))


def test_numbers_continue_behind_those_of_others(db):
    db.add_batch(vectors(2), [5, 9])
    assert db.add_batch(vectors(2)) == [10, 11]


def test_equal_ids_replace(db):
    db.add_batch(vectors(3), [1, 2, 1], [{"a": 1}, None, {"a": 3}])
    assert len(db) == 2
    assert db.get(1).metadata == {"a": 3}
    db.upsert(1, np.ones(8), {"a": 4})
    assert len(db) == 2 and db.get(1).vector.tolist() == [1] * 8


def test_update_changes_what_is_given(db):
    db.add(1, [1, 2], {"a": 1})
    assert db.update(1, metadata={"a": 2})
    found = db.get(1)
    assert found.vector.tolist() == [1, 2] and found.metadata == {"a": 2}
    assert db.update(1, vector=[3, 4])
    found = db.get(1)
    assert found.vector.tolist() == [3, 4] and found.metadata == {"a": 2}
    assert not db.update(2, vector=[3, 4])


def test_deleted_records_are_gone(db):
    db.add_batch(vectors(10))
    assert db.delete_batch([1, 2, 99]) == 2
    assert len(db) == 8
    assert 1 not in [hit.id for hit in db.search(vectors(10)[1], 10, exact=True)]
    db.clear()
    assert len(db) == 0 and db.search(vectors(1)[0]) == []


def test_searching_finds_the_nearest(db, sift):
    base, queries, truth = sift
    db.add_batch(base)
    for exact, least in ((True, 1.0), (False, 0.95)):
        found = db.search_batch(queries, 10, exact=exact)
        assert found.ids.shape == found.distances.shape == (len(queries), 10)
        hits = [
            len(set(ids) & set(true[:10]))
            for ids, true in zip(found.ids.tolist(), truth.tolist(), strict=True)
        ]
        assert sum(hits) / len(hits) / 10 >= least
        assert (np.diff(found.distances, axis=1) >= 0).all()
    one = db.search(queries[0], 10, exact=True)
    assert [hit.id for hit in one] == db.search_batch(queries[:1], 10, exact=True).ids[0].tolist()
    assert db.info()["collections"]["default"]["element"] == "u8"


def test_options_of_a_search(db):
    data = np.arange(20, dtype=np.float32)[:, None] * [1, 0]
    db.add_batch(data, metadata=[{"n": i} for i in range(20)])
    near = db.search([5, 0], 3, with_vector=True)
    assert [hit.id for hit in near] == [5, 4, 6]
    assert near[0].vector.tolist() == [5, 0] and near[0].metadata == {"n": 5}
    assert near[0].score == 1 and near[1].score == 0.5
    assert [hit.id for hit in db.search([5, 0], 9, max_distance=1)] == [5, 4, 6]
    assert [hit.id for hit in db.search([5, 0], 3, recall=0.9)] == [5, 4, 6]
    results = db.search_batch([[5, 0], [1, 0]], 2, as_results=True)
    assert [[hit.id for hit in hits] for hits in results] == [[5, 4], [1, 0]]
    assert results[0][0].metadata == {"n": 5}


def test_fewer_hits_than_wanted_are_filled_up_in_arrays(db):
    db.add_batch(np.eye(2, dtype=np.float32), ["a", "b"])
    found = db.search_batch([[1, 0]], 4)
    assert found.ids.tolist() == [["a", "b", None, None]]
    assert found.counts.tolist() == [2]
    assert np.isinf(found.distances[0, 2:]).all()


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_metrics(metric):
    data, query = vectors(50), vectors(1, seed=2)[0]
    with omendb.DB(metric=metric) as db:
        db.add_batch(data)
        expected = {
            "l2": ((data - query) ** 2).sum(1),
            "cosine": 1 - data @ query / np.linalg.norm(data, axis=1) / np.linalg.norm(query),
            "ip": -(data @ query),
        }[metric]
        hits = db.search(query, 5, exact=True)
        assert [hit.id for hit in hits] == np.argsort(expected)[:5].tolist()
        assert [hit.distance for hit in hits] == pytest.approx(sorted(expected)[:5], abs=1e-5)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_collections_are_apart(db):
    other = db.collection("other", dim=2, metric="cosine")
    other.add(1, [0, 1])
    db.add(1, [1, 2, 3])
    assert sorted(db.collections()) == ["default", "other"]
    assert (len(db), len(other), other.metric, other.dim) == (1, 1, "cosine", 2)
    db.drop("other")
    assert db.collections() == ["default"]


def test_handles_of_one_collection_see_each_other(db):
    first, second = db.collection("x"), db.collection("x", metric="ip")
    first.add(1, [1, 2], {"a": 1})
    assert second.get(1).metadata == {"a": 1} and second.metric == "l2"
    assert second.list_ids() == [1] and second.delete(1)
    db.drop("x")
    assert (len(first), first.search([1, 2]), first.get(1)) == (0, [], None)
    second.add(2, [1, 2, 3])
    assert first.search([1, 2, 3])[0].id == 2 and first.dim == 3


def test_two_databases_at_once():
    with omendb.DB() as first, omendb.DB() as second:
        first.add(1, [1, 2])
        second.add("x", [1, 2, 3])
        assert first.list_ids() == [1] and second.list_ids() == ["x"]


def test_arrays_come_out_where_they_are_stored(db):
    data = vectors(100, 16)
    db.add_batch(data)
    ids, stored = db.to_numpy()
    assert not stored.flags.owndata and not stored.flags.writeable
    assert np.array_equal(stored, data[ids.astype(int)])
    db.delete(3)
    ids, rest = db.to_numpy()
    assert len(rest) == 99 and np.array_equal(rest, data[ids.astype(int)])
    db.close()
    # The memory stays while an array shows it.
    assert np.array_equal(stored, data)


def test_an_empty_database_answers(db):
    assert db.search([1, 2]) == []
    assert db.search_batch([[1, 2]]).counts.tolist() == [0]
    assert db.get_many([1]) == [None]
    assert db.delete_batch([1]) == 0
    assert db.to_numpy()[0].tolist() == []
    assert len(db) == 0 and bool(db)
    assert "empty" in repr(db)
    assert db.add_batch(np.empty((0, 4), np.float32)) == []


def test_information(db):
    db.add_batch(vectors(100))
    db.wait_linked()
    found = db.info()
    default = found["collections"]["default"]
    assert (default["vectors"], default["linked"], default["waiting"]) == (100, 100, 0)
    assert (default["dim"], default["metric"], default["m"]) == (8, "l2", 16)
    assert found["resident_bytes"] > 1 << 20
    assert "100 x 8" in repr(db)


def test_save_and_load(db, tmp_path):
    data = vectors(50)
    db.add_batch(data, [f"id-{i}" for i in range(50)], [{"n": i} for i in range(50)])
    db.collection("other").add(1, [1, 2])
    db.save(tmp_path / "copy")
    with omendb.DB.load(tmp_path / "copy") as copy:
        assert len(copy) == 50 and copy.get("id-7").metadata == {"n": 7}
        assert np.array_equal(copy.get("id-7").vector, data[7])
        assert copy.collection("other").list_ids() == [1]
    with pytest.raises(omendb.ValidationError, match="database at"):
        db.save(tmp_path / "copy")
    with pytest.raises(omendb.ValidationError, match="no database"):
        omendb.DB.load(tmp_path / "nothing")


def test_reopening_keeps_everything(tmp_path):
    data = vectors(3000, 32)
    with omendb.DB(tmp_path / "db", metric="cosine") as db:
        db.add_batch(data, metadata=[{"n": i} for i in range(3000)])
        db.delete(5)
    for _ in range(2):
        with omendb.DB(tmp_path / "db") as db:
            assert (len(db), db.dim, db.metric) == (2999, 32, "cosine")
            assert db.get(7).metadata == {"n": 7} and np.array_equal(db.get(7).vector, data[7])
            assert db.search(data[9], 1)[0].id == 9
            assert db.add_batch(data[:1]) == [3000]
            db.delete(3000)


def test_a_database_that_nobody_has_any_more_is_closed(tmp_path):
    db = omendb.DB(tmp_path / "db")
    db.add(1, [1, 2])
    assert db.search([1, 2])[0].id == 1
    del db
    with omendb.DB(tmp_path / "db") as again:
        assert again.list_ids() == [1]


def test_where_there_is_no_hit(db):
    db.add(3, [1, 2])
    found = db.search_batch([[1, 2]], 2)
    assert found.ids.astype(np.int64).tolist() == [[3, -1]]
    assert found.distances.tolist() == [[0, np.inf]] and found.counts.tolist() == [1]
    db.add("a", [2, 2])
    assert db.search_batch([[1, 2]], 3).ids.tolist() == [[3, "a", None]]


def test_threads_share_the_queries(db, sift):
    base, queries = sift[0], sift[1][:60]
    for ids in (None, [f"n{i}" for i in range(len(base))]):
        db.clear()
        db.add_batch(base, ids)
        alone = db.search_batch(queries, 10, threads=1, exact=True)
        for count in (2, 3, 7):
            found = db.search_batch(queries, 10, threads=count, exact=True)
            assert (found.ids == alone.ids).all() and (found.distances == alone.distances).all()
            results = db.search_batch(queries, 3, threads=count, exact=True, as_results=True)
            assert [[hit.id for hit in hits] for hits in results] == alone.ids[:, :3].tolist()
    with pytest.raises(omendb.ValidationError, match="threads"):
        db.search_batch(queries, threads=0)


def test_a_search_explains_itself(db, sift):
    base, queries, _ = sift
    db.add_batch(base)
    db.wait_linked()
    hits = db.search(queries[0], 10, ef=50, explain=True)
    plain = db.search(queries[0], 10, ef=50)
    assert [hit.id for hit in hits] == [hit.id for hit in plain]
    assert not hits.partial and hits.failed_shards == ()
    (told,) = hits.explain
    assert (told["rows"], told["walks"], told["scans"], told["width"]) == (10_000, 1, 0, 50)
    assert 50 < told["distances"] < 10_000
    # Queries of several calls of the library are told about as one search.
    many = np.repeat(queries[:1], 10_100, axis=0)
    (told,) = db.search_batch(many, 1, exact=False, ef=1, explain=True).explain
    assert (told["queries"], told["rows"]) == (10_100, 10_000)
    assert db.search(queries[0]).explain == ()


def test_names_by_habit_get_a_hint(db):
    db.add(1, [1, 2])
    for wrong, right in [
        ("k", "limit"),
        ("top_k", "limit"),
        ("n_results", "limit"),
        ("where", "filter"),
        ("ef_search", "ef"),
        ("include_vectors", "with_vector"),
    ]:
        with pytest.raises(TypeError, match=f"no argument {wrong}; it is called {right}"):
            db.search([1, 2], **{wrong: 3})
        with pytest.raises(TypeError, match=f"no argument {wrong}; it is called {right}"):
            db.search_batch([[1, 2]], **{wrong: 3})
    with pytest.raises(TypeError, match=r"no argument nonsense$"):
        db.search([1, 2], nonsense=3)
