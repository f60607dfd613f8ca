"""Databases where addresses are limited, as batch systems do (`ulimit -v`)."""

import json
import resource
import subprocess
import sys
import textwrap

import pytest

GIB = 1 << 30


def run(limit: int, program: str, *arguments) -> dict:
    """What the program printed, as JSON, with so many bytes of addresses."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("limit", [2, 8])
def test_everything_works_beside_a_limit_of_addresses(limit, tmp_path):
    found = run(
        limit * GIB,
        """
        import json, sys
        import numpy as np, omendb

        random = np.random.default_rng(3)
        data = random.integers(0, 256, (12_000, 32), np.uint8)
        texts = [f"text-{i}" for i in range(300)]

        def check(db):
            assert len(db) == len(data)
            near = db.search_batch(data[:200], 1, threads=2)
            assert (near.distances == 0).mean() > 0.9
            assert db.collection("words").get("text-7").metadata == {"n": 7}
            assert db.collection("words").search(words[9], 1)[0].id == "text-9"

        words = random.standard_normal((300, 64), np.float32)
        for path in (None, sys.argv[1]):
            with omendb.DB(path) as db:
                for i in range(10):
                    db.collection(f"c{i}").add_batch(data[: 100 + i])
                db.collection("words", metric="cosine").add_batch(
                    words, texts, [{"n": i} for i in range(300)])
                db.add_batch(data)
                # Streamed behind, replaced, deleted, built.
                db.add_batch(data[:4000], range(4000))
                db.wait_linked()
                db.delete(0)
                db.add(0, data[0])
                check(db)
        with omendb.DB(sys.argv[1]) as db:
            check(db)
            db.collection("c3").clear()
            db.collection("c3").add_batch(data[:50])
            assert len(db.collection("c3")) == 50
        print(json.dumps("whole"))
        """,
        tmp_path / "db",
    )
    assert found == "whole"


@pytest.mark.parametrize("durability", [None, "none"])
def test_what_does_not_fit_is_refused_by_the_name_of_the_limit_and_the_rest_goes_on(
    durability, tmp_path
):
    path = tmp_path / "db"
    found = run(
        GIB,
        """
        import json, sys, time
        import numpy as np, omendb

        path, durability = json.loads(sys.argv[1])
        options = {"durability": durability} if durability else {}
        part = np.random.default_rng(3).standard_normal((2000, 2048), np.float32)
        with omendb.DB(path, **options) as db:
            small = db.collection("small")
            small.add_batch(part[:100, :16])
            large = db.collection("large")
            count = 0
            errors = []
            while len(errors) < 3:
                try:
                    large.add_batch(part[:500], range(count, count + 500))
                    count += 500
                except omendb.DatabaseError as error:
                    errors.append(str(error))
                assert count < 1 << 20
            # Nothing failed for good.
            small.add_batch(part[100:200, :16], range(100, 200))
            assert len(small) == 200
            assert small.search(part[150, :16], 1)[0].id == 150
            assert len(large) >= count and large.get(count - 1) is not None
            assert large.search(part[7], 1)[0].distance == 0
            # What is dropped makes room once no checkpoint writes it and no build copies it.
            db.drop("large")
            db.checkpoint()
            end = time.monotonic() + 120
            while True:
                try:
                    db.collection("again").add_batch(part, range(2000))
                    break
                except omendb.DatabaseError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)
            print(json.dumps([count, errors, len(db.collection("again"))]))
        """,
        json.dumps([None if durability is None else str(path), durability]),
    )
    count, errors, again = found
    assert count > 2000 and again == 2000
    for error in errors:
        assert "RLIMIT_AS" in error and str(GIB) in error, error
    if durability is not None:
        reopened = run(
            GIB,
            """
            import json, sys
            import omendb
            with omendb.DB(sys.argv[1]) as db:
                print(json.dumps([len(db.collection("small")), len(db.collection("again"))]))
            """,
            path,
        )
        assert reopened == [200, 2000]
