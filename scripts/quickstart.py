#!/usr/bin/env python3
"""Shows a cluster at work on real vectors; scripts/quickstart builds what it needs and calls it.

Everything goes through the command line, as a user would do it, on a data directory that is removed
at the end. Ends with one line of results, and with 1 when one of them is not what it should be.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "bench/sample"
BINARY = os.environ.get("OMEN_CLUSTER", str(ROOT / ".build/release/omen-cluster"))
QUERIES = ["--queries", SAMPLE / "sift10k_query.npy"]
PARTIAL = 75
# The second half of the vectors comes in pieces, so that the kill falls between them.
PIECE = 250


class Demo:
    def __init__(self, folder: Path, shards: int):
        self.folder = folder
        self.data = folder / "data"
        self.shards = shards
        self.base = np.load(SAMPLE / "sift10k_base.npy")
        self.acknowledged = 0

    def show(self, text: str) -> None:
        print(text, flush=True)

    def call(self, *arguments, codes=(0,)) -> tuple[int, dict]:
        command = [BINARY, *map(str, arguments), "--data", str(self.data), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in codes:
            raise SystemExit(f"{' '.join(command)}\nexit {done.returncode}: {done.stderr}")
        return done.returncode, json.loads(done.stdout)

    def load(self, start: int, end: int) -> float:
        """Imports some rows, ids from their numbers; returns vectors per second."""
        path = self.folder / f"rows-{start}.npy"
        np.save(path, self.base[start:end])
        _, summary = self.call("import", path, "--id-start", start)
        self.acknowledged += summary["vectors"]
        return summary["vectors_per_second"]

    def shard(self, number: int) -> dict:
        return self.call("status")[1]["shards"][number]

    def kill_while_writing(self) -> float:
        """Kills a worker in the middle of the second half; returns seconds until it is back."""
        half, victim = len(self.base) // 2, self.shards // 2
        reached_middle = threading.Event()
        failures = []

        def write() -> None:
            try:
                for start in range(half, len(self.base), PIECE):
                    self.load(start, min(start + PIECE, len(self.base)))
                    if start >= half + half // 3:
                        reached_middle.set()
            except BaseException as error:
                failures.append(error)
            finally:
                reached_middle.set()

        before = self.shard(victim)
        writer = threading.Thread(target=write)
        writer.start()
        reached_middle.wait()
        os.kill(before["pid"], signal.SIGKILL)
        killed = time.monotonic()
        self.show(f"killed the worker of shard {victim}, process {before['pid']}")
        while True:
            code, answer = self.call("search", *QUERIES, codes=(0, PARTIAL))
            if code == PARTIAL:
                shards = answer["shards"]
                missing = [failure["shard"] for failure in shards["failed"]]
                self.show(f"partial answer: {shards['total'] - len(missing)} of "
                          f"{shards['total']} shards, missing {missing}")
                break
            # Restarted between two looks: rare, and good news.
            if self.shard(victim)["pid"] not in (None, before["pid"]):
                break
        while (shard := self.shard(victim))["state"] != "ready" or shard["pid"] == before["pid"]:
            time.sleep(0.002)
        seconds = time.monotonic() - killed
        self.show(f"shard {victim} is back after {seconds:.2f} s, process {shard['pid']}")
        writer.join()
        if failures:
            raise SystemExit(f"a write failed: {failures[0]}")
        return seconds

    def lost(self) -> int:
        """Acknowledged vectors that are not there, or not as they were written."""
        lost = 0
        for start in range(0, len(self.base), 1000):
            rows = range(start, min(start + 1000, len(self.base)))
            _, reply = self.call("get", *rows, codes=(0, 1))
            found = {record["id"]: record["vector"] for record in reply["records"]}
            lost += sum(found.get(row) != self.base[row].tolist() for row in rows)
        return lost + abs(self.call("count")[1]["count"] - len(self.base))

    def run(self) -> int:
        _, status = self.call("start", "--shards", self.shards)
        self.show(f"{len(status['shards'])} shards ready, coordinator "
                  f"{status['coordinator']['pid']}, data in {self.data}")
        rate = self.load(0, len(self.base) // 2)
        self.show(f"imported {self.acknowledged} vectors, {rate:.0f} per second")
        recovery = self.kill_while_writing()
        lost = self.lost()
        _, answer = self.call("search", *QUERIES, "--neighbors",
                              SAMPLE / "sift10k_neighbors.npy", "--each")
        self.call("stop")
        latency = {name: value * 1000 for name, value in answer["latency_seconds"].items()}
        self.show("stopped")
        self.show(f"{self.acknowledged} vectors, {self.shards} shards, recall@10 "
                  f"{answer['recall']:.3f}, p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms, "
                  f"recovery {recovery:.2f} s, acknowledged vectors lost {lost}")
        return 0 if lost == 0 and answer["recall"] >= 0.95 else 1

    def end(self) -> None:
        """After a failure: nothing of ours stays."""
        stop = [BINARY, "stop", "--data", str(self.data)]
        subprocess.run(stop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="omendb-"))
    demo = Demo(folder, options.shards)
    try:
        return demo.run()
    finally:
        demo.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
