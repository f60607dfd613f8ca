"""Few file descriptors: a start that cannot work says so at once, and running out hurts nobody."""

import contextlib
import os
import resource
import socket
import subprocess
import time
import unittest
from pathlib import Path

from harness import BINARY, PATIENCE, SAMPLE, ClusterTestCase
from omen_wire import PING, RESOURCE_EXHAUSTED, OmenError


def limited(soft, hard=None):
    """What a child does before it runs the program."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard or soft))


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class FewDescriptors(ClusterTestCase):
    def call(self, cluster, *arguments, soft, hard=None, timeout=60):
        return subprocess.run([BINARY, *map(str, arguments), "--data", cluster.data],
                              capture_output=True, text=True, timeout=timeout,
                              preexec_fn=limited(soft, hard))

    def test_a_start_without_enough_fails_at_once_and_begins_nothing(self):
        for shards, limit in [(1, 8), (1, 12), (1, 16), (1, 20), (2, 24), (8, 24), (8, 32),
                              (64, 64), (64, 80)]:
            with self.subTest(shards=shards, limit=limit):
                cluster = self.cluster()
                # Its own timeout is 300 s.
                done = self.call(cluster, "start", "--shards", shards, soft=limit)
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertIn("descriptors", done.stderr)
                self.assertIn(f"{limit} are allowed", done.stderr)
                self.assertIn("ulimit -n", done.stderr)
                self.assertFalse(cluster.data.exists())
                self.assertEqual(cluster.processes(), [])

    def test_the_soft_limit_is_raised_where_that_is_allowed(self):
        cluster = self.cluster()
        done = self.call(cluster, "start", "--shards", 8, soft=16, hard=256)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(cluster.processes()), 9)

    def test_what_is_asked_for_is_enough(self):
        for shards in (1, 4):
            with self.subTest(shards=shards):
                cluster = self.cluster()
                needed = self.needed(shards)
                done = self.call(cluster, "start", "--shards", shards, soft=needed)
                self.assertEqual(done.returncode, 0, done.stderr)
                cluster.run("import", SAMPLE / "sift10k_base.npy", "--wait-indexed")
                cluster.stop()
                done = self.call(cluster, "start", soft=needed)
                self.assertEqual(done.returncode, 0, done.stderr)
                cluster.run("import", SAMPLE / "sift10k_base.npy", "--wait-indexed")
                cluster.run("checkpoint")
                cluster.kill_shard(shards - 1)
                cluster.wait_until(lambda workers: workers[-1][3] == 1)
                cluster.wait_ready()
                self.assertIn("10000", cluster.run("count"))

    def needed(self, shards):
        cluster = self.cluster()
        done = self.call(cluster, "start", "--shards", shards, soft=20)
        words = done.stderr.split()
        return int(words[words.index("file") - 1])

    def test_clients_that_take_all_descriptors_hurt_nobody_else(self):
        cluster = self.cluster()
        needed = self.needed(1)
        done = self.call(cluster, "start", "--shards", 1, soft=needed + 10)
        self.assertEqual(done.returncode, 0, done.stderr)
        early = cluster.connect()
        self.addCleanup(early.close)
        pid, workers = early.status()
        others = []
        refused = 0
        for _ in range(120):
            raw = socket.socket(socket.AF_UNIX)
            self.addCleanup(raw.close)
            raw.settimeout(10)
            raw.connect(cluster.socket)
            others.append(raw)
        for raw in others:
            try:
                raw.settimeout(0.001)
                refused += raw.recv(65536) is not None
            except ConnectionResetError:
                refused += 1
            except TimeoutError:
                pass
        self.assertGreater(refused, 50)
        # Those who were there go on, also when a worker has to be started again.
        self.assertEqual(early.call(PING)[0], 108)
        os.kill(workers[0][1], 9)
        deadline = time.monotonic() + PATIENCE
        while True:
            state = early.status()[1][0]
            if state[2] == 2 and state[1] != workers[0][1]:
                break
            self.assertLess(time.monotonic(), deadline, state)
            time.sleep(0.01)
        # Nobody turns in circles over what cannot be accepted.
        before = cpu_ticks(pid)
        time.sleep(1)
        self.assertLess(cpu_ticks(pid) - before, os.sysconf("SC_CLK_TCK") // 2)
        for raw in others:
            raw.close()
        while True:
            try:
                with contextlib.closing(cluster.connect()) as late:
                    self.assertEqual(late.call(PING)[0], 108)
                break
            except (OmenError, ConnectionError) as error:
                self.assertLess(time.monotonic(), deadline, error)
                if isinstance(error, OmenError):
                    self.assertEqual(error.code, RESOURCE_EXHAUSTED)
        self.assertEqual(early.status()[0], pid)


if __name__ == "__main__":
    unittest.main()
