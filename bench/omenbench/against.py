"""This checkout beside another commit of it: what became faster, slower, smaller or larger.

The commit is checked out in .build/against, where it stays for the next time, and built with the
flags that this checkout is built with. Formats and protocols may differ between the two: each side
runs its own programs, its own library and its own measuring code, and writes files of its own.

The sides take turns: commit, here, here, commit and so on, so that what drifts on a machine drifts
for both. Each round gives a ratio of each figure, here to commit. Shown are the medians of both
sides, the median of the ratios, and their spread: the interval that holds the true median ratio with
a chance of at least 93 %, for five rounds from the least ratio to the largest. Where it covers 1 the
two are not distinguishable. Of twenty figures that are equal one is told apart by chance.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from omenbench import datasets, machine, results
from omenbench.binaries import build, build_library
from omenbench.console import say, show_table
from omenbench.failure import Failure
from omenbench.paths import ROOT
from omenbench.process import run_json

SUMMARY = "this checkout beside another commit: peers, scaling, streaming, python, open"
FOLDER = ROOT / ".build" / "against"
ROWS = 10_000
ROUNDS = 5
CONFIDENCE = 0.93
SAME = "not distinguishable"

# Runs one measurement of the side whose bench folder is on the path, and prints its rows.
PROGRAM = """
import contextlib, json, sys
from omenbench import main, results
options = main.make_parser().parse_args(sys.argv[1:])
recorder = results.Recorder(options.command, "", {})
with contextlib.redirect_stdout(sys.stderr):
    main.module(options.command).run(options, recorder)
print(json.dumps(recorder.rows))
"""


class Figure(NamedTuple):
    """One number of a measurement's rows: what it is, where it is, and whether less is better.

    A step of the path is a key, or KEY=VALUE for the element of a list.
    """

    title: str
    path: str
    less_is_better: bool

    def of(self, rows) -> float | None:
        """None where this side does not have it."""
        for step in self.path.split("/"):
            key, is_choice, value = step.partition("=")
            if is_choice and isinstance(rows, list):
                rows = next((row for row in rows if is_value(row.get(key), value)), None)
            else:
                rows = rows.get(step) if isinstance(rows, dict) else None
        is_number = isinstance(rows, (int, float)) and not isinstance(rows, bool)
        return float(rows) if is_number else None


def is_value(found, text: str) -> bool:
    """64 and 64.0 are both the number of the text 64."""
    return f"{found:g}" == text if isinstance(found, (int, float)) else found == text


class Measurement(NamedTuple):
    """The part of a measurement that is compared, small enough for many rounds."""

    products: list[str]
    # {rows} is the number of vectors.
    arguments: str
    figures: list[Figure]


def less(title: str, path: str) -> Figure:
    return Figure(title, path, True)


def more(title: str, path: str) -> Figure:
    return Figure(title, path, False)


MEASUREMENTS = {
    "peers": Measurement(
        ["omen-bench"],
        "--datasets sift --only omendb,omendb-stream --repeats 1",
        [less("build in bulk, s", "sift/engines/omendb/build_seconds"),
         less("build row by row, s", "sift/engines/omendb-stream/build_seconds"),
         more("QPS at ef 64, in bulk, 1 thread", "sift/engines/omendb/points/width=64/qps_1"),
         more("QPS at ef 64, in bulk, 2 processes", "sift/engines/omendb/points/width=64/qps_2"),
         more("recall at ef 64, in bulk", "sift/engines/omendb/points/width=64/recall"),
         more("QPS at ef 64, row by row, 1 thread",
              "sift/engines/omendb-stream/points/width=64/qps_1"),
         more("recall at ef 64, row by row", "sift/engines/omendb-stream/points/width=64/recall")],
    ),
    "scaling": Measurement(
        ["omen-cluster", "omen-bench"],
        "--shards 2 --clients 4 --batch-clients 2 --seconds 0.3",
        [more("durable vec/s", "shards/2/import/durable_vectors_per_second"),
         more("linked vec/s", "shards/2/import/linked_vectors_per_second"),
         less("CPU s of import", "shards/2/import/cpu_seconds"),
         less("1 client, p50 ms", "shards/2/default/one/p50_ms"),
         less("1 client, p99 ms", "shards/2/default/one/p99_ms"),
         more("4 clients, QPS", "shards/2/default/many/qps"),
         less("4 clients, CPU us a query", "shards/2/default/many/cpu_us"),
         more("2 clients in batches, QPS", "shards/2/default/batch/qps"),
         more("recall", "shards/2/default/many/recall"),
         less("memory, B a vector", "shards/2/memory/pss_per_vector"),
         less("files, B a vector", "shards/2/file_bytes_per_vector")],
    ),
    "streaming": Measurement(
        ["omen-cluster", "omen-bench"],
        "--shards 2 --writers 2 --seconds 0.5 --rounds 1 --round-count {rows}",
        [more("acknowledged vec/s", "insert/vectors_per_second"),
         more("linked vec/s", "insert/linked_vectors_per_second"),
         less("write p99 ms", "insert/write_p99_ms"),
         more("acknowledged vec/s while searching", "mixed/vectors_per_second"),
         less("search p50 ms while writing", "mixed/search_p50_ms"),
         less("search p50 ms, idle", "latency/idle/p50_ms"),
         less("search p99 ms, checkpoint", "latency/checkpoint/p99_ms"),
         less("search p50 ms, build", "latency/build/p50_ms"),
         less("search p50 ms, import", "latency/import/p50_ms"),
         more("recall after upserting all", "rounds/rounds/round=1/recall")],
    ),
    "python": Measurement(
        ["omen-bench", "OmenDB"],
        "--only calls --call-rounds 1 --repeats 3 --calls-count {rows}",
        [less("add_batch, s", "rows/what=add_batch, s/python"),
         *(less(f"{what} at ef {ef}, µs a query", f"rows/what={what} at ef {ef}, µs a query/python")
           for ef in (16, 128) for what in ("search", "search_batch")),
         less("search less search_batch at ef 16, µs",
              "rows/what=search less search_batch at ef 16, µs/python"),
         less("import omendb, ms", "rows/what=import omendb, ms/python"),
         less("DB(), ms", "rows/what=DB(), ms/python")],
    ),
    "open": Measurement(
        ["omen-cluster"],
        "--shards 2 --repeats 3 --recovery-count {rows}",
        [less("start, ms", "open/2/warm/start/median_ms"),
         less("first query, ms", "open/2/warm/first_query/median_ms"),
         less("start from a cold disk, ms", "open/2/cold/start/median_ms"),
         less("recovery from a kill, ms", "recovery/median_ms")],
    ),
}


def add_arguments(parser) -> None:
    parser.add_argument("commit", help="whatever git knows: HEAD, a branch, a hash")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"of {' '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of both ({ROUNDS})")
    parser.add_argument("--rows", type=int, default=ROWS,
                        help=f"vectors ({ROWS:,}: the sample in the repository)")
    parser.add_argument("--data", type=lambda text: Path(text).resolve(),
                        help="folder of the data sets (bench/data, then bench/sample)")
    parser.add_argument("--save", action="store_true", help="also writes bench/results/against.json")


# What the numbers say.


def turns(rounds: int) -> list[tuple[int, str]]:
    """(round, side) one after the other; the side that begins changes from round to round."""
    order = ["commit", "here"]
    return [(number, side) for number in range(rounds)
            for side in (order if number % 2 == 0 else reversed(order))]


def spread(ratios: list[float]) -> tuple[float, float]:
    """An interval for the median that the ratios are drawn around, without more assumptions.

    From the k-th least to the k-th largest, k as large as CONFIDENCE allows: the median lies outside
    when fewer than k of n coins show one side.
    """
    ordered = sorted(ratios)
    count = len(ordered)
    k = 1
    while 1 - 2 * sum(math.comb(count, i) for i in range(k + 1)) / 2 ** count >= CONFIDENCE:
        k += 1
    return ordered[k - 1], ordered[count - k]


def compare(figure: Figure, commit: list[float | None], here: list[float | None]) -> dict:
    """A row of the answer; values round by round."""
    row = {"title": figure.title, "less_is_better": figure.less_is_better,
           "commit": middle(commit), "here": middle(here), "ratio": None, "spread": None}
    pairs = [(old, new) for old, new in zip(commit, here, strict=True)
             if old is not None and new is not None]
    if not pairs:
        return {**row, "verdict": "one side does not measure it"}
    if all(old == new for old, new in pairs):
        return {**row, "ratio": 1.0, "spread": [1.0, 1.0], "verdict": SAME}
    if any(old <= 0 for old, _ in pairs):
        return {**row, "verdict": "no ratio: a value is 0 or less"}
    ratios = [new / old for old, new in pairs]
    low, high = spread(ratios)
    is_larger = low > 1
    verdict = SAME if low <= 1 <= high else \
        "worse" if is_larger == figure.less_is_better else "better"
    return {**row, "ratio": statistics.median(ratios), "spread": [low, high], "verdict": verdict}


def middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


# Measuring.


class Side:
    """A checkout, and what was built there."""

    def __init__(self, root: Path, products: list[str]):
        self.root = root
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("OMEN_BENCH", "OMEN_CLUSTER", "OMENDB_LIBRARY")}
        self.environment["PYTHONPATH"] = str(root / "bench")
        for product in products:
            if product == "OmenDB":
                self.environment["OMENDB_LIBRARY"] = str(build_library(root))
            else:
                variable = product.upper().replace("-", "_")
                self.environment[variable] = str(build(product, root))

    def measure(self, name: str, arguments: list[str]) -> dict:
        words = [sys.executable, "-P", "-c", PROGRAM, name, *arguments]
        return run_json(words, environment=self.environment)


def git(*words) -> str:
    done = subprocess.run(["git", *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"git {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.strip()


def checkout(commit: str) -> Path:
    """A work tree of that commit; the one of an earlier call where it is still there."""
    folder = FOLDER / commit[:12]
    if not (folder / ".git").exists():
        say(f"against: checking out {commit[:12]}")
        git("worktree", "prune")
        git("worktree", "add", "--force", "--detach", folder, commit)
    changed = git("-C", folder, "status", "--porcelain", "--untracked-files=no")
    if git("-C", folder, "rev-parse", "HEAD") != commit or changed:
        raise Failure(f"{folder} was changed; remove it: git worktree remove --force {folder}")
    resolved = ROOT / "Package.resolved"
    if resolved.exists():
        shutil.copy(resolved, folder)
    return folder


def data_folder(options) -> Path:
    """The vectors as a set of their own, which both sides find under one name."""
    dataset = datasets.find("sift", options.data, options.rows)
    folder = FOLDER / f"data-{options.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    for part, path in dataset.files.items():
        # No symbolic link, which an import refuses.
        shutil.copy(path, folder / f"sift10k_{part}.npy")
    return folder


def run(options) -> dict:
    unknown = sorted(set(options.names) - set(MEASUREMENTS))
    if unknown:
        raise Failure(f"{' '.join(unknown)}: expected some of {' '.join(MEASUREMENTS)}")
    if options.rounds < ROUNDS:
        raise Failure(f"--rounds {options.rounds}: fewer than {ROUNDS} tell nothing apart")
    commit = git("rev-parse", "--verify", f"{options.commit}^{{commit}}")
    names = [name for name in MEASUREMENTS if not options.names or name in options.names]
    products = sorted({product for name in names for product in MEASUREMENTS[name].products})
    data = data_folder(options)
    sides = {"commit": Side(checkout(commit), products), "here": Side(ROOT, products)}
    rows: dict[str, list[dict]] = {}
    for name in names:
        rows[name] = measure(name, sides, data, options)
        show(name, commit[:12], rows[name])
    return {"format": results.FORMAT, "name": "against", "measured": machine.utc_now(),
            "commit": commit, "here": machine.commit(), "machine": machine.machine(),
            "vectors": options.rows, "rounds": options.rounds, "rows": rows}


def measure(name: str, sides: dict[str, Side], data: Path, options) -> list[dict]:
    what = MEASUREMENTS[name]
    arguments = ["--data", str(data), *what.arguments.format(rows=options.rows).split()]
    values = {side: {figure.title: [] for figure in what.figures} for side in sides}
    for number, side in turns(options.rounds):
        say(f"against: {name}, round {number + 1} of {options.rounds}, {side}")
        rows = sides[side].measure(name, arguments)
        for figure in what.figures:
            values[side][figure.title].append(figure.of(rows))
    return [{**compare(figure, values["commit"][figure.title], values["here"][figure.title]),
             "values": {side: found[figure.title] for side, found in values.items()}}
            for figure in what.figures]


def show(name: str, commit: str, rows: list[dict]) -> None:
    def text(value: float | None) -> str:
        return "" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"

    print()
    show_table(
        [name, commit, "here", "ratio", "spread", ""],
        [[row["title"], text(row["commit"]), text(row["here"]),
          "" if row["ratio"] is None else f"{row['ratio']:.3f}",
          "" if row["spread"] is None else "{:.3f}...{:.3f}".format(*row["spread"]),
          row["verdict"]] for row in rows])


def write(result: dict, save: bool) -> Path:
    """Keeps the answer beside the checkout that it is about; returns where."""
    path = FOLDER / f"{result['commit'][:12]}.json"
    text = json.dumps(results.rounded(result), indent=1) + "\n"
    path.write_text(text)
    if save:
        (results.RESULTS / "against.json").write_text(text)
    return path
