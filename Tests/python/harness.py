"""Starts clusters in temporary directories, and leaves no process of theirs behind.

    class Restart(ClusterTestCase):
        def test_it_comes_back(self):
            cluster = self.start(shards=2)
            cluster.run("add", "1", "--vector", "[1, 2]")
            cluster.kill_shard(0)
            cluster.wait_ready()

The binary is the one that OMEN_CLUSTER names, else the debug build. Every cluster of a test is
stopped or killed when the test ends, whatever happened to it.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OMEN_CLUSTER") or str(ROOT / ".build/debug/omen-cluster")
SAMPLE = ROOT / "bench/sample"

OK, FAILURE, USAGE, UNAVAILABLE, PARTIAL = 0, 1, 64, 69, 75


def call(*arguments, environment=None, timeout=120, directory=None) -> subprocess.CompletedProcess:
    """Runs the binary with nothing of the caller's OMENDB_DATA; text in, text out."""
    base = {key: value for key, value in os.environ.items()
            if key not in {"OMENDB_DATA", "XDG_DATA_HOME"}}
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          env={**base, **(environment or {})}, timeout=timeout, cwd=directory)


class Cluster:
    """One data directory and, most of the time, the processes on it."""

    def __init__(self, folder: Path):
        self.data = folder

    def call(self, command, *arguments, timeout=120) -> subprocess.CompletedProcess:
        return call(command, *arguments, "--data", self.data, timeout=timeout)

    def run(self, command, *arguments, expect=OK, timeout=120) -> str:
        """Stdout of a command that must end with `expect`."""
        done = self.call(command, *arguments, timeout=timeout)
        if done.returncode != expect:
            raise AssertionError(
                f"omen-cluster {command} {' '.join(map(str, arguments))}: exit "
                f"{done.returncode}, expected {expect}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done.stdout

    def json(self, command, *arguments, expect=OK, timeout=120) -> dict:
        return json.loads(self.run(command, *arguments, "--json", expect=expect, timeout=timeout))

    def start(self, *arguments, expect=OK) -> dict:
        return self.json("start", *arguments, expect=expect)

    def stop(self) -> None:
        self.run("stop")

    def status(self) -> dict:
        return self.json("status")

    def shard(self, number: int) -> dict:
        return self.status()["shards"][number]

    def wait_ready(self, seconds=30.0) -> float:
        """Waits until every shard is ready; returns how long that took."""
        begin = time.monotonic()
        while True:
            states = [shard["state"] for shard in self.status()["shards"]]
            if all(state == "ready" for state in states):
                return time.monotonic() - begin
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"not ready after {seconds} s: {states}\n{self.log()}")
            time.sleep(0.02)

    def kill_shard(self, number: int, with_signal=signal.SIGKILL) -> int:
        """Sends a signal to a shard's worker; returns the worker's process number."""
        pid = self.shard(number)["pid"]
        os.kill(pid, with_signal)
        return pid

    def processes(self) -> list[int]:
        """Living processes whose arguments name the data directory; found without asking them."""
        wanted = str(self.data).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                # State follows the name, which may hold anything, in parentheses.
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (OSError, IndexError):
                continue
            if wanted in arguments and state not in "ZX":
                found.append(int(entry.name))
        return sorted(found)

    def kill_all(self) -> None:
        """SIGKILL to every process of the cluster, until none is left."""
        deadline = time.monotonic() + 30
        while self.processes():
            if time.monotonic() > deadline:
                raise AssertionError(f"processes that do not die: {self.processes()}")
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)

    def log(self) -> str:
        try:
            text = (self.data / "coordinator.log").read_text(errors="replace")
        except OSError:
            return ""
        return "coordinator.log:\n" + "\n".join(text.split("\n")[-30:])


class ClusterTestCase(unittest.TestCase):
    """A test with clusters of its own."""

    def folder(self) -> Path:
        """A new empty directory, gone after the test; short, for the sake of socket paths."""
        path = Path(tempfile.mkdtemp(prefix="omen-"))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def cluster(self) -> Cluster:
        """A data directory that does not exist yet."""
        cluster = Cluster(self.folder() / "data")
        # Runs before the directory is removed: clean-ups go in reverse.
        self.addCleanup(cluster.kill_all)
        return cluster

    def start(self, *arguments, shards=2) -> Cluster:
        cluster = self.cluster()
        cluster.start("--shards", shards, *arguments)
        return cluster
