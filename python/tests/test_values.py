"""What is accepted as an id, a value, a text or a file: the same at every door."""

import contextlib
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
