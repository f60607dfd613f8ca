"""A drop is applied once: sent again under its key, it leaves a collection made since alone."""

import os
import signal
import struct
import time
import unittest

from harness import PATIENCE, ClusterTestCase, kill, wait_gone
from omen_wire import NOT_FOUND, UNAVAILABLE, UNKNOWN_OUTCOME, Client, OmenError, text

DIM = 4
KEY = (4242, 1)


def records(count):
    return Client.upsert_operation(
        "c", list(range(count)), struct.pack(f"<{count * DIM}f", *range(count * DIM)), DIM)


DROP = b"\2" + text("c")


class RepeatedDrops(ClusterTestCase):
    def setUp(self):
        self.cluster_ = self.start(shards=2)
        self.client = self.cluster_.connect()
        self.addCleanup(lambda: self.client.close())
        self.client.write(records(100))

    def drop_without(self, shard, kill_coordinator=False):
        """Sends the drop while one shard is stopped, which then dies without having seen it."""
        pid = self.cluster_.shard(shard)["pid"]
        other = self.cluster_.connect()
        self.addCleanup(other.close)
        os.kill(pid, signal.SIGSTOP)
        number = self.client.send(1, struct.pack("<QQ", *KEY) + DROP)
        # Answered when the other shard has done its part and has said what it has left.
        while self.held(1 - shard) is not False:
            pass
        if kill_coordinator:
            coordinator, workers = other.status()
            kill(coordinator)
            kill(pid)
            wait_gone([coordinator, *(worker[1] for worker in workers)])
            self.cluster_.start()
            self.client.close()
            self.client = self.cluster_.connect()
        else:
            kill(pid)
            counts, _, failures = self.answer(number)
            self.assertGreater(counts[2], 0)
            self.assertEqual([(place, code) for place, code, _ in failures],
                             [(shard, UNKNOWN_OUTCOME)])
        self.cluster_.wait_ready()

    def answer(self, number):
        _, reader = self.client.receive(number)
        return reader.unpack("QQQ"), *reader.coverage()

    def held(self, shard):
        """Whether a shard still has the collection; None when it does not say."""
        status = self.cluster_.shard(shard)
        return "c" in status["collections"] if "collections" in status else None

    def wait_dropped(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            self.assertLess(time.monotonic(), deadline, "the drop is not finished")
            try:
                self.client.count("c")
            except OmenError as error:
                if error.code == NOT_FOUND:
                    return
                self.assertEqual(error.code, UNAVAILABLE)

    def make_again_and_repeat(self):
        self.client.write(records(20))
        self.assertEqual(self.client.count("c"), (20, []))
        for _ in range(2):
            _, _, failures = self.client.write(DROP, KEY)
            self.assertEqual(failures, [])
            self.assertEqual(self.client.count("c"), (20, []))
        self.cluster_.stop()
        self.cluster_.start()
        with_client = self.cluster_.connect()
        self.addCleanup(with_client.close)
        self.assertEqual(with_client.count("c"), (20, []))

    def test_a_drop_that_one_shard_finished_later(self):
        for shard in (0, 1):
            with self.subTest(shard=shard):
                self.setUp()
                self.drop_without(shard)
                self.wait_dropped()
                self.make_again_and_repeat()

    def test_a_drop_that_a_killed_coordinator_left_behind(self):
        for shard in (0, 1):
            with self.subTest(shard=shard):
                self.setUp()
                self.drop_without(shard, kill_coordinator=True)
                # Nobody has to ask for it again: half a drop does not stay.
                self.wait_dropped()
                self.make_again_and_repeat()

    def test_a_note_of_drops_that_is_damaged_is_named(self):
        self.client.write(DROP, KEY)
        self.cluster_.stop()
        note = self.cluster_.data / "cluster.drops"
        good = note.read_bytes()
        for damaged in (b"", good[:-1], good[:-1] + bytes([good[-1] ^ 1]), good + b"x"):
            note.write_bytes(damaged)
            done = self.cluster_.call("start")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("cluster.drops", done.stderr)
        note.write_bytes(good)
        self.cluster_.start()

    def test_another_drop_is_another_drop(self):
        self.client.write(DROP, KEY)
        self.client.write(records(20))
        counts, _, failures = self.client.write(DROP, (KEY[0], KEY[1] + 1))
        self.assertEqual((counts[2], failures), (20, []))
        self.wait_dropped()


if __name__ == "__main__":
    unittest.main()
