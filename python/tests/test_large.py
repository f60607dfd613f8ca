"""What the package that had this name before could not do."""

import numpy as np

import omendb

HALF, DIM = 500_000, 16


def test_a_million_vectors_in_two_batches_beside_another_database(tmp_path):
    data = np.random.default_rng(1).integers(0, 256, (2 * HALF, DIM), np.uint8)
    chosen = np.random.default_rng(2).integers(0, len(data), 20)

    def check(db):
        assert len(db) == 2 * HALF
        found = db.search_batch(data[chosen], 1, exact=True)
        assert (found.distances == 0).all()
        assert (data[found.ids[:, 0].astype(np.int64)] == data[chosen]).all()
        # Without comparing with all of them, wherever linking is.
        near = db.search_batch(data[chosen], 1, recall=0.99)
        assert (near.distances == 0).mean() >= 0.9
        assert db.get(int(chosen[0])).vector.tolist() == data[chosen[0]].tolist()

    with omendb.DB(tmp_path / "db", durability="none") as db, omendb.DB() as other:
        assert list(db.add_batch(data[:HALF], range(HALF))) == list(range(HALF))
        other.add_batch(data[:1000], [f"n{i}" for i in range(1000)])
        db.add_batch(data[HALF:], range(HALF, 2 * HALF))
        check(db)
        assert len(other) == 1000 and other.search(data[7], 1)[0].id == "n7"
    with omendb.DB(tmp_path / "db") as db:
        check(db)
        assert db.list_ids() == list(range(2 * HALF))
        ids, shown = db.to_numpy()
        assert (shown == data[ids.astype(np.int64)]).all()
