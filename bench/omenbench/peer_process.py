"""What runs in a peer's own process: `python -m omenbench.peer_process SPEC`, JSON to stdout.

SPEC is JSON: engine, metric, files, threads, kept (folder of the built index), widths, and singles:
whether queries are also searched one by one, at the first width whose recall is 0.95. An index that
was built before is loaded, with the build time that stands beside it.
"""

import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy

from omenbench.engines import ENGINES, K, PACKAGE, Package
from omenbench.recall import recall_of

SWEEP_SECONDS = 0.2
# Wider searches add nothing that is read off.
RECALL_ENOUGH = 0.995
RECALL_OF_SINGLES = 0.95
PASSES_MIN = 3


def build_or_load(engine, base, spec) -> dict:
    """The built index in `engine`, and what building it took."""
    kept = Path(spec["kept"]) if spec["kept"] else None
    if kept and (kept / "built.json").exists():
        engine.load(str(kept / "index"), base)
        return json.loads((kept / "built.json").read_text())
    start, start_cpu = time.perf_counter(), time.process_time()
    engine.build(base, spec["threads"])
    built = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu,
             "threads": spec["threads"], "rows": len(base)}
    if kept:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        engine.save(str(kept / "index"))
        # Written last: what has it is whole.
        (kept / "built.json").write_text(json.dumps(built))
    return built


def rate(queries, search) -> float:
    """Queries per second: the median of whole passes, after one to warm up."""
    search()
    seconds: list[float] = []
    while len(seconds) < PASSES_MIN or sum(seconds) < SWEEP_SECONDS:
        start = time.perf_counter()
        search()
        seconds.append(time.perf_counter() - start)
    return len(queries) / statistics.median(seconds)


def one_by_one(engine, queries, width: int) -> None:
    for query in queries:
        engine.search_one(query, width)


def measure(spec) -> dict:
    raw = numpy.load(spec["files"]["base"])
    kind = Package if spec["engine"] == PACKAGE else ENGINES[spec["engine"]]
    engine = kind(spec["metric"], raw.shape[1])
    base = engine.convert(raw)
    queries = engine.convert(numpy.load(spec["files"]["query"]))
    truth = numpy.load(spec["files"]["neighbors"]).tolist()
    built = build_or_load(engine, base, spec)
    points = []
    singles = None
    for width in spec["widths"]:
        found = numpy.asarray(engine.search(queries, width, 1)).astype(numpy.int64).tolist()
        point = {"width": width, "recall": recall_of(found, truth, K)}
        for threads in (1, 2):
            point[f"qps_{threads}"] = rate(
                queries, lambda: engine.search(queries, width, threads))
        points.append(point)
        if spec.get("singles") and not singles and point["recall"] >= RECALL_OF_SINGLES:
            seconds = 1 / rate(queries, lambda: one_by_one(engine, queries, width))
            batch = 1 / point["qps_1"]
            singles = {"width": width, "us": seconds * 1e6, "batch_us": batch * 1e6}
        if point["recall"] > RECALL_ENOUGH:
            break
    return {"built": built, "points": points, "singles": singles}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
