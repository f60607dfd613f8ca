"""Recall where it is hard: sets on which graphs do badly, beside hnswlib and faiss on the same arrays.

Each set and metric in a process of its own, as many at once as there are processors: ours built at once
and streamed in pieces, then the peers, all searched by one thread; then ours with each kind of codes, on the
first 20,000 rows. Processor time, not time: the machine may be busy. Ties count as right. Then the rule of bench/omenbench/hard_rule.py, cell by cell.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from omenbench import hard_rule, hard_sets, machine, results
from omenbench.console import say, show_table
from omenbench.failure import Failure
from omenbench.paths import BENCH
from omenbench.process import run_json
from omenbench.python import environment

SUMMARY = "recall on sets that are hard for graphs, beside hnswlib and faiss"
CODES = ["f32", "u8", "u4", "u1"]


def add_arguments(parser) -> None:
    parser.add_argument("--only", metavar="SETS", help="names, or their beginnings, with commas")
    parser.add_argument("--seed", type=int, default=hard_sets.SEED, help="of all sets")
    parser.add_argument("--codes", default="all", help="default, or all (all)")
    parser.add_argument("--ways", default="bulk,streamed,cluster")
    parser.add_argument("--peers", default="hnswlib,faiss")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(),
                        help="sets that are measured at once (one a processor)")
    parser.add_argument("--list", action="store_true", help="shows the sets, measures nothing")


def chosen(only: str | None) -> list:
    if not only:
        return list(hard_sets.SETS.values())
    found = []
    for word in only.split(","):
        matching = [hard for name, hard in hard_sets.SETS.items()
                    if name == word or name.startswith(word + "-")]
        if not matching:
            raise Failure(f"--only {word}: expected some of {', '.join(hard_sets.SETS)}")
        found += [hard for hard in matching if hard not in found]
    return found


def run(options, recorder) -> None:
    sets = chosen(options.only)
    if options.list:
        show_table(["set", "rows", "metrics", "about"],
                   [[hard.name, f"{hard.rows:,}", " ".join(hard.metrics), hard.about]
                    for hard in sets])
        return
    recorder.rows.update(kept_rows(options))
    failed = []
    # Builds the library, once.
    environment()

    def measure_one(hard, metric: str) -> None:
        name = f"{hard.name} {metric}"
        try:
            row = measure(hard, metric, options, recorder)
        except Failure as failure:
            # The others are still worth having.
            say(f"hard: {name}: {failure}")
            failed.append(name)
            return
        recorder.rows[name] = row
        show_set(name, row)

    with ThreadPoolExecutor(max(1, options.jobs)) as jobs:
        for measured in [jobs.submit(measure_one, hard, metric)
                         for hard in sets for metric in hard.metrics]:
            measured.result()
    show(recorder.rows)
    if failed:
        say(f"hard: not measured: {', '.join(failed)}")


def kept_rows(options) -> dict:
    """What the last run on this machine measured of sets that are not measured now."""
    last = results.load("hard")
    if not options.only or not last or last["machine"] != machine.machine():
        return {}
    return last["rows"]


def measure(hard, metric: str, options, recorder) -> dict:
    spec = {
        "set": hard.name,
        "metric": metric,
        "rows": options.count,
        "seed": options.seed,
        "codes": ["default"] if options.codes == "default" else ["default", *CODES],
        "ways": options.ways.split(","),
        "peers": options.peers.split(","),
    }
    command = [sys.executable, "-P", "-m", "omenbench.hard_process", json.dumps(spec)]
    recorder.note_command([*command[:4], f"'{{set: {hard.name}, metric: {metric}}}'"])
    own = environment()
    own["PYTHONPATH"] = os.pathsep.join([own["PYTHONPATH"], str(BENCH)])
    own["OMENDB_CLUSTER"] = str(Path(own["OMENDB_LIBRARY"]).with_name("omen-cluster"))
    return {**run_json(command, environment=own), "like_rows": hard.like_rows, "measured": machine.utc_now(),
            "commit": machine.commit(), "seed": options.seed}


def summary(row: dict) -> list[dict]:
    """One line for each way of building, beside hnswlib."""
    peer = row["peers"].get("hnswlib")
    lines = []
    for way, kinds in row["ours"].items():
        ours = kinds["default"]
        line = {"way": way, "default": ours["default"], "asked": ours["promises"]["10"]["0.95"],
                "time": None, "width": None, "complaints": [],
                "distances": ours.get("distances"), "scans": ours.get("scans")}
        if row["like_rows"]:
            line["complaints"] += hard_rule.broken_promises(ours)
        if peer and "points" in ours:
            line["time"] = min(m for _, m in
                               hard_rule.equal_time(ours["points"], peer["points"]))
            line["width"] = min(m for _, m in
                                hard_rule.equal_width(ours["points"], peer["points"]))
            line["complaints"] += hard_rule.complaints(ours, peer)
        lines.append(line)
    return lines


def show_set(name: str, row: dict) -> None:
    peer = row["peers"].get("hnswlib", {"points": []})["points"]
    text = " ".join(f"{point['recall']:.3f}/{point['us']:.0f}" for point in peer)
    lines = [f"hard: {name}", f"  hnswlib   {text}"]
    for way, kinds in row["ours"].items():
        ours = kinds["default"].get("points")
        if not ours:
            continue
        text = " ".join(f"{hard_rule.at(ours, ef)['recall']:.3f}/{hard_rule.at(ours, ef)['us']:.0f}"
                        for ef in hard_rule.EFS)
        lines.append(f"  {way:9} {text}, codes {kinds['default']['info']['codes']}")
    for line in summary(row):
        lines += [f"  {name}, {line['way']}: {complaint}" for complaint in line["complaints"]]
    # At once: another set may be measured beside this one.
    say("\n".join(lines))


def signed(value) -> str:
    return "" if value is None else f"{value:+.3f}"


def show(rows: dict) -> None:
    lines = [(name, line) for name, row in rows.items() for line in summary(row)]
    show_table(["set", "", "time", "width", "default", "asked .95", "complaints"], [
        [name, line["way"], signed(line["time"]), signed(line["width"]), f"{line['default']:.3f}",
         f"{line['asked']:.3f}", len(line["complaints"])] for name, line in lines])
    broken = sum(1 for _, line in lines if line["complaints"])
    print(f"{len(lines)} of {len(rows)} sets and metrics, {broken} with complaints")


def plot(result: dict) -> list:
    return []
