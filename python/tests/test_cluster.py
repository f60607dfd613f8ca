"""A cluster through the same methods; the program is the one that OMENDB_CLUSTER names."""

import gc
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import omendb


@pytest.fixture
def cluster(tmp_path):
    db = omendb.DB(tmp_path / "db", shards=2)
    yield db
    if not db._session.is_closed:
        db.stop()


def test_the_same_methods(cluster):
    data = np.random.default_rng(1).random((500, 8), np.float32)
    cluster.add_batch(data, list(range(500)), [{"n": i} for i in range(500)])
    assert len(cluster) == 500 and 7 in cluster
    hits = cluster.search(data[9], 3, with_vector=True)
    assert hits[0].id == 9 and hits[0].metadata == {"n": 9}
    assert np.array_equal(hits[0].vector, data[9])
    assert cluster.search_batch(data, 1).ids[:, 0].tolist() == list(range(500))
    assert cluster.get("x") is None and cluster.get(3).metadata == {"n": 3}
    assert cluster.delete_batch(range(100)) == 100
    cluster.wait_linked()
    cluster.checkpoint()
    assert cluster.info()["collections"]["default"]["vectors"] == 400
    assert "cluster" in repr(cluster)
    assert sorted(cluster) == list(range(100, 500))
    ids, vectors = cluster.to_numpy()
    assert np.array_equal(vectors, data[ids.astype(int)]) and len(ids) == 400
    first, second = cluster.add_batch(data[:2])
    assert second == first + 1 > 500
    assert len(cluster) == 402
    cluster.clear()
    assert len(cluster) == 0


def test_a_get_of_more_than_one_frame_holds(cluster):
    """70 MiB of records, of which each shard has half: the reply comes in several messages."""
    text = "x" * 60_000
    ids = list(range(1200))
    for first in range(0, len(ids), 300):
        part = ids[first : first + 300]
        cluster.add_batch(np.ones((len(part), 2)), part, [{"n": i, "text": text} for i in part])
    records = cluster.get_many([*ids, "no such record"])
    assert records[-1] is None
    assert [record.metadata["n"] for record in records[:-1]] == ids
    assert all(record.metadata["text"] == text for record in records[:-1])
    assert cluster.search([1, 1], 1)[0].distance == 0


def test_a_long_list_comes_in_pages(cluster):
    data = np.random.default_rng(1).random((50_000, 4), np.float32)
    cluster.add_batch(data, range(50_000))
    cluster.delete_batch(range(0, 50_000, 7))
    assert sorted(cluster.list_ids()) == [i for i in range(50_000) if i % 7]


def test_other_processes_attach_to_it(cluster):
    cluster.add("mine", [1, 2])
    program = (
        "import sys, omendb\n"
        "with omendb.DB(sys.argv[1]) as db:\n"
        "    assert db.get('mine').vector.tolist() == [1, 2]\n"
        "    db.add('yours', [3, 4])\n"
    )
    subprocess.run([sys.executable, "-c", program, cluster.path], check=True)
    assert cluster.get("yours").vector.tolist() == [3, 4]
    with omendb.DB(cluster.path, shards=2) as again:
        assert len(again) == 2
    with pytest.raises(omendb.ValidationError, match="2 shards"):
        omendb.DB(cluster.path, shards=3)


def test_one_shard_is_an_embedded_database_when_it_is_stopped(tmp_path):
    with omendb.DB(tmp_path / "db") as db:
        db.add("a", [1, 2])
    served = omendb.DB(tmp_path / "db", shards=1)
    served.add("b", [3, 4])
    served.stop()
    with omendb.DB(tmp_path / "db") as db:
        assert sorted(db.list_ids()) == ["a", "b"]


def test_several_shards_are_no_embedded_database(cluster):
    path = cluster.path
    cluster.stop()
    with pytest.raises(omendb.ValidationError, match="2 shards"):
        omendb.DB(path)


def test_without_a_path_it_ends_with_the_database():
    db = omendb.DB(shards=1)
    path = db.path
    db.add(1, [1, 2])
    db.close()
    assert not os.path.exists(path)


def test_a_forgotten_one_ends_too():
    db = omendb.DB(shards=1)
    path = db.path
    del db
    gc.collect()
    assert not os.path.exists(path)


@pytest.fixture
def lame_cluster(tmp_path):
    """A cluster of two shards, of which the second is gone for longer than the test takes."""
    program, folder = os.environ["OMENDB_CLUSTER"], tmp_path / "db"
    config = tmp_path / "slow.toml"
    config.write_text("shards = 2\n[limits]\nrestart_backoff_min_ms = 30000\n")
    start = [program, "start", "--data", folder, "--config", config]
    subprocess.run(start, check=True, capture_output=True)
    with omendb.DB(folder) as db:
        db.add_batch(np.arange(400, dtype=np.float32).reshape(200, 2))
        told = subprocess.run(
            [program, "status", "--json", "--data", folder], check=True, capture_output=True
        )
        os.kill(json.loads(told.stdout)["shards"][1]["pid"], signal.SIGKILL)
        yield db
    subprocess.run([program, "stop", "--data", folder], check=False, capture_output=True)


def test_an_answer_without_a_shard_is_an_error_or_says_so(lame_cluster):
    db = lame_cluster
    with pytest.raises(omendb.Unavailable, match="shard 1"):
        while True:
            db.search([1, 2])
    hits = db.search([1, 2], 200, allow_partial=True)
    assert hits.partial and 0 < len(hits) < 200
    ((shard, code, detail),) = hits.failed_shards
    assert (shard, code) == (1, "unavailable") and "shard 1" in detail
    batch = db.search_batch([[1, 2], [3, 4]], 5, allow_partial=True)
    assert batch.partial and batch.failed_shards == hits.failed_shards
    ids, distances, counts = batch
    assert ids.shape == distances.shape == (2, 5) and counts.tolist() == [5, 5]
    for found in db.search_batch([[1, 2], [3, 4]], 5, allow_partial=True, as_results=True):
        assert found.partial and len(found) == 5


def test_every_shard_explains(cluster):
    data = np.random.default_rng(2).random((3000, 8), np.float32)
    cluster.add_batch(data)
    explained = cluster.search(data[0], 5, exact=True, explain=True).explain
    assert [told["shard"] for told in explained] == [0, 1]
    assert sum(told["rows"] for told in explained) == 3000
    assert sum(told["distances"] for told in explained) == 3000
    assert [told["scan_reasons"] for told in explained] == [["exact search was asked for"]] * 2


def test_a_killed_cluster_is_unavailable(cluster):
    cluster.add(1, [1, 2])
    with open(os.path.join(cluster.path, "cluster.lock")) as file:
        pid = int(file.read())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(omendb.Unavailable):
        while True:
            cluster.search([1, 2])
    cluster.close()
    again = omendb.DB(cluster.path, shards=2)
    assert again.get(1).vector.tolist() == [1, 2]
    again.stop()
