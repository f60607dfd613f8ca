"""The Python package: what calling from Python costs, and how it stands beside other packages.

Adding float32 vectors to a database in memory, searches one by one and in one call, beside the same
calls in Swift, in turn: medians of the rounds, and of what Python takes more in each round, of the best
of several repeats in it. A machine's speed differs between two processes by more than what is compared;
so the price of a call is also measured within each: what a search takes more than its part of a batch.
And how long importing the package and making a database take.

Then all vectors there are, in this package and in others through theirs: building, queries in one
call with one thread and with two, and one by one.
"""

import functools
import json
import os
import statistics
import subprocess
import sys

import numpy

from omenbench import curves, datasets, machine, peers, results
from omenbench.binaries import binary
from omenbench.console import say, show_table
from omenbench.engines import ENGINES, PACKAGE, Package
from omenbench.failure import Failure
from omenbench.paths import BENCH, DATA, ROOT
from omenbench.process import run_json

SUMMARY = "the Python package beside the same calls in Swift, and beside other packages"
EFS = [16, 128]
PACKAGES = ["hnswlib", "faiss", "usearch-i8", "svs", PACKAGE]

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
added = float("inf")
for _ in range(int(sys.argv[4])):
    db.close()
    db = omendb.DB()
    start = time.perf_counter()
    db.add_batch(base, range(len(base)))
    added = min(added, time.perf_counter() - start)
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
        db.search_batch(queries, 10, ef=ef, threads=1)
        batch = min(batch, time.perf_counter() - start)
    scale = 1e6 / len(queries)
    points.append({"ef": ef, "single_us": single * scale, "batch_us": batch * scale})
print(json.dumps({"import_ms": imported * 1e3, "open_ms": opened * 1e3, "add_seconds": added,
                  "points": points}))
"""


def add_arguments(parser) -> None:
    parser.add_argument("--only", choices=["calls", "packages"],
                        help="of the two parts; the other stays as it was measured last")
    parser.add_argument("--rounds", type=int, default=3, help="of all packages (3)")
    parser.add_argument("--call-rounds", type=int, default=9, help="of calls (9)")
    parser.add_argument("--calls-count", type=int, default=100_000,
                        help="vectors to measure calls with (100,000)")
    parser.add_argument("--repeats", type=int, default=5, help="of each call in a round (5)")


@functools.cache
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
    whole = datasets.find("sift", options.data, options.count)
    last = results.load("python")
    if options.only and last and last["machine"] == machine.machine():
        recorder.rows.update(last["rows"])
    if options.only != "packages":
        measure_calls(options, recorder, whole)
        show(recorder.rows["rows"])
    if options.only != "calls":
        recorder.rows["packages"] = {
            "dataset": whole.describe(),
            "engines": packages(options, recorder, whole),
        }
        show_packages(recorder.rows["packages"])


def measure_calls(options, recorder, whole) -> None:
    dataset = datasets.find("sift", options.data, min(whole.count, options.calls_count))
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


def environment() -> dict[str, str]:
    # The package of this checkout before the one of the same name that is installed as a peer.
    # Bytecode is kept, as pip keeps it: the first round compiles for the others.
    return {**{name: value for name, value in os.environ.items()
               if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(DATA / "bytecode"),
            "OMENDB_LIBRARY": library(),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(BENCH)])}


def packages(options, recorder, dataset) -> dict:
    """Each package's figures: medians of the rounds, each round all packages in turn."""
    runs: dict[str, list[dict]] = {}
    for turn in range(options.rounds):
        for name in PACKAGES:
            say(f"python: {dataset.name}, round {turn + 1} of {options.rounds}, {name}")
            runs.setdefault(name, []).append(package(name, dataset, recorder))
    return {name: package_summary(name, found) for name, found in runs.items()}


def package(name: str, dataset, recorder) -> dict:
    is_ours = name == PACKAGE
    spec = {
        "engine": name,
        "metric": dataset.metric,
        "files": {part: str(path) for part, path in dataset.files.items()},
        "threads": peers.BUILD_THREADS,
        "kept": None if is_ours else str(peers.kept_folder(name, dataset)),
        "widths": peers.WIDTHS,
        "singles": True,
    }
    command = [sys.executable, "-P", "-m", "omenbench.peer_process", json.dumps(spec)]
    recorder.note_command([*command[:4], f"'{{engine: {name}, data: {dataset.name}}}'"])
    own = environment() if is_ours else {**os.environ, "PYTHONPATH": str(BENCH)}
    return run_json(command, environment=own)


def package_summary(name: str, runs: list[dict]) -> dict:
    points = curves.merge_runs([run["points"] for run in runs], by="width")
    built = runs[0]["built"]
    return {
        "title": (Package if name == PACKAGE else ENGINES[name]).name,
        "build_threads": built["threads"],
        "vectors_per_second": built["rows"] / statistics.median(
            run["built"]["seconds"] for run in runs),
        "points": points,
        "at_recall": {
            str(recall): {key: curves.at_recall(points, recall, key).json()
                          for key in ("qps_1", "qps_2")}
            for recall in peers.RECALLS
        },
        "singles": {key: statistics.median(run["singles"][key] for run in runs)
                    for key in ("width", "us", "batch_us")},
    }


def packages_table(rows: dict) -> tuple[list[str], list[list]]:
    titles = ["", "built vec/s", "threads", "QPS @0.95, 1 thread", "2 threads",
              "one by one, µs a query", "more than in one call, µs"]
    return titles, [
        [engine["title"], f"{engine['vectors_per_second']:,.0f}", str(engine["build_threads"]),
         *(curves.text(engine["at_recall"]["0.95"][key]) for key in ("qps_1", "qps_2")),
         f"{engine['singles']['us']:.1f}",
         f"{engine['singles']['us'] - engine['singles']['batch_us']:.1f}"]
        for engine in rows["engines"].values()
    ]


def show_packages(rows: dict) -> None:
    show_table(*packages_table(rows))


def measure(options, recorder, dataset, base, queries) -> None:
    own = environment()
    swift = [binary("omen-bench"), "embedded", "--base", base, "--queries", queries,
             "--efs", ",".join(map(str, EFS)), "--repeats", options.repeats]
    recorder.note_command(swift)
    words = [sys.executable, "-c", PROGRAM, str(base), str(queries), json.dumps(EFS),
             str(options.repeats)]
    rounds = []
    for turn in range(options.call_rounds):
        say(f"python: calls, round {turn + 1} of {options.call_rounds}")
        done = subprocess.run(words, env=own, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"the package failed: {done.stderr.strip()}")
        rounds.append({"swift": run_json(swift), "python": json.loads(done.stdout)})
    recorder.rows["dataset"] = dataset.describe()
    recorder.rows["rows"] = summary(rounds)


def summary(rounds: list[dict]) -> list[dict]:
    """Each row's medians over the rounds, and what Python takes more in each."""
    rows = [row("add_batch, s", rounds, lambda found: found["add_seconds"])]
    for place, ef in enumerate(EFS):
        def point(found, place=place) -> dict:
            return found["points"][place]

        rows += [
            row(f"search at ef {ef}, µs a query", rounds,
                lambda found, point=point: point(found)["single_us"]),
            row(f"search_batch at ef {ef}, µs a query", rounds,
                lambda found, point=point: point(found)["batch_us"]),
            row(f"search less search_batch at ef {ef}, µs", rounds,
                lambda found, point=point: point(found)["single_us"] - point(found)["batch_us"]),
        ]
    for what, key in (("import omendb, ms", "import_ms"), ("DB(), ms", "open_ms")):
        rows.append({"what": what, "swift": None, "more": None, "share": None,
                     "python": statistics.median(found["python"][key] for found in rounds)})
    return rows


def row(what: str, rounds: list[dict], read) -> dict:
    pairs = [(read(found["swift"]), read(found["python"])) for found in rounds]
    return {"what": what, "swift": statistics.median(swift for swift, _ in pairs),
            "python": statistics.median(python for _, python in pairs),
            "more": statistics.median(python - swift for swift, python in pairs),
            "share": statistics.median(python / swift - 1 for swift, python in pairs)}


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
