"""`calibrate`: recall that is promised for queries of another kind than the records."""

import asyncio
import json
import os
import subprocess

import numpy
import pytest

import omendb
from omendb.aio import AsyncDB

ROWS, DIM = 4_000, 48


def of_spectrum(random, count, power):
    scale = (1 + numpy.arange(DIM, dtype=numpy.float32)) ** numpy.float32(-power)
    return random.standard_normal((count, DIM), dtype=numpy.float32) * scale


def data():
    random = numpy.random.default_rng(5)
    return of_spectrum(random, ROWS, 1), of_spectrum(random, 400, 0)


def table(db):
    return db.info()["collections"]["default"]["calibration"]


def recall(db, queries, wanted):
    true = db.search_batch(queries, 10, exact=True).ids
    found = db.search_batch(queries, 10, recall=wanted).ids
    pairs = zip(found.tolist(), true.tolist(), strict=True)
    return numpy.mean([len(set(a) & set(b)) / 10 for a, b in pairs])


@pytest.fixture(params=["memory", "path", "cluster"])
def opened(request, tmp_path):
    path = None if request.param == "memory" else tmp_path / "db"
    db = omendb.DB(path, shards=2 if request.param == "cluster" else None, dim=DIM)
    yield db
    if request.param == "cluster":
        db.stop()
    else:
        db.close()


def test_the_recall_asked_for_is_reached_once_such_queries_are_given(opened):
    rows, queries = data()
    opened.add_batch(rows, range(ROWS))
    opened.wait_linked()
    sample, others = queries[:200], queries[200:]
    before = table(opened)
    assert before["queries"] == "rows"
    assert recall(opened, others, 0.9) < 0.88
    opened.calibrate(sample)
    opened.wait_linked()
    after = table(opened)
    assert after["queries"] == "sample"
    assert recall(opened, others, 0.9) >= 0.89
    assert list(after["k"]) == ["1", "10", "100"]
    for k, curve in after["k"].items():
        efs = [ef for ef, _ in curve]
        assert efs == sorted(set(efs)), k
        assert all(0 <= share <= 1 for _, share in curve), k
    # Such queries find less at the same width.
    assert dict(map(tuple, after["k"]["10"]))[12] < dict(map(tuple, before["k"]["10"]))[12] - 0.05
    opened.calibrate(None)
    opened.wait_linked()
    assert table(opened)["queries"] == "rows"


@pytest.mark.parametrize("shards", [None, 2])
def test_it_survives_closing_and_opening(tmp_path, shards):
    rows, queries = data()
    db = omendb.DB(tmp_path / "db", shards=shards)
    db.add_batch(rows, range(ROWS))
    db.calibrate(queries[:200])
    db.wait_linked()
    before = table(db)
    assert before["queries"] == "sample"
    if shards:
        db.stop()
    else:
        db.close()
    db = omendb.DB(tmp_path / "db", shards=shards)
    try:
        assert table(db) == before
        assert db.info()["collections"]["default"]["building"] is None
        # And what comes later is measured with it, too.
        db.add_batch(rows[::-1].copy(), range(ROWS, 2 * ROWS))
        db.wait_linked()
        assert table(db)["queries"] == "sample"
        assert table(db) != before
        db.clear()
        db.add_batch(rows, range(ROWS))
        db.wait_linked()
        assert table(db)["queries"] == "rows"
    finally:
        if shards:
            db.stop()
        else:
            db.close()


def test_what_cannot_be_a_sample_is_refused(opened):
    queries = data()[1]

    def changed(row, value):
        copy = queries[:20].copy()
        copy[row] = value
        return copy

    for bad, message in (
        (queries[:15], "15 queries"),
        (numpy.zeros((1025, DIM)), "1025 queries"),
        (changed(7, numpy.nan), "query 7 element 0 is nan"),
        (changed(3, 1e30), "query 3 element 0"),
        (queries[:20, :5], "5 dimensions"),
        (queries[0], "shape"),
        ("abc", "queries"),
        (numpy.ma.masked_array(queries[:20], mask=queries[:20] > 0), "mask"),
    ):
        with pytest.raises(omendb.ValidationError, match=message):
            opened.calibrate(bad)
    with pytest.raises(omendb.ValidationError, match="does not exist"):
        opened.collection("other").calibrate(queries[:20])
    whole = opened.collection("whole", dim=DIM, element="u8", metric="cosine")
    with pytest.raises(omendb.ValidationError, match=r"query 0 element 0 is -?[0-9.]+, .* u8"):
        whole.calibrate(queries[:20])
    with pytest.raises(omendb.ValidationError, match="query 2 is zero"):
        bytes = numpy.ones((20, DIM), numpy.uint8)
        bytes[2] = 0
        whole.calibrate(bytes)
    assert table(opened) is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int64"])
def test_every_kind_of_array_is_read(dtype):
    random = numpy.random.default_rng(7)
    rows = random.integers(0, 100, (1100, DIM)).astype(dtype)
    with omendb.DB() as db:
        db.add_batch(rows)
        for queries in (rows[:40], rows[:40].tolist(), numpy.asfortranarray(rows[:40])):
            db.calibrate([])
            db.wait_linked()
            assert table(db)["queries"] == "rows"
            db.calibrate(queries)
            db.wait_linked()
            assert table(db)["queries"] == "sample"


def test_few_records_are_not_measured_and_nobody_waits():
    rows, queries = data()
    with omendb.DB() as db:
        db.add_batch(rows[:900])
        db.calibrate(queries)
        db.wait_linked(timeout=60)
        assert table(db) is None
        db.add_batch(rows[900:])
        db.wait_linked()
        assert table(db)["queries"] == "sample"


def test_it_is_a_coroutine_as_well():
    async def run():
        async with AsyncDB() as db:
            await db.add_batch(data()[0])
            await db.calibrate(data()[1][:100])
            await db.wait_linked()
            return (await db.info())["collections"]["default"]["calibration"]

    assert asyncio.run(run())["queries"] == "sample"


def test_the_program_calibrates_and_shows_what_it_measured(tmp_path):
    rows, queries = data()
    db = omendb.DB(tmp_path / "db", shards=2, dim=DIM)

    def program(*words, form=("--json",)):
        result = subprocess.run(
            [os.environ["OMENDB_CLUSTER"], *words, "--data", str(tmp_path / "db"), *form],
            capture_output=True,
            text=True,
        )
        return result.returncode, result.stdout or result.stderr

    try:
        db.add_batch(rows, range(ROWS))
        numpy.save(tmp_path / "queries.npy", queries[:100])
        numpy.save(tmp_path / "few.npy", queries[:3])
        code, text = program("calibrate", str(tmp_path / "queries.npy"))
        assert code == 0 and json.loads(text)["queries"] == 100, text
        db.wait_linked()
        shards = json.loads(program("status")[1])["shards"]
        tables = [shard["collections"]["default"]["calibration"] for shard in shards]
        assert [one["queries"] for one in tables] == ["sample"] * 2
        for k, curve in table(db)["k"].items():
            both = [dict(map(tuple, one["k"][k])) for one in tables]
            assert [ef for ef, _ in curve] == [ef for ef in both[0] if ef in both[1]]
            for ef, share in curve:
                assert share == pytest.approx((both[0][ef] + both[1][ef]) / 2, abs=1e-6)
        titles, line = program("status", form=())[1].splitlines()[-2:]
        shown = dict(zip(titles.replace("ef ", "").split(), line.split(), strict=True))
        assert (shown["collection"], shown["queries"]) == ("default", "sample")
        by_width = dict(map(tuple, table(db)["k"]["10"]))
        assert float(shown["32"]) == pytest.approx(by_width[32], abs=5e-4)
        assert program("calibrate", str(tmp_path / "few.npy"))[0] == 1
        assert program("calibrate")[0] == 64
        assert program("calibrate", "--rows")[0] == 0
        db.wait_linked()
        assert table(db)["queries"] == "rows"
    finally:
        db.stop()
