"""Starts and stops real clusters for tests; every process started here ends here."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from omen_wire import Client, OmenError

ROOT = Path(__file__).resolve().parents[2]
READY = 2


def binary():
    path = os.environ.get("OMEN_CLUSTER", str(ROOT / ".build/release/omen-cluster"))
    assert Path(path).exists(), f"{path} is missing: swift build -c release --product omen-cluster"
    return path


class Cluster:
    """A cluster in a temporary directory, driven through the command line as users do."""

    def __init__(self, shards=8, durability="always", config=None, data=None):
        self.temporary = None if data else tempfile.TemporaryDirectory(prefix="omen-")
        self.data = data or self.temporary.name + "/data"
        self.socket = f"{self.data}/omen.sock"
        self.shards = shards
        self.durability = durability
        self.config = config
        self.environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
        self.pid = None

    def command(self, *arguments, check=True, json_output=False):
        command = [binary(), *arguments, "--data", self.data]
        if json_output:
            command.append("--json")
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=600
        )
        if check and result.returncode != 0:
            raise AssertionError(f"{command}: exit {result.returncode}\n{result.stderr}")
        return json.loads(result.stdout) if json_output else result

    def start(self, check=True):
        arguments = ["start", "--shards", str(self.shards), "--durability", self.durability]
        if self.config:
            arguments += ["--config", self.config]
        result = self.command(*arguments, check=check)
        if result.returncode == 0:
            self.pid = self.connect().status()[0]
        return result

    def stop(self):
        return self.command("stop")

    def connect(self, timeout=60.0, wait=30.0):
        """A connection, as soon as the coordinator listens."""
        end = time.monotonic() + wait
        while True:
            try:
                return Client(self.socket, timeout)
            except (ConnectionError, FileNotFoundError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def workers(self):
        client = self.connect()
        try:
            return client.status()[1]
        finally:
            client.close()

    def wait_ready(self, seconds=60.0):
        """Waits until every shard serves; returns how long that took."""
        start = time.monotonic()
        client = self.connect()
        try:
            while True:
                states = [worker[2] for worker in client.status()[1]]
                if all(state == READY for state in states):
                    return time.monotonic() - start
                if time.monotonic() - start > seconds:
                    raise AssertionError(f"shards are not ready: {client.status()[1]}")
                time.sleep(0.01)
        finally:
            client.close()

    def kill_everything(self):
        """SIGKILL to the coordinator and all workers, as a power switch would."""
        pid, workers = self.connect().status()
        for victim in [pid, *(worker[1] for worker in workers)]:
            kill(victim)
        wait_gone([pid, *(worker[1] for worker in workers)])

    def close(self):
        try:
            pid, workers = Client(self.socket, 5).status()
            victims = [pid, *(worker[1] for worker in workers)]
        except (OSError, OmenError):
            victims = []
        for victim in victims:
            kill(victim)
        wait_gone(victims)
        if self.temporary:
            self.temporary.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def kill(pid, number=signal.SIGKILL):
    if pid:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pids, seconds=10.0):
    end = time.monotonic() + seconds
    for pid in pids:
        while pid and alive(pid):
            assert time.monotonic() < end, f"process {pid} does not end"
            time.sleep(0.005)
