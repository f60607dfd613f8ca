"""How long a cluster needs to be back: reopened, asked its first question, recovered from a kill.

Reopening is the whole command `omen-cluster start`, from its launch to its return with every shard
ready; `cold` after the system forgot the files' pages. The first query is one search right after it.
Recovery is from the SIGKILL of a worker whose log holds vectors and no checkpoint until it answers
with all of them.
"""

import os
import signal
import statistics
import tempfile
import time

import numpy

from omenbench import cluster as clusters
from omenbench import curves, datasets, plots
from omenbench.client import Client
from omenbench.console import say, show_table
from omenbench.failure import Failure

SUMMARY = "reopen, first query and recovery times"
RECOVERY_SECONDS_MAX = 120


def add_arguments(parser) -> None:
    parser.add_argument("--shards", default="1,8")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recovery-count", type=int, default=20_000,
                        help="vectors in the log of the killed worker (20,000)")


def run(options, recorder) -> None:
    dataset = datasets.find("sift", options.data, options.count)
    recorder.rows["dataset"] = dataset.describe()
    recorder.rows["file_system"] = clusters.scratch_file_system()
    recorder.rows["open"] = {}
    for shards in map(int, options.shards.split(",")):
        with clusters.temporary_cluster(recorder, shards) as cluster:
            say(f"open: {shards} shards, importing {dataset.count:,} vectors")
            cluster.import_vectors(dataset.files["base"], dataset.metric)
            cluster.stop()
            recorder.rows["open"][str(shards)] = {
                "warm": reopen(cluster, dataset, options.repeats, cold=False),
                "cold": reopen(cluster, dataset, options.repeats, cold=True),
            }
    say(f"open: recovery of {options.recovery_count:,} vectors")
    recorder.rows["recovery"] = {
        "vectors": options.recovery_count,
        **summary(recover(dataset, options, recorder)),
    }
    show(recorder.rows)


def reopen(cluster, dataset, repeats: int, cold: bool) -> dict:
    """Times of `start` and of the first search, on a stopped cluster that is left stopped."""
    query = dataset.queries[:1]
    started, first, second = [], [], []
    for _ in range(repeats):
        if cold:
            clusters.drop_from_cache(cluster.folder)
        begin = time.perf_counter()
        cluster.start()
        started.append(time.perf_counter() - begin)
        with Client(cluster.socket) as client:
            for times in (first, second):
                begin = time.perf_counter()
                client.search(query, 10)
                times.append(time.perf_counter() - begin)
        cluster.stop()
    return {"start": summary(started), "first_query": summary(first),
            "second_query": summary(second)}


def recover(dataset, options, recorder) -> list[float]:
    """Seconds until a killed worker with a long log answers again."""
    count = min(options.recovery_count, dataset.count)
    seconds = []
    for _ in range(options.repeats):
        with (clusters.temporary_cluster(recorder, 1) as cluster,
              tempfile.NamedTemporaryFile(suffix=".npy") as rows):
            numpy.save(rows, dataset.base[:count])
            rows.flush()
            cluster.call("import", rows.name)
            victim = cluster.processes()["shard 0"]
            begin = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            while True:
                # 75: the shard is missing; anything but the full count is not yet recovery.
                answer = cluster.call("count", codes=(0, 69, 75))
                if answer and answer.get("count") == count:
                    break
                if time.perf_counter() - begin > RECOVERY_SECONDS_MAX:
                    raise Failure(f"the worker is not back after {RECOVERY_SECONDS_MAX} s")
            seconds.append(time.perf_counter() - begin)
            if cluster.status()["shards"][0]["restarts"] != 1:
                raise Failure("the worker was not started again exactly once")
    return seconds


def summary(seconds: list[float]) -> dict:
    return {"median_ms": statistics.median(seconds) * 1000,
            "worst_ms": curves.percentile(seconds, 1) * 1000,
            "all_ms": [value * 1000 for value in seconds]}


def cases(rows: dict) -> list[tuple[str, dict]]:
    """(what was timed, its summary), for tables and pictures."""
    found = []
    for shards, kinds in rows["open"].items():
        for kind, times in kinds.items():
            name = f"{shards} shard{'s' if shards != '1' else ''}, {kind}"
            found.append((f"start, {name}", times["start"]))
            found.append((f"first query, {name}", times["first_query"]))
    return [*found, (f"recovery, {rows['recovery']['vectors']:,} vectors in the log",
                     rows["recovery"])]


def show(rows: dict) -> None:
    show_table(["", "median ms", "worst ms"],
               [[name, f"{times['median_ms']:.1f}", f"{times['worst_ms']:.1f}"]
                for name, times in cases(rows)])


def plot(result: dict) -> list:
    return [plots.bars("open", [
        {"title": f"{result['rows']['dataset']['rows']:,} vectors", "unit": "ms, median",
         "values": [(name, times["median_ms"]) for name, times in cases(result["rows"])]}])]
