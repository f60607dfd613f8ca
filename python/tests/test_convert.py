"""What vectors and ids may be."""

import array
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import omendb

DATA = np.arange(24, dtype=np.float32).reshape(6, 4)


def stored(vectors):
    with omendb.DB(element="f32") as db:
        db.add_batch(vectors)
        return db.to_numpy()[1].copy()


@pytest.mark.parametrize(
    "kind", ["f2", "f4", "f8", "u1", "i1", "i2", "i4", "i8", "u2", "u4", ">f4", ">f8"]
)
def test_element_types(kind):
    assert np.array_equal(stored(DATA.astype(kind)), DATA)


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda a: a[::-1][::-1],
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: np.hstack([a, a])[:, :4],
        lambda a: a.tolist(),
        lambda a: [row for row in a],
        lambda a: a.astype(np.float64)[::-1][::-1],
    ],
)
def test_layouts(layout):
    assert np.array_equal(stored(layout(DATA)), DATA)


def test_reversed_rows():
    assert np.array_equal(stored(DATA[::-1]), DATA[::-1])
    assert np.array_equal(stored(np.broadcast_to(DATA[0], (3, 4))), DATA[[0, 0, 0]])


def test_whatever_shows_its_memory():
    assert np.array_equal(stored(memoryview(DATA)), DATA)
    with omendb.DB() as db:
        db.add(1, array.array("f", [1, 2, 3]))
        assert db.get(1).vector.tolist() == [1, 2, 3]

    class Shown:
        __array_interface__ = DATA.__array_interface__

    assert np.array_equal(stored(Shown()), DATA)


def test_bytes_stay_bytes():
    with omendb.DB() as db:
        db.add_batch(DATA.astype(np.uint8))
        assert db.to_numpy()[1].dtype == np.uint8
        assert db.search(DATA[2], 1)[0].id == 2


def test_many_pieces_are_one_batch():
    data = np.random.default_rng(3).random((5000, 300))
    with omendb.DB() as db:
        db.add_batch(data, [f"n{i}" for i in range(5000)], [{"n": i} for i in range(5000)])
        assert len(db) == 5000
        for i in (0, 3494, 3495, 4999):
            found = db.get(f"n{i}")
            assert found.metadata == {"n": i}
            assert np.array_equal(found.vector, data[i].astype(np.float32))


@pytest.mark.parametrize(
    "ids",
    [
        range(10, 16),
        np.arange(6, dtype=np.int16),
        np.arange(6, dtype=np.uint64),
        (i for i in range(6)),
        list("abcdef"),
        np.array(list("abcdef")),
        [1, "b", 3, "d", 5, "f"],
        np.arange(12)[::2],
        [np.int64(i) for i in range(6)],
    ],
)
def test_ids(ids):
    with omendb.DB() as db:
        given = db.add_batch(DATA, ids)
        assert db.list_ids() == [str(i) if isinstance(i, str) else int(i) for i in given]
        assert db.get(given[3]).vector.tolist() == DATA[3].tolist()


def test_memory_of_a_large_mapped_file(tmp_path):
    """What is added takes its own size, the graph, and little more: no second copy."""
    program = textwrap.dedent(
        """
        import resource, sys
        import numpy as np, omendb

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

        path, count, dim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        made = np.lib.format.open_memmap(path, "w+", np.float32, (count, dim))
        for first in range(0, count, 1024):
            made[first:first + 1024, 0] = np.arange(first, min(first + 1024, count))
        del made
        data = np.load(path, mmap_mode="r")
        with omendb.DB() as db:
            before = peak()
            db.add_batch(data)
            taken = peak() - before
            # Pages of the file that were read count, too: they are the system's to take back.
            print(taken / data.nbytes)
            assert len(db) == count
        """
    )
    count, dim = 2048, 8192
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "big.npy"), str(count), str(dim)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The file's pages, the stored vectors and their codes; a copy would be one more.
    assert float(done.stdout) < 2.75, done.stdout
