"""Recall against queries per second, and build times: ours beside other libraries, in one run.

Each library in a process of its own, in turn, round after round, so that a busy machine slows all of
them. One thread and two threads are measured apart; a peer gets the queries as one batch in both
cases, so that calls from Python cost it nothing. Ours with two is two processes on one index.
"""

import hashlib
import importlib.metadata
import json
import os
import statistics
import sys

from omenbench import curves, datasets, machine, plots, results
from omenbench.binaries import binary
from omenbench.console import say, show_table
from omenbench.engines import ENGINES, K
from omenbench.failure import Failure
from omenbench.paths import BENCH, BUILT
from omenbench.process import run_json

SUMMARY = "recall-QPS curves and build times beside other libraries"
WIDTHS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256]
RECALLS = [0.9, 0.95, 0.99]
# Ours: name -> further options of `omen-bench index`, and whether each round measures it anew.
OURS = {
    "omendb": {"options": ["--build", "bulk"], "title": "OmenDB, bulk", "rounds": True},
    "omendb-stream": {"options": [], "title": "OmenDB, streaming", "rounds": False},
}
BUILD_THREADS = 2


def add_arguments(parser) -> None:
    parser.add_argument("--datasets", default="sift,text", help="sift, text or both")
    parser.add_argument("--only", metavar="NAMES",
                        help=f"of {','.join([*OURS, *ENGINES])}; all by default")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of searching (3)")
    parser.add_argument("--rebuild", action="store_true",
                        help="build peers' indexes again, although bench/data/built has them")


def run(options, recorder) -> None:
    chosen = names(options.only)
    kinds = options.datasets.split(",")
    unknown = sorted(set(kinds) - set(datasets.KINDS))
    if unknown:
        raise Failure(f"--datasets {','.join(unknown)}: expected {' or '.join(datasets.KINDS)}")
    # All of them before anything is measured: what is missing is told at once.
    found = {kind: datasets.find(kind, options.data, options.count) for kind in kinds}
    recorder.rows.update(kept_rows(kinds))
    for kind, dataset in found.items():
        recorder.rows[kind] = measure(dataset, chosen, options, recorder)
        show(kind, recorder.rows[kind])


def kept_rows(kinds: list[str]) -> dict:
    """What the last run on this machine measured of data sets that are not measured now."""
    last = results.load("peers")
    if not last or last["machine"] != machine.machine():
        return {}
    return {kind: row for kind, row in last["rows"].items() if kind not in kinds}


def names(only: str | None) -> list[str]:
    """The engines to measure, peers first: their builds are what takes time."""
    known = [*ENGINES, *OURS]
    if not only:
        return known
    wanted = only.split(",")
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise Failure(f"--only {','.join(unknown)}: expected some of {','.join(known)}")
    return [name for name in known if name in wanted]


def measure(dataset, chosen, options, recorder) -> dict:
    runs: dict[str, list[dict]] = {}
    left_out: dict[str, str] = {}
    for name in list(chosen):
        reason = why_not(name, dataset, options)
        if reason:
            left_out[name] = reason
    chosen = [name for name in chosen if name not in left_out]
    for turn in range(options.repeats):
        for name in chosen:
            if turn > 0 and name in OURS and not OURS[name]["rounds"]:
                continue
            say(f"peers: {dataset.name}, round {turn + 1} of {options.repeats}, {name}")
            try:
                measured = one(name, dataset, options, recorder, fresh=turn == 0)
            except Failure as failure:
                # A peer that cannot be measured is told, not fatal; ours must work.
                if name in OURS or turn > 0:
                    raise
                say(f"peers: {name} is left out: {failure}")
                left_out[name] = results.portable(str(failure))
                continue
            runs.setdefault(name, []).append(measured)
        chosen = [name for name in chosen if name in runs]
    return {
        "dataset": dataset.describe(),
        "measured": machine.utc_now(),
        "commit": machine.commit(),
        "k": K,
        "engines": {name: summary(name, measured) for name, measured in runs.items()},
        "left_out": left_out,
    }


def why_not(name: str, dataset, options) -> str | None:
    if name not in ENGINES:
        return None
    engine = ENGINES[name](dataset.metric, dataset.dim)
    if not engine.suits(dataset.base):
        return f"adds nothing for {dataset.base.dtype} vectors"
    if engine.count_max and dataset.count > engine.count_max and not options.only:
        return f"measured up to {engine.count_max:,} rows only, it takes too long"
    return None


def one(name: str, dataset, options, recorder, fresh: bool) -> dict:
    if name in OURS:
        return ours(name, dataset, recorder)
    engine = ENGINES[name]
    kept = kept_folder(name, dataset) if name != "omendb-pypi" else None
    if kept and options.rebuild and fresh:
        (kept / "built.json").unlink(missing_ok=True)
    spec = {
        "engine": name,
        "metric": dataset.metric,
        "files": {part: str(path) for part, path in dataset.files.items()},
        "threads": BUILD_THREADS,
        "kept": str(kept) if kept else None,
        "widths": WIDTHS,
    }
    command = [sys.executable, "-P", "-m", "omenbench.peer_process", json.dumps(spec)]
    recorder.note_command([*command[:4], f"'{{engine: {name}, data: {dataset.name}}}'"])
    measured = run_json(command, environment={**os.environ, "PYTHONPATH": str(BENCH)})
    measured["parameters"] = engine.parameters
    measured["version"] = importlib.metadata.version(engine.package)
    return measured


def kept_folder(name: str, dataset):
    """Where a built index is kept: another version, parameter or base vector is another folder."""
    engine = ENGINES[name]
    stat = dataset.files["base"].stat()
    key = json.dumps([engine.parameters, importlib.metadata.version(engine.package), dataset.name,
                      dataset.metric, stat.st_size, stat.st_mtime_ns, BUILD_THREADS])
    return BUILT / f"{dataset.name}-{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def ours(name: str, dataset, recorder) -> dict:
    command = [binary("omen-bench"), "index", *OURS[name]["options"], "--metric", dataset.metric,
               "--efs", ",".join(map(str, WIDTHS)), "--k", K, "--processes", 2]
    for option, part in (("base", "base"), ("queries", "query"), ("neighbors", "neighbors")):
        command += [f"--{option}", dataset.files[part]]
    recorder.note_command(command)
    found = run_json(command)
    points = [
        {"width": alone["ef"], "recall": alone["recall"], "qps_1": alone["qps"],
         "qps_2": together["qps"]}
        for alone, together in zip(found["points"], found["together"], strict=True)
    ]
    keys = ("kernels", "element", "codes", "m", "ef_construction")
    return {
        "built": {"seconds": found["build_seconds"], "cpu_seconds": found["build_cpu_seconds"],
                  "threads": 1, "rows": found["rows"]},
        "points": points,
        "parameters": {key: found[key] for key in keys if key in found},
        "version": "this",
    }


def summary(name: str, runs: list[dict]) -> dict:
    points = curves.merge_runs([run["points"] for run in runs], by="width")
    seconds = statistics.median(run["built"]["seconds"] for run in runs)
    first = runs[0]
    return {
        "title": OURS[name]["title"] if name in OURS else ENGINES[name].name,
        "version": first["version"],
        "parameters": first["parameters"],
        "rounds": len(runs),
        "build_seconds": seconds,
        "build_threads": first["built"]["threads"],
        "vectors_per_second": first["built"]["rows"] / seconds,
        "points": points,
        "at_recall": {
            str(recall): {
                key: curves.at_recall(points, recall, key).json() for key in ("qps_1", "qps_2")
            }
            for recall in RECALLS
        },
    }


def best_peer(rows: dict, recall: float, key: str) -> tuple[str, float] | None:
    """The fastest library that is not ours at this recall."""
    found = [
        (value, name) for name, engine in rows["engines"].items() if name in ENGINES
        if (value := curves.known(engine["at_recall"][str(recall)][key])) is not None
    ]
    return (max(found)[1], max(found)[0]) if found else None


def show(kind: str, rows: dict) -> None:
    titles = [kind, "build s", "threads", "vec/s", "QPS 1t @0.95", "@0.99", "QPS 2t @0.95", "@0.99"]
    show_table(titles, [
        [engine["title"], f"{engine['build_seconds']:.1f}", engine["build_threads"],
         f"{engine['vectors_per_second']:,.0f}"]
        + [curves.text(engine["at_recall"][recall][key]) for key in ("qps_1", "qps_2")
           for recall in ("0.95", "0.99")]
        for engine in rows["engines"].values()
    ])
    for name, reason in rows["left_out"].items():
        print(f"left out: {name}: {reason}")


def plot(result: dict) -> list:
    return [plots.recall_curves(kind, rows) for kind, rows in result["rows"].items()]
