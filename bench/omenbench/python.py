"""What calling from Python costs: the package beside the same database called from Swift.

Adding float32 vectors to a database in memory, searches one by one and in one call, in turn; the best
of several rounds each, because what is compared are microseconds of a call. And how long importing
the package and making a database take.
"""

import json
import os
import statistics
import subprocess
import sys

import numpy

from omenbench import datasets
from omenbench.binaries import binary
from omenbench.console import say, show_table
from omenbench.failure import Failure
from omenbench.paths import ROOT
from omenbench.process import run_json

SUMMARY = "the Python package beside the same calls in Swift"
EFS = [16, 128]

PROGRAM = """
import json, sys, time
import numpy
start = time.perf_counter()
import omendb
imported = time.perf_counter() - start
start = time.perf_counter()
db = omendb.DB()
opened = time.perf_counter() - start
base = numpy.load(sys.argv[1], mmap_mode="r")
base = numpy.array(base)
queries = numpy.load(sys.argv[2])
start = time.perf_counter()
db.add_batch(base, range(len(base)))
added = time.perf_counter() - start
db.wait_linked()
points = []
for ef in json.loads(sys.argv[3]):
    single = batch = float("inf")
    for _ in range(int(sys.argv[4])):
        start = time.perf_counter()
        for query in queries:
            db.search(query, 10, ef=ef)
        single = min(single, time.perf_counter() - start)
        start = time.perf_counter()
        db.search_batch(queries, 10, ef=ef)
        batch = min(batch, time.perf_counter() - start)
    scale = 1e6 / len(queries)
    points.append({"ef": ef, "single_us": single * scale, "batch_us": batch * scale})
print(json.dumps({"import_ms": imported * 1e3, "open_ms": opened * 1e3, "add_seconds": added,
                  "points": points}))
"""


def add_arguments(parser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7, help="of each search in a round (7)")


def library() -> str:
    """The built library; OMENDB_LIBRARY names another one."""
    given = os.environ.get("OMENDB_LIBRARY")
    if given:
        return given
    say("building libOmenDB.so")
    done = subprocess.run([ROOT / "scripts" / "build-library"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failure("scripts/build-library failed")
    return done.stdout.splitlines()[-1] + "/libOmenDB.so"


def run(options, recorder) -> None:
    count = options.count or 100_000
    dataset = datasets.find("sift", options.data, count)
    folder = dataset.files["base"].parent
    base = folder / "python-base.npy"
    queries = folder / "python-queries.npy"
    numpy.save(base, dataset.base[:].astype(numpy.float32))
    numpy.save(queries, dataset.queries.astype(numpy.float32))
    try:
        measure(options, recorder, dataset, base, queries)
    finally:
        base.unlink()
        queries.unlink()


def measure(options, recorder, dataset, base, queries) -> None:
    environment = {**os.environ, "OMENDB_LIBRARY": library(), "PYTHONPATH": str(ROOT / "python")}
    swift = [binary("omen-bench"), "embedded", "--base", base, "--queries", queries,
             "--efs", ",".join(map(str, EFS)), "--repeats", options.repeats]
    recorder.note_command(swift)
    words = [sys.executable, "-c", PROGRAM, str(base), str(queries), json.dumps(EFS),
             str(options.repeats)]
    rounds = []
    for turn in range(options.rounds):
        say(f"python: round {turn + 1} of {options.rounds}")
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"the package failed: {done.stderr.strip()}")
        rounds.append({"swift": run_json(swift), "python": json.loads(done.stdout)})
    recorder.rows["dataset"] = dataset.describe()
    recorder.rows["rows"] = summary(rounds)
    show(recorder.rows["rows"])


def summary(rounds: list[dict]) -> list[dict]:
    """Each row's medians over the rounds, and the package's part."""
    def median(side: str, read) -> float:
        return statistics.median(read(found[side]) for found in rounds)

    rows = [row("add_batch, s", median("swift", lambda found: found["add_seconds"]),
                median("python", lambda found: found["add_seconds"]))]
    for place, ef in enumerate(EFS):
        for what, key in (("search", "single_us"), ("search_batch", "batch_us")):
            rows.append(row(f"{what} at ef {ef}, µs a query",
                            *(median(side, lambda found: found["points"][place][key])
                              for side in ("swift", "python"))))
    for what, key in (("import omendb, ms", "import_ms"), ("DB(), ms", "open_ms")):
        rows.append(row(what, None, median("python", lambda found: found[key])))
    return rows


def row(what: str, swift: float | None, python: float) -> dict:
    return {"what": what, "swift": swift, "python": python,
            "more": None if swift is None else python - swift,
            "share": None if swift is None else python / swift - 1}


def table(rows: list[dict]) -> tuple[list[str], list[list]]:
    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (["", "Swift", "Python", "more", "share"],
            [[one["what"], text(one["swift"], ".3f"), text(one["python"], ".3f"),
              text(one["more"], ".3f"), text(one["share"], "+.1%")] for one in rows])


def show(rows: list[dict]) -> None:
    show_table(*table(rows))


def plot(_result: dict) -> list:
    return []
