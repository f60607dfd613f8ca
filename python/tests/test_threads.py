"""Many threads on one database, many databases, and asyncio."""

import asyncio
import os
import resource
import sys
import threading
import time

import numpy as np

import omendb

SECONDS = float(os.environ.get("OMENDB_THREAD_SECONDS", "3"))
DIM = 16


def vectors(count, seed):
    return np.random.default_rng(seed).random((count, DIM), np.float32)


def work(db, number, end, failures):
    """Writes ids of its own, and finds them again."""
    try:
        generator = np.random.default_rng(number)
        mine = {}
        step = 0
        while time.monotonic() < end:
            step += 1
            id = number * 1000 + step % 200
            mine[id] = generator.random(DIM, np.float32)
            db.add(id, mine[id], {"by": number})
            known = list(mine)[int(generator.integers(len(mine)))]
            found = db.search(mine[known], 1)[0]
            assert found.id == known and found.metadata == {"by": number}, (found, known)
            if step % 10 == 0:
                assert db.delete(known)
                del mine[known]
                assert db.get(known) is None
        for id, vector in mine.items():
            assert np.array_equal(db.get(id).vector, vector)
    except BaseException as error:  # Told by the main thread.
        failures.append(error)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def run(databases):
    failures = []
    sizes = []
    end = time.monotonic() + SECONDS
    threads = [
        threading.Thread(target=work, args=(db, number, end, failures))
        for number, db in enumerate(databases)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.05)
        sizes.append(resident())
    assert not failures, failures
    # Rows that were replaced are reclaimed now and then, so it goes up and down, but not on and on.
    third = len(sizes) // 3
    assert max(sizes[-third:]) - max(sizes[third : 2 * third]) < 48 << 20, sizes


def test_eight_threads_on_one_database(db):
    run([db] * 8)


def test_eight_databases():
    databases = [omendb.DB() for _ in range(8)]
    try:
        run(databases)
    finally:
        for db in databases:
            db.close()


def test_memory_stays_flat():
    data = vectors(500, 1)
    with omendb.DB() as db:
        db.add_batch(data, metadata=[{"n": i} for i in range(500)])

        def use():
            for _ in range(300):
                db.search(data[3], 50, with_vector=True)
                db.search_batch(data[:50], 10)
                db.get_many(range(100))
                db.to_numpy()
                with omendb.DB() as other:
                    other.add(1, [1, 2])

        use()
        before = resident()
        use()
        assert resident() - before < 4 << 20


def test_closing_while_others_call():
    for _ in range(20):
        db = omendb.DB()
        db.add_batch(vectors(100, 1))
        failures = []

        def search(db=db, failures=failures):
            try:
                while True:
                    db.search(np.ones(DIM, np.float32))
            except omendb.Unavailable:
                pass
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.01)
        db.close()
        for thread in threads:
            thread.join(600)
            assert not thread.is_alive()
        assert not failures


def test_closing_while_others_write(tmp_path):
    for turn in range(10):
        db = omendb.DB(tmp_path / str(turn))
        db.add("first", vectors(1, 1)[0])
        failures = []
        written = [0] * 4

        def write(number, db=db, failures=failures, written=written):
            try:
                while True:
                    db.add(number * 100_000 + written[number], vectors(1, 1)[0])
                    written[number] += 1
            except omendb.Unavailable:
                pass
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        db.close()
        for thread in threads:
            thread.join(600)
            assert not thread.is_alive()
        assert not failures
        with omendb.DB(tmp_path / str(turn)) as again:
            # One more may have been written whose call was told that the database is closed.
            assert sum(written) + 1 <= len(again) <= sum(written) + 5


def test_asyncio():
    async def use():
        async with omendb.AsyncDB() as db:
            data = vectors(200, 1)
            await db.add_batch(data)
            found = await asyncio.gather(*(db.search(vector, 1) for vector in data[:50]))
            assert [hits[0].id for hits in found] == list(range(50))
            assert await db.count() == 200
            assert (await db.search_batch(data, 2)).ids[:, 0].tolist() == list(range(200))
            await db.delete(3)
            assert await db.get(3) is None
            assert await db.collections() == ["default"]
            await db.drop("default")
            assert await db.collections() == []

    asyncio.run(use())


def test_a_search_within_a_search():
    """From a signal handler, say: on the same thread, in the midst of any line."""
    with omendb.DB() as outer, omendb.DB() as inner:
        outer.add_batch(np.eye(4, dtype=np.float32), [1, 2, 3, 4])
        inner.add_batch(np.eye(8, dtype=np.float32), [f"i{i}" for i in range(8)])
        query = np.eye(4, dtype=np.float32)[2]
        nested = 0

        def trace(frame, event, argument):
            nonlocal nested
            if frame.f_code.co_filename.endswith("_collection.py"):
                sys.settrace(None)
                assert len(inner.search(np.ones(8, np.float32), 8)) == 8
                nested += 1
                sys.settrace(trace)
                return trace
            return None

        for limit in (1, 2, 2, 4):
            sys.settrace(trace)
            try:
                hits = outer.search(query, limit)
            finally:
                sys.settrace(None)
            assert hits[0].id == 3 and len(hits) == limit
        assert nested > 40


def test_writers_do_not_keep_readers_out():
    with omendb.DB() as db:
        data = vectors(2000, 1)
        db.add_batch(data)
        read = threading.Event()
        end = time.monotonic() + 600

        def write(number):
            while not read.is_set() and time.monotonic() < end:
                db.add_batch(data, range(number * 2000, number * 2000 + 2000))

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in writers:
            thread.start()
        # Each waits for the writes that came before it, and for no others; the writers go on until
        # all are done.
        for _ in range(20):
            assert db.count() >= 2000
        assert time.monotonic() < end
        read.set()
        for thread in writers:
            thread.join()


def test_asyncio_has_the_methods_of_a_database():
    """All but those that make something else, or that Python calls without waiting."""
    apart = {"collection", "load", "from_numpy", "from_pandas", "name", "metric", "dim", "path"}
    methods = {name for name in dir(omendb.DB) if not name.startswith("_")}
    assert methods - apart <= set(dir(omendb.AsyncDB))
