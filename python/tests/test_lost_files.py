"""Files of a database on a path that are missing or of another time: it refuses to open."""

import os
import shutil

import numpy as np
import pytest

import omendb


def made(path):
    """A database that was closed twice, and a copy of its first state."""
    vectors = np.eye(8, dtype=np.float32)
    with omendb.DB(path) as db:
        db.add_batch(vectors, range(8))
    earlier = path.with_name("earlier")
    shutil.copytree(path, earlier)
    with omendb.DB(path) as db:
        db.delete(3)
        db.add_batch(vectors, range(100, 108))
    return earlier


def newest(folder, pattern):
    return max(folder.glob(pattern), key=lambda file: file.name)


def spoil(kind, path, earlier):
    """Returns the word that the error must have."""
    shard = path / "shards" / "000"
    if kind == "no shard":
        shutil.rmtree(shard)
        return "MANIFEST is missing"
    if kind == "an empty shard":
        shutil.rmtree(shard)
        shard.mkdir()
        return "MANIFEST is missing"
    if kind == "no shards":
        shutil.rmtree(path / "shards")
        return "MANIFEST is missing"
    if kind == "no manifest and no log":
        (shard / "MANIFEST").unlink()
        for log in shard.glob("log-*.wal"):
            log.unlink()
        return "MANIFEST is missing"
    if kind == "an older shard":
        shutil.rmtree(shard)
        shutil.copytree(earlier / "shards" / "000", shard)
        return "older"
    if kind == "an older file under the newest one's name":
        shutil.copyfile(newest(earlier / "shards" / "000", "ckpt-*"), newest(shard, "ckpt-*"))
        return "its name says"
    if kind == "no cluster manifest":
        (path / "cluster.manifest").unlink()
        return "cluster.manifest is missing"
    if kind == "a cut cluster manifest":
        os.truncate(path / "cluster.manifest", 100)
        return "cluster.manifest"
    if kind == "a FIFO":
        (shard / "MANIFEST").unlink()
        os.mkfifo(shard / "MANIFEST")
        return "is a FIFO"
    raise AssertionError(kind)


def contents(path):
    """Every file but locks, which hold no data, with its size."""
    files = (file for file in path.rglob("*") if file.name != "lock")
    return sorted((str(file), file.stat().st_size) for file in files)


KINDS = [
    "no shard",
    "an empty shard",
    "no shards",
    "no manifest and no log",
    "an older shard",
    "an older file under the newest one's name",
    "no cluster manifest",
    "a cut cluster manifest",
    "a FIFO",
]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_named_and_nothing_is_changed(tmp_path, kind):
    path = tmp_path / "db"
    earlier = made(path)
    word = spoil(kind, path, earlier)
    before = contents(path)
    for _ in range(2):
        with pytest.raises(omendb.Corrupt, match=word):
            omendb.DB(path)
    assert contents(path) == before


def test_a_database_that_was_killed_opens_with_all_it_had(tmp_path):
    path = tmp_path / "db"
    pid = os.fork()
    if pid == 0:
        db = omendb.DB(path)
        db.add_batch(np.eye(8, dtype=np.float32), range(8))
        db.checkpoint()
        db.add_batch(np.eye(8, dtype=np.float32), range(8, 16))
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with omendb.DB(path) as db:
        assert len(db) == 16
