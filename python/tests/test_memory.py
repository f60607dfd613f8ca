"""Memory that builds take, what is told about it, and what happens where there is not so much."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

COMMON = """
import json, os, sys, threading, time
import numpy as np, omendb

def own():
    # Without pages of mapped files, which are the system's to take back.
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["RssAnon"].split()[0]) << 10

def limit(byte_count):
    os.environ["OMENDB_MEMORY_LIMIT"] = str(byte_count)

def one(db):
    (found,) = db.info()["collections"].values()
    return found

def rows(count, dim, element):
    random = np.random.default_rng(5)
    if element == "u8":
        return random.integers(0, 256, (count, dim), np.uint8)
    return random.standard_normal((count, dim), np.float32)
"""


def run(program: str, *arguments, environment=None) -> dict:
    """What the program printed, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("count", "dim", "element", "metric", "codes"),
    [
        (40_000, 16, "u8", "l2", "standard"),
        (12_000, 32, "f32", "cosine", "standard"),
    ],
)
def test_a_build_waits_for_the_memory_it_tells_and_takes_no_more(
    count, dim, element, metric, codes
):
    found = run(
        """
        count, dim, element, metric, codes = sys.argv[1:]
        count, dim = int(count), int(dim)
        data = rows(count, dim, element)
        choice = {} if codes == "standard" else {"codes": codes}
        with omendb.DB(element=element, metric=metric, **choice) as db:
            # Room for the rows, and for what is always kept free, but not for a build.
            limit(own() + 4 * data.nbytes + count * 300 + (66 << 20))
            db.add_batch(data)
            # Dead rows go in a build alone, however many rows are linked until it begins.
            db.delete_batch(range(0, count, 3))
            told = one(db)["build_bytes"]
            while not one(db)["build_waits"]:
                time.sleep(0.001)
            assert one(db)["building"] is None and one(db)["deleted"] > 0
            while one(db)["linked"] == 0:
                time.sleep(0.001)
            before = own()
            limit(before + told + (128 << 20))
            peak = building = 0
            while (now := one(db))["deleted"] > 0:
                building = building or now["building"] is not None
                peak = max(peak, own())
            print(json.dumps({"told": told, "took": peak - before, "built": building,
                              "waits": one(db)["build_waits"]}))
        """,
        count,
        dim,
        element,
        metric,
        codes,
    )
    assert found["built"] and not found["waits"]
    assert found["took"] <= found["told"], found


def test_rows_of_one_call_are_built_together_when_the_last_is_there():
    """However slowly they come: no build begins meanwhile, and none is linked by itself."""
    found = run(
        """
        # 512 rows a part.
        data = rows(20_000, 2048, "f32")
        with omendb.DB() as db:
            db.add_batch(data[:1])
            added = threading.Event()
            seen = []

            def watch():
                while True:
                    ended = added.is_set()
                    now = one(db)
                    if ended:
                        return
                    # When all are there a build is due, while the call returns.
                    if now["rows"] < len(data):
                        seen.append((now["linked"], now["building"]))

            watcher = threading.Thread(target=watch)
            watcher.start()
            db.add_batch(data[1:], range(1, len(data)))
            added.set()
            watcher.join()
            print(json.dumps([max(linked for linked, _ in seen),
                              sum(building is not None for _, building in seen)]))
        """
    )
    # The last look may fall behind the end of the call.
    assert found[0] <= 1 and found[1] <= 1, found


def test_a_build_inside_of_one_long_call_takes_no_more_than_it_tells():
    """It begins when no more rows may wait: the call waits, and goes on when it is done."""
    found = run(
        """
        os.environ["OMENDB_HOT_ROW_COUNT_MAX"] = "9000"
        data = rows(20_000, 32, "f32")
        with omendb.DB(codes="f32") as db:
            # The collection is there before anybody looks.
            db.add(0, data[0])
            before = own()
            added = threading.Event()
            peak = told = linked = 0

            def watch():
                global peak, told, linked
                while not added.wait(0.002):
                    peak = max(peak, own())
                    now = one(db)
                    told = max(told, now["build_bytes"])
                    linked = max(linked, now["linked"])

            watcher = threading.Thread(target=watch)
            watcher.start()
            assert list(db.add_batch(data, range(len(data)))) == list(range(len(data)))
            added.set()
            watcher.join()
            db.wait_linked()
            assert len(db) == len(data) and one(db)["linked"] == len(data)
            print(json.dumps({"above": peak - before - data.nbytes, "told": told,
                              "linked": linked}))
        """
    )
    assert found["linked"] >= 9000, found
    # And the links and ids that stay, and what is on its way.
    assert found["above"] <= found["told"] + (24 << 20), found


@pytest.mark.parametrize("shards", [None, 2])
def test_more_rows_than_may_wait_to_be_linked_get_in_whole(shards, tmp_path):
    environment = {**os.environ, "OMENDB_HOT_ROW_COUNT_MAX": "50"}
    found = run(
        """
        path, shards = sys.argv[1], json.loads(sys.argv[2])
        data = rows(10_000, 16, "u8")
        with omendb.DB(path, **({"shards": shards} if shards else {})) as db:
            for start in range(0, 20_000, 10_000):
                db.add_batch(data, range(start, start + 10_000))
            print(len(db))
            if shards:
                db.stop()
        """,
        tmp_path / "db",
        json.dumps(shards),
        environment=environment,
    )
    assert found == 20_000
