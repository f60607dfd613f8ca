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

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from omen_wire import READY, Client

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OMEN_CLUSTER") or str(ROOT / ".build/debug/omen-cluster")
SAMPLE = ROOT / "bench/sample"

OK, FAILURE, USAGE, UNAVAILABLE, PARTIAL = 0, 1, 64, 69, 75

# Seconds after which what is waited for will not come. Nothing is measured by it: a machine may be
# slow, or busy with other things.
PATIENCE = 600


def call(*arguments, environment=None, timeout=PATIENCE, directory=None) -> subprocess.CompletedProcess:
    """Runs the binary with nothing of the caller's OMENDB_DATA; text in, text out."""
    # A crash is a result here: nobody reads its backtrace, and making one takes seconds.
    base = {key: value for key, value in os.environ.items()
            if key not in {"OMENDB_DATA", "XDG_DATA_HOME"}} | {"SWIFT_BACKTRACE": "enable=no"}
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          env={**base, **(environment or {})}, timeout=timeout, cwd=directory)


class Cluster:
    """One data directory and, most of the time, the processes on it."""

    def __init__(self, folder: Path):
        self.data = folder

    def call(self, command, *arguments, timeout=PATIENCE, environment=None):
        return call(command, *arguments, "--data", self.data, timeout=timeout,
                    environment=environment)

    def run(self, command, *arguments, expect=OK, timeout=PATIENCE) -> str:
        """Stdout of a command that must end with `expect`."""
        done = self.call(command, *arguments, timeout=timeout)
        if done.returncode != expect:
            raise AssertionError(
                f"omen-cluster {command} {' '.join(map(str, arguments))}: exit "
                f"{done.returncode}, expected {expect}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done.stdout

    def json(self, command, *arguments, expect=OK, timeout=PATIENCE) -> dict:
        return json.loads(self.run(command, *arguments, "--json", expect=expect, timeout=timeout))

    def start(self, *arguments, expect=OK) -> dict:
        return self.json("start", *arguments, expect=expect)

    def stop(self) -> None:
        self.run("stop")

    def status(self) -> dict:
        return self.json("status")

    def shard(self, number: int) -> dict:
        return self.status()["shards"][number]

    @property
    def socket(self) -> str:
        return str(self.data / "omen.sock")

    def connect(self, timeout=PATIENCE, wait=PATIENCE) -> Client:
        """A connection of the plain client, as soon as the coordinator listens."""
        end = time.monotonic() + wait
        while True:
            try:
                return Client(self.socket, timeout)
            except (ConnectionError, FileNotFoundError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def members(self):
        """(coordinator's pid, [(shard, pid, state, restarts, last error)]), without a process."""
        with contextlib.closing(self.connect()) as client:
            return client.status()

    def wait_until(self, condition, seconds=PATIENCE) -> float:
        """Waits for `condition(workers)`; returns how long that took."""
        begin = time.monotonic()
        with contextlib.closing(self.connect()) as client:
            while not condition(workers := client.status()[1]):
                if time.monotonic() - begin > seconds:
                    raise AssertionError(f"not so after {seconds} s: {workers}\n{self.log()}")
                time.sleep(0.01)
        return time.monotonic() - begin

    def wait_ready(self, seconds=PATIENCE) -> float:
        """Waits until every shard serves; returns how long that took."""
        return self.wait_until(lambda workers: all(state == READY for _, _, state, _, _ in workers),
                               seconds)

    def kill_shard(self, number: int, with_signal=signal.SIGKILL) -> int:
        """Sends a signal to a shard's worker; returns the worker's process number.

        After SIGKILL the coordinator knows that it is gone: it says no longer that it is ready.
        """
        pid = self.shard(number)["pid"]
        os.kill(pid, with_signal)
        if with_signal == signal.SIGKILL:
            self.wait_until(lambda workers: workers[number][1] != pid or
                            workers[number][2] != READY)
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
        deadline = time.monotonic() + PATIENCE
        while found := self.processes():
            if time.monotonic() > deadline:
                raise AssertionError(f"processes that do not die: {found}")
            for pid in found:
                kill(pid)
            time.sleep(0.01)

    def log(self) -> str:
        try:
            text = (self.data / "coordinator.log").read_text(errors="replace")
        except OSError:
            return ""
        return "coordinator.log:\n" + "\n".join(text.split("\n")[-30:])


def kill(pid: int, with_signal=signal.SIGKILL) -> bool:
    """Whether there was such a process to send the signal to."""
    try:
        os.kill(pid, with_signal)
    except ProcessLookupError:
        return False
    return True


def alive(pid: int) -> bool:
    try:
        # State follows the name, which may hold anything, in parentheses.
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_gone(pids: list[int], seconds=PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    for pid in pids:
        while pid and alive(pid):
            if time.monotonic() > deadline:
                raise AssertionError(f"process {pid} does not end")
            time.sleep(0.005)


@contextlib.contextmanager
def temporary_cluster():
    """A cluster outside of a test case, gone with its directory and processes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="omen-"))
    cluster = Cluster(folder / "data")
    try:
        yield cluster
    finally:
        cluster.kill_all()
        shutil.rmtree(folder, ignore_errors=True)


def missing_shards(answer):
    """The shards whose part is missing from an answer in JSON."""
    return [failure["shard"] for failure in answer["shards"]["failed"]]


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
