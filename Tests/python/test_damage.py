"""Damaged files, a full disk, stopped and dying processes: what is promised under them."""

import os
import shutil
import signal
import subprocess
import time
import unittest

from harness import FAILURE, PARTIAL, PATIENCE, SAMPLE, ClusterTestCase, kill, missing_shards
from model import DIM, vector
from omen_wire import BACKOFF, FAILED, QUARANTINED, READY, RESOURCE_EXHAUSTED, Client, OmenError

QUERIES = ["search", "--queries", SAMPLE / "sift10k_query.npy"]


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


class Damage(ClusterTestCase):
    def filled(self):
        """Two shards whose files hold a checkpoint and log records behind it; nothing runs."""
        cluster = self.start()
        cluster.run("import", SAMPLE / "sift10k_query.npy", "--wait-indexed")
        cluster.run("checkpoint")
        for start in range(1000, 1600, 200):
            cluster.run("import", SAMPLE / "sift10k_query.npy", "--id-start", start)
        cluster.kill_all()
        return cluster

    def newest(self, cluster, pattern, shard=1):
        files = (cluster.data / f"shards/{shard:03}").glob(pattern)
        return max(files, key=lambda path: path.name)

    def expect_quarantine(self, cluster, file):
        """Shard 1 is named with its file and stays down; shard 0 reads and writes; nothing loops."""
        report = cluster.json("verify", expect=FAILURE)
        self.assertTrue(report["problems"], report)
        shards = cluster.start(expect=PARTIAL)["shards"]
        self.assertEqual([shard["state"] for shard in shards], ["ready", "quarantined"])
        self.assertIn(file, shards[1]["last_error"])
        self.assertEqual(missing_shards(cluster.json(*QUERIES, expect=PARTIAL)), [1])
        client = cluster.connect()
        placed = 0
        for record in range(5000, 5020):
            operation = Client.upsert_operation("default", [record], bytes(128), 128, element=1)
            try:
                _, _, failures = client.write(operation)
                placed += not failures
            except OmenError as error:
                self.assertIn("shard 1", error.message)
        self.assertGreater(placed, 0)
        time.sleep(0.5)
        _, workers = client.status()
        self.assertEqual(workers[1][2:4], (QUARANTINED, 0))
        client.close()

    def test_a_flipped_byte_in_the_middle_of_a_log(self):
        cluster = self.filled()
        log = self.newest(cluster, "log-*.wal")
        flip(log, 200)
        self.expect_quarantine(cluster, log.name)

    def test_a_flipped_byte_in_a_manifest(self):
        cluster = self.filled()
        flip(cluster.data / "shards/001/MANIFEST", 40)
        self.expect_quarantine(cluster, "MANIFEST")

    def test_a_flipped_byte_among_the_rows_is_found_soon_after_opening(self):
        cluster = self.filled()
        file = self.newest(cluster, "ckpt-*.omd")
        flip(file, file.stat().st_size // 2)
        self.assertIn(file.name, cluster.json("verify", expect=FAILURE)["problems"][0]["file"])
        # Opening does not read all rows; whoever does so a moment later finds it.
        cluster.call("start")
        cluster.wait_until(lambda workers: workers[1][2] == QUARANTINED)
        shard = cluster.shard(1)
        self.assertIn(file.name, shard["last_error"])
        self.assertEqual(shard["restarts"], 0)
        self.assertEqual(missing_shards(cluster.json(*QUERIES, expect=PARTIAL)), [1])
        cluster.call("stop")
        # What was not checked was not written, either.
        self.assertIn(file.name, cluster.json("verify", expect=FAILURE)["problems"][0]["file"])

    def test_a_worker_that_follows_a_dead_one_checks_everything_first(self):
        cluster = self.filled()
        cluster.start()
        file = self.newest(cluster, "ckpt-*.omd")
        # What it checks by itself is over or does not go on.
        cluster.kill_shard(1, signal.SIGSTOP)
        flip(file, file.stat().st_size // 2)
        cluster.kill_shard(1)
        cluster.wait_until(lambda workers: workers[1][2] == QUARANTINED)
        self.assertIn(file.name, cluster.shard(1)["last_error"])

    def test_a_missing_shard_file(self):
        cluster = self.filled()
        file = self.newest(cluster, "ckpt-*.omd")
        file.unlink()
        self.expect_quarantine(cluster, file.name)

    def test_a_missing_log(self):
        cluster = self.filled()
        for log in (cluster.data / "shards/001").glob("log-*.wal"):
            log.unlink()
        self.expect_quarantine(cluster, "log")

    def test_a_file_of_another_shard(self):
        cluster = self.filled()
        file = self.newest(cluster, "ckpt-*.omd")
        shutil.copy(self.newest(cluster, "ckpt-*.omd", shard=0), file)
        self.expect_quarantine(cluster, file.name)

    def test_a_torn_tail_is_cut_and_nothing_is_lost(self):
        cluster = self.filled()
        log = self.newest(cluster, "log-*.wal")
        # Behind the last frame, whose own end may be some zeros.
        end = len(log.read_bytes().rstrip(b"\0")) + 64
        with open(log, "r+b") as file:
            file.seek(end)
            file.write(b"\x37" * 100)
        cluster.run("verify")
        cluster.start()
        self.assertEqual(cluster.json("count")["count"], 800)

    def test_a_shard_file_cut_under_its_mapping_ends_in_quarantine(self):
        cluster = self.filled()
        cluster.start()
        cluster.run("stop")
        cluster.start()
        file = self.newest(cluster, "ckpt-*.omd")
        os.truncate(file, 4096)
        client = cluster.connect()
        deadline = time.monotonic() + PATIENCE
        # Touching what is gone kills the worker; its successor looks at the file and refuses it.
        while client.status()[1][1][2] != QUARANTINED:
            self.assertLess(time.monotonic(), deadline, client.status())
            client.search("default", bytes(128), 128, k=10, element=1, exact=True)
            time.sleep(0.05)
        hits, failures = client.search("default", bytes(128), 128, k=10, element=1)
        self.assertEqual([shard for shard, _, _ in failures], [1])
        self.assertEqual(len(hits[0]), 10)
        client.close()


class Processes(ClusterTestCase):
    def configured(self, text):
        path = self.folder() / "cluster.toml"
        path.write_text("shards = 2\n[limits]\n" + text)
        cluster = self.cluster()
        cluster.start("--config", path)
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        return cluster

    def test_a_stopped_worker_is_left_out_then_replaced(self):
        cluster = self.configured("read_timeout_ms = 300\nheartbeat_timeout_ms = 8000\n")
        stopped = cluster.kill_shard(1, signal.SIGSTOP)
        answer = cluster.json(*QUERIES, expect=PARTIAL)
        self.assertEqual(missing_shards(answer), [1])
        # The answer did not wait for its successor.
        self.assertEqual(cluster.members()[1][1][1], stopped)
        cluster.wait_until(lambda workers: workers[1][1] not in (0, stopped))
        cluster.wait_ready()
        self.assertEqual(cluster.json("count")["count"], 200)

    def test_a_shard_that_keeps_dying_is_given_up_and_the_other_serves(self):
        cluster = self.configured("restart_backoff_max_ms = 100\n")
        for _ in range(5):
            cluster.wait_until(lambda workers: workers[1][2] == READY)
            kill(cluster.members()[1][1][1])
            cluster.wait_until(lambda workers: workers[1][2] != READY)
        cluster.wait_until(lambda workers: workers[1][2] == FAILED)
        time.sleep(1)
        self.assertEqual(cluster.shard(1)["state"], "failed")
        self.assertEqual(missing_shards(cluster.json(*QUERIES, expect=PARTIAL)), [1])
        cluster.stop()
        cluster.start()
        self.assertEqual(cluster.json("count")["count"], 200)

    def test_a_dead_worker_waits_before_it_returns(self):
        cluster = self.configured("restart_backoff_min_ms = 3000\n")
        begin = time.monotonic()
        kill(cluster.members()[1][0][1])
        cluster.wait_until(lambda workers: workers[0][2] == BACKOFF)
        cluster.wait_ready()
        self.assertGreater(time.monotonic() - begin, 2.0)


class FullMemory(ClusterTestCase):
    def limit(self, byte_count):
        return {"OMENDB_MEMORY_LIMIT": str(byte_count)}

    def test_an_import_that_does_not_fit_is_refused_before_anything_is_sent(self):
        cluster = self.start()
        arguments = ["import", SAMPLE / "sift10k_base.npy"]
        done = cluster.call(*arguments, environment=self.limit(1 << 20))
        self.assertEqual(done.returncode, PARTIAL, done.stderr)
        self.assertRegex(done.stderr, r"needs \d+ bytes of memory, 0 are available")
        self.assertEqual(cluster.json("collections")["collections"], [])
        cluster.run(*arguments)

    def test_a_shard_that_does_not_fit_is_not_opened_and_says_why(self):
        cluster = self.start()
        cluster.run("import", SAMPLE / "sift10k_query.npy", "--wait-indexed")
        cluster.run("stop")
        done = cluster.call("start", "--json", environment=self.limit(1 << 20))
        self.assertEqual(done.returncode, PARTIAL, done.stderr)
        cluster.wait_until(lambda workers: all("bytes of memory" in w[4] for w in workers))
        cluster.kill_all()
        cluster.start()
        self.assertEqual(cluster.json("count")["count"], 200)

    def test_writes_are_refused_while_memory_lacks(self):
        cluster = self.cluster()
        done = cluster.call("start", environment=self.limit(48 << 20))
        self.assertEqual(done.returncode, 0, done.stderr)
        client = cluster.connect()
        client.write(Client.create_operation("c", DIM, element=1))
        with self.assertRaises(OmenError) as refusal:
            client.write(Client.upsert_operation("c", [1], vector(1, 1), DIM, element=1))
        self.assertEqual(refusal.exception.code, RESOURCE_EXHAUSTED)
        self.assertRegex(refusal.exception.message,
                         r"need \d+ bytes of memory, 67108864 of them in reserve")
        self.assertEqual(client.count("c")[0], 0)
        client.close()


class FullDisk(ClusterTestCase):
    def mounted(self, size):
        """A small file system of its own; root is needed, and its lack is a failure."""
        folder = self.folder()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        return folder

    def test_writes_are_refused_reads_go_on_and_space_brings_writes_back(self):
        folder = self.mounted("40M")
        cluster = self.cluster()
        cluster.data = folder / "data"
        cluster.start("--shards", 2)
        client = cluster.connect()
        client.write(Client.create_operation("c", DIM, element=1))
        ballast = folder / "ballast"
        free = shutil.disk_usage(folder).free
        ballast.write_bytes(bytes(free - (1 << 20)))
        acknowledged, refused = self.write_until_refused(client)
        self.assertGreater(refused, 0)
        self.assertEqual(client.count("c")[0], len(acknowledged))
        first = acknowledged[0]
        self.assertIn(first, client.get("c", [first])[0])
        before = client.status()
        ballast.unlink()
        # Nothing has to be restarted.
        client.write(self.upsert([1 << 40]))
        after = client.status()
        self.assertEqual([w[1] for w in before[1]], [w[1] for w in after[1]])
        self.assertEqual([w[3] for w in after[1]], [0, 0])
        client.close()
        cluster.kill_all()
        cluster.start()
        client = cluster.connect()
        for start in range(0, len(acknowledged), 5000):
            part = acknowledged[start : start + 5000]
            self.assertEqual(set(client.get("c", part)[0]), set(part))
        self.assertEqual(client.count("c")[0], len(acknowledged) + 1)
        client.close()

    def upsert(self, ids):
        metadata = [b'{"pad":"%s"}' % (b"x" * 4000)] * len(ids)
        vectors = b"".join(vector(record, 1) for record in ids)
        return Client.upsert_operation("c", ids, vectors, DIM, element=1, metadata=metadata)

    def write_until_refused(self, client):
        """Single writes, so that an answer speaks of one shard; stops after some refusals."""
        acknowledged, refused = [], 0
        for record in range(1, 100_000):
            try:
                _, _, failures = client.write(self.upsert([record]))
                self.assertEqual(failures, [])
                acknowledged.append(record)
            except OmenError as error:
                self.assertEqual(error.code, RESOURCE_EXHAUSTED, error)
                refused += 1
                if refused == 20:
                    return acknowledged, refused
        self.fail("the disk never filled up")


if __name__ == "__main__":
    unittest.main()
