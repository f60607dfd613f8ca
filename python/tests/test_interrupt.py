"""Ctrl-C, other signals and the cancelling of tasks during long calls.

Nothing here knows how fast the machine is: each call runs to its end first, and must then end
within a part of that time when a signal comes.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import omendb

DIM = 64
ROWS = 10_000
# What a call takes at least that is interrupted after a tenth of it.
SECONDS = 0.6


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(1).random((ROWS, DIM), np.float32)


@pytest.fixture(scope="module")
def filled(data):
    with omendb.DB() as db:
        db.add_batch(data)
        db.wait_linked()
        yield db


@contextlib.contextmanager
def signal_after(seconds, number=signal.SIGINT):
    """Sends this process a signal in the midst of what is done within."""
    sender = threading.Timer(seconds, os.kill, (os.getpid(), number))
    sender.start()
    try:
        yield
    finally:
        sender.cancel()
        sender.join()


class Whole(float):
    """Seconds that a call takes when nobody interrupts it, and processor time.

    Calls that end early are told by processor time: it does not grow while other programs run.
    """

    processor: float


def seconds_of(call):
    start, processor = time.monotonic(), time.process_time()
    call()
    whole = Whole(time.monotonic() - start)
    whole.processor = time.process_time() - processor
    return whole


def lasting(call, units=1):
    """Units of work that keep a call busy for long enough here, and how long."""
    while True:
        whole = seconds_of(lambda units=units: call(units))
        if whole >= SECONDS:
            return units, whole
        units *= 2 if whole > SECONDS / 4 else 4


def interrupt(call, whole, clock=time.process_time):
    """Interrupts a call that takes `whole` seconds; returns what was raised."""
    start = clock()
    with pytest.raises(KeyboardInterrupt) as caught, signal_after(whole / 10):
        call()
    assert clock() - start < 0.6 * whole.processor
    return caught.value


def interrupt_lasting(call, units=1):
    units, whole = lasting(call, units)
    return interrupt(lambda: call(units), whole)


def repeated(data, count):
    """So many rows."""
    return np.tile(data, (-(-count // len(data)), 1))[:count]


@pytest.mark.parametrize(
    "options",
    [{"exact": True, "threads": 1}, {"exact": True, "threads": 3, "as_results": True}, {"ef": 900}],
    ids=str,
)
def test_a_search_ends_at_an_interrupt(filled, data, options):
    interrupt_lasting(lambda count: filled.search_batch(repeated(data, count), 10, **options), 128)
    # And the database goes on as if nothing had been.
    assert filled.search(data[7], 1)[0].id == 7
    assert len(filled) == ROWS


def test_single_searches_one_after_the_other_end(filled, data):
    def search(count):
        for query in repeated(data, count):
            filled.search(query, 10, exact=True)

    interrupt_lasting(search, 64)


def test_an_interrupted_batch_has_its_first_rows_and_says_how_many(tmp_path, data):
    for path in (None, tmp_path / "db"):
        with omendb.DB(path) as measured:
            count, whole = lasting(
                lambda count, db=measured: db.add_batch(repeated(data, count), range(count)), ROWS
            )
        matrix = repeated(data, count)
        with omendb.DB(path and tmp_path / "other") as db:
            db.add("first", data[0])
            error = interrupt(lambda db=db, matrix=matrix: db.add_batch(matrix), whole)
            there = error.records_written
            assert f"first {there:,} of {count:,} records" in str(error)
            assert 0 <= there < count
            # The first so many, and no others.
            assert len(db) == there + 1
            assert all(record is not None for record in db.get_many(range(there), False))
            assert db.get(there) is None
            db.add_batch(data[:10], range(10))


def test_a_batch_that_is_converted_says_so_too(data):
    with omendb.DB() as db:
        count, whole = lasting(
            lambda count: db.add_batch(repeated(data, count).astype(np.float64), range(count)),
            ROWS,
        )
        db.clear()
        doubles = repeated(data, count).astype(np.float64)
        error = interrupt(lambda: db.add_batch(doubles, range(count)), whole)
        assert len(db) == error.records_written < count


def test_an_interrupted_delete_says_how_many_ids_are_done():
    rows = np.arange(1 << 21, dtype=np.float32)[:, None] % 1000
    with omendb.DB() as db:

        def delete(count):
            db.delete_batch(np.arange(count))

        def measured(count):
            db.add_batch(rows[:count], range(count))
            return seconds_of(lambda: delete(count))

        count = 25_000
        while (whole := measured(count)) < SECONDS / 2 and count < len(rows):
            count *= 2
        db.add_batch(rows[:count], range(count))
        error = interrupt(lambda: delete(count), whole)
        assert f"of {count:,} ids" in str(error)
        assert len(db) == count - error.records_written > 0
        assert db.get(error.records_written) is not None


def test_reading_many_records_ends(filled):
    for read in (
        lambda count: [filled.get_many(range(ROWS)) for _ in range(count)],
        lambda count: [list(filled) for _ in range(count)],
    ):
        interrupt_lasting(read, 4)


def test_importing_a_file_says_how_many_rows_are_in(tmp_path, data):
    def read(count):
        db.clear()
        np.save(tmp_path / "rows.npy", repeated(data, count))
        return db.import_file(tmp_path / "rows.npy")

    with omendb.DB() as db:
        count, whole = lasting(read, ROWS)
        error = interrupt(lambda: db.import_file(tmp_path / "rows.npy"), whole)
        # Numbered on from those that are there.
        assert len(db) == count + error.records_written
        assert f"first {error.records_written:,} of {count:,} records" in str(error)


def test_importing_a_frame_says_how_many_rows_are_in(data):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame()

    def add(count):
        nonlocal frame
        db.clear()
        if len(frame) != count:
            frame = pandas.DataFrame({"id": range(count), "vector": list(repeated(data, count))})
        db.add_pandas(frame)

    with omendb.DB() as db:
        count, whole = lasting(add, ROWS)
        error = interrupt(lambda: add(count), whole)
        assert len(db) == error.records_written < count


def test_saving_that_is_interrupted_leaves_nothing(tmp_path, data):
    with omendb.DB() as db:

        def save(count):
            db.add_batch(repeated(data, count), range(count))
            db.save(tmp_path / str(count))

        count, _ = lasting(save, ROWS)
        # Without adding, which takes longer.
        whole = seconds_of(lambda: db.save(tmp_path / "whole"))
        error = interrupt(lambda: db.save(tmp_path / "part"), whole)
        assert error.records_written == 0
        assert not (tmp_path / "part").exists()
    with omendb.DB(tmp_path / str(count)) as again:
        assert len(again) == count


@pytest.fixture(scope="module")
def batch(filled, data):
    """Queries whose exact search takes long, and how long."""
    units, whole = lasting(lambda count: exact_search(filled, repeated(data, count)), 128)
    return repeated(data, units), whole


def exact_search(db, queries):
    return db.search_batch(queries, 1, exact=True, threads=1).ids[:, 0].tolist()


def test_handlers_run_during_a_call_which_goes_on(filled, data, batch):
    seen = []

    def handle(number, frame):
        # With calls of their own, too.
        seen.append((time.thread_time(), len(filled), filled.search(data[3], 1)[0].id))

    queries, whole = batch
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        start = time.thread_time()
        with signal_after(whole / 10, signal.SIGUSR1):
            found = exact_search(filled, queries)
        assert found == [row % ROWS for row in range(len(queries))]
        assert [one[1:] for one in seen] == [(ROWS, 3)]
        assert seen[0][0] - start < 0.6 * whole.processor
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_a_handler_raises_is_what_the_caller_gets(filled, data):
    class Enough(Exception):
        pass

    def handle(number, frame):
        raise Enough("enough of it")

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with omendb.DB() as db:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Enough) as caught:
                while True:
                    db.add_batch(data)
            assert caught.value.args == ("enough of it",)
            said = getattr(caught.value, "__notes__", [])
            assert not said or "records are written" in said[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_many_interrupts_one_after_the_other(filled, data):
    """At any line of the package, of calls too short to be interrupted and of longer ones."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    for turn in range(300):
        count = generator.choice([1, 5, 32, 100])
        start = time.monotonic()
        # The signal may come before the first line within.
        with pytest.raises(KeyboardInterrupt), signal_after(generator.uniform(0, 0.01)):
            while True:
                found = exact_search(filled, data[:count])
                assert found == list(range(count)), f"seed {seed}, turn {turn}"
        # What a call is waited for that does not end takes ten seconds.
        assert time.monotonic() - start < 5, f"seed {seed}, turn {turn}"
    assert exact_search(filled, data[:100]) == list(range(100))


def test_closing_checkpoints_and_opening_end(tmp_path, data):
    """In a process of its own: each call is interrupted, and nothing is lost by it."""
    program = """
import json, os, signal, sys, threading, time
import numpy as np
import omendb

path, rows = sys.argv[1], np.load(sys.argv[2])
told = {}

def interrupted(what, call):
    sender = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    try:
        sender.start()
        call()
        sender.join()
        time.sleep(0.1)
        told[what] = False
    except KeyboardInterrupt:
        told[what] = True

db = omendb.DB(path)
db.add_batch(rows, range(len(rows)))
interrupted("checkpoint", db.checkpoint)
told["after checkpoint"] = len(db)
interrupted("close", db.close)
try:
    db.count()
except omendb.Unavailable:
    told["closed"] = True
interrupted("open", lambda: omendb.DB(path).close())
with omendb.DB(path) as again:
    told["opened"] = len(again)
    told["found"] = again.search(rows[11], 1)[0].id
print(json.dumps(told))
"""
    np.save(tmp_path / "rows.npy", np.concatenate([data + number for number in range(8)]))
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "db", tmp_path / "rows.npy"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["after checkpoint"] == told["opened"] == 8 * ROWS
    assert told["found"] == 11
    # Whether the signal came in time or not, it was answered: no call may swallow it.
    assert all(told[what] for what in ("checkpoint", "close", "open", "closed")), told


def test_a_database_that_is_left_open_does_not_keep_the_interpreter(tmp_path):
    program = """
import sys
import omendb
class Late:
    def __del__(self):
        self.db.close()
first, second, late = omendb.DB(sys.argv[1]), omendb.DB(), Late()
late.db = omendb.DB(sys.argv[2])
for db in (first, second, late.db):
    db.add_batch([[1.0, 2.0], [3.0, 4.0]])
sys.modules["kept"] = [first, second, late]
"""
    paths = [tmp_path / "first", tmp_path / "second"]
    subprocess.run([sys.executable, "-c", program, *paths], check=True, timeout=60)
    for path in paths:
        with omendb.DB(path) as again:
            assert len(again) == 2


def test_asyncio_ends_what_a_cancelled_task_began(data):
    async def use():
        async with omendb.AsyncDB() as db:
            await db.add_batch(data)
            await db.wait_linked()
            count, whole = lasting(lambda count: exact_search(db.db, repeated(data, count)), 128)
            queries = repeated(data, count)

            def search():
                return db.search_batch(queries, 10, exact=True, threads=1)

            async def time_out():
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(search(), whole / 10)

            async def cancel_many():
                # There are more tasks than threads, so some tasks have not begun when they are
                # cancelled. They must never begin.
                tasks = [asyncio.create_task(search()) for _ in range(12)]
                await asyncio.sleep(whole / 10)
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with pytest.raises(asyncio.CancelledError):
                        await task
                assert (await db.search(data[5], 1))[0].id == 5

            # What goes on to its end does so every time; other programs may delay one.
            for attempt in (time_out, cancel_many):
                seconds = []
                while not seconds or seconds[-1] >= 0.6 * whole:
                    assert len(seconds) < 5, (whole, seconds)
                    start = time.monotonic()
                    await attempt()
                    seconds.append(time.monotonic() - start)

    asyncio.run(use())


def test_asyncio_says_how_many_records_of_a_cancelled_write_are_there(data):
    async def use():
        async with omendb.AsyncDB() as db:
            count, whole = lasting(
                lambda count: db.db.add_batch(repeated(data, count), range(count)), ROWS
            )
            await db.clear()
            rows = repeated(data, count)
            task = asyncio.create_task(db.add_batch(rows, range(count)))
            await asyncio.sleep(whole / 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            there = await db.count()
            assert getattr(caught.value, "records_written", count) == there
            assert not there or await db.get(there - 1) is not None
            assert await db.get(there) is None

    asyncio.run(use())


def test_other_threads_go_on_while_one_is_interrupted(filled, batch):
    queries, whole = batch
    found = []
    other = threading.Thread(target=lambda: found.append(exact_search(filled, queries)))
    other.start()
    interrupt(lambda: exact_search(filled, queries), whole, clock=time.thread_time)
    other.join()
    assert found == [[row % ROWS for row in range(len(queries))]]


def test_a_cluster_that_does_not_answer_keeps_nobody(tmp_path, data):
    """A stopped worker answers after a minute, or never."""
    with omendb.DB(tmp_path / "cluster", shards=2) as db:
        db.add_batch(data[:1000])
        status = subprocess.run(
            [os.environ["OMENDB_CLUSTER"], "status", "--data", tmp_path / "cluster", "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        worker = json.loads(status.stdout)["shards"][0]["pid"]
        os.kill(worker, signal.SIGSTOP)
        try:
            for call in (
                lambda: db.search(data[0], 10),
                lambda: db.get_many(range(1000)),
                lambda: db.checkpoint(),
                lambda: db.add_batch(data[:1000]),
            ):
                start = time.monotonic()
                with pytest.raises(KeyboardInterrupt) as caught, signal_after(0.2):
                    call()
                # The least of the times after which a call gives up by itself is ten seconds.
                assert time.monotonic() - start < 5
            assert caught.value.records_written == 0
            assert "and maybe some after them" in str(caught.value)
        finally:
            os.kill(worker, signal.SIGCONT)
        # Whether the last write is there is not known; everything before is.
        assert len(db) in (1000, *range(1000, 2001))
        assert db.search(data[3], 1)[0].distance == 0
        db.stop()
