"""Indexes built anew: while they answer, after a kill, and without the dead rows."""

import contextlib
import os
import signal
import time
import unittest

from harness import PATIENCE, SAMPLE, ClusterTestCase

COUNT = 10_000
NAME = "sift"


class Rebuild(ClusterTestCase):
    def begin(self) -> None:
        self.running = self.start(shards=1)

    def collection(self) -> dict:
        """Status of the one shard's part of the collection; empty while its worker is away."""
        return self.running.shard(0)["collections"].get(NAME, {})

    def wait_linked(self, rows: int) -> None:
        end = time.monotonic() + PATIENCE
        while not (found := self.collection()) or found["linked"] < rows:
            self.assertLess(time.monotonic(), end, f"{found}\n{self.running.log()}")
            time.sleep(0.01)
        self.assertEqual(found["rows"], rows)

    def import_sample(self, *arguments) -> dict:
        base = SAMPLE / "sift10k_base.npy"
        return self.running.json("import", base, "--collection", NAME, *arguments)

    def recall(self) -> float:
        return self.running.json("search", "--queries", SAMPLE / "sift10k_query.npy", "--neighbors",
                                 SAMPLE / "sift10k_neighbors.npy", "--collection", NAME)["recall"]

    def test_a_worker_killed_while_it_builds_builds_again(self):
        self.begin()
        self.import_sample()
        end = time.monotonic() + PATIENCE
        while not self.collection().get("building") and not self.collection()["linked"]:
            self.assertLess(time.monotonic(), end, self.running.log())
        os.kill(self.running.shard(0)["pid"], signal.SIGKILL)
        self.wait_linked(COUNT)
        self.assertEqual(self.running.shard(0)["restarts"], 1)
        self.assertGreaterEqual(self.recall(), 0.95)

    def test_replaced_rows_are_reclaimed_and_their_files_shrink(self):
        self.begin()
        self.import_sample("--wait-indexed")
        self.running.run("checkpoint")
        before = self.collection()["file_bytes"]
        for _ in range(2):
            self.import_sample("--wait-indexed")
        self.wait_linked(COUNT)
        self.running.run("checkpoint")
        after = self.collection()
        self.assertEqual((after["rows"], after["deleted"]), (COUNT, 0))
        self.assertLess(after["file_bytes"], 1.1 * before)
        self.assertGreaterEqual(self.recall(), 0.95)

    def test_builds_of_all_shards_end_although_searches_never_pause(self):
        self.running = self.start(shards=2)
        self.import_sample("--wait-indexed")
        deleted = COUNT * 2 // 5
        dim = 128
        with contextlib.closing(self.running.connect()) as client:
            client.write(client.delete_operation(NAME, range(deleted)))
            end = time.monotonic() + PATIENCE
            while any(self.running.shard(i)["collections"][NAME]["deleted"] for i in (0, 1)):
                self.assertLess(time.monotonic(), end, self.running.log())
                pause = time.monotonic() + 0.1
                while time.monotonic() < pause:
                    hits, failures = client.search(NAME, bytes(4 * dim), dim)
                    self.assertEqual(([len(one) for one in hits], failures), ([10], []))
            self.assertEqual(client.count(NAME), (COUNT - deleted, []))


if __name__ == "__main__":
    unittest.main()
