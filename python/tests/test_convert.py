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


def test_tensors():
    class Tensor:
        """What tensors of CPUs have in common; the data API of torch, jax, cupy and others."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    for kind in (np.float32, np.float16, np.uint8, np.int8, np.float64):
        assert np.array_equal(stored(Tensor(DATA.astype(kind))), DATA)
    with omendb.DB() as db:
        db.add(1, Tensor(DATA[1].copy()))
        assert db.search(Tensor(DATA[1].copy()), 1)[0].distance == 0
        with pytest.raises(omendb.ValidationError):
            db.add(2, Tensor(DATA.astype(np.complex64)))


@pytest.mark.parametrize("kind", [np.float16, np.int8])
def test_every_value_of_a_small_type(kind):
    values = np.arange(1 << np.dtype(kind).itemsize * 8, dtype=np.uint16).astype(
        f"u{np.dtype(kind).itemsize}"
    )
    values = values.view(kind)
    values = values[np.isfinite(values)][: len(values) // 64 * 62].reshape(-1, 62)
    found = stored(values)
    assert found.dtype == np.float32
    assert np.array_equal(found, values.astype(np.float32))
    assert np.array_equal(np.signbit(found), np.signbit(values))


def test_strided_rows_of_a_small_type_are_read_in_place():
    for kind in (np.float16, np.int8, np.uint8, np.float32):
        wide = np.arange(60, dtype=kind).reshape(6, 10)
        assert np.array_equal(stored(wide[:, 2:7]), wide[:, 2:7])
        with omendb.DB() as db:
            db.add_batch(wide[:, 2:7])
            assert [db.search(row, 1)[0].id for row in wide[:, 2:7]] == list(range(6))
            assert db.search_batch(wide[:, 2:7], 1).ids[:, 0].tolist() == list(range(6))


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
    """A mapped file of a gibibyte is read where it lies: only what is stored takes memory."""
    program = textwrap.dedent(
        """
        import sys, threading, tracemalloc
        import numpy as np, omendb

        def own():
            # Without pages of mapped files, which are the system's to take back.
            with open("/proc/self/status") as status:
                lines = dict(line.split(":", 1) for line in status)
            return int(lines["RssAnon"].split()[0]) << 10

        count, dim = 131_072, 2048
        made = np.lib.format.open_memmap(sys.argv[1], "w+", np.float32, (count, dim))
        made[:, 0] = np.arange(count)
        del made
        data = np.load(sys.argv[1], mmap_mode="r")
        assert data.nbytes == 1 << 30
        with omendb.DB() as db:
            before = own()
            peaks = [before]
            added = threading.Event()

            def watch():
                while not added.wait(0.002):
                    peaks.append(own())

            watcher = threading.Thread(target=watch)
            watcher.start()
            # No build begins before it ends, however slow the machine is.
            db.add_batch(data)
            added.set()
            watcher.join()
            assert len(db) == count
            print(max(peaks) - before - data.nbytes)
            tracemalloc.start()
            shown = db.to_numpy()[1]
            one = db.get(7)
            print(tracemalloc.get_traced_memory()[1])
            assert shown.shape == data.shape and one.vector[0] == 7
            assert np.shares_memory(shown, one.vector) and not shown.flags.writeable
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "big.npy")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    above, shown = (int(line) for line in done.stdout.splitlines())
    # Ids, and 4 MiB on its way at a time.
    assert above < 64 << 20, above
    assert shown < 16 << 20, shown
