"""More searches than a shard can take: refused early and whole, with a time to come back."""

import os
import signal
import struct
import unittest

from harness import ClusterTestCase
from omen_wire import RESOURCE_EXHAUSTED, SEARCH, Client, OmenError, text

DIM = 4


class Overload(ClusterTestCase):
    def setUp(self):
        self.cluster_ = self.start(shards=2)
        self.client = self.cluster_.connect()
        self.addCleanup(self.client.close)
        vectors = struct.pack("<400f", *range(400))
        self.client.write(Client.upsert_operation("c", list(range(100)), vectors, DIM))
        self.body = text("c") + struct.pack("<BBIIIIff", 0, 8, DIM, 1, 5, 0, 0.0, 1e30) + bytes(16)

    def test_no_search_is_answered_by_halves_because_a_shard_has_no_room(self):
        stopped = self.cluster_.kill_shard(1, signal.SIGSTOP)
        clients = [self.cluster_.connect() for _ in range(3)]
        try:
            asked = [(client, client.send(SEARCH, self.body))
                     for client in clients for _ in range(500)]
            refused = halves = 0
            for client, number in asked:
                try:
                    _, reader = client.receive(number)
                except OmenError as error:
                    self.assertEqual(error.code, RESOURCE_EXHAUSTED, error)
                    self.assertGreater(error.retry_after_ms, 0, error)
                    self.assertLessEqual(error.retry_after_ms, 1000, error)
                    refused += 1
                    continue
                _, failures = reader.coverage()
                halves += any(code == RESOURCE_EXHAUSTED for _, code, _ in failures)
        finally:
            os.kill(stopped, signal.SIGCONT)
            for client in clients:
                client.close()
        self.assertEqual(halves, 0)
        self.assertGreater(refused, 0)
        # And it was not worse than overloaded.
        self.cluster_.wait_ready()
        while True:
            try:
                _, reader = self.client.call(SEARCH, self.body)
                break
            except OmenError as error:
                self.assertEqual(error.code, RESOURCE_EXHAUSTED, error)
        self.assertEqual(reader.coverage(), (2, []))

    def test_writes_have_places_that_searches_do_not_take(self):
        stopped = self.cluster_.kill_shard(1, signal.SIGSTOP)
        clients = [self.cluster_.connect() for _ in range(3)]
        try:
            for client in clients:
                for _ in range(500):
                    client.send(SEARCH, self.body)
            # Answered behind the searches of its own connection: all were handled.
            for client in clients:
                client.call(8)
            key = struct.pack("<QQ", 77, 1)
            vectors = struct.pack("<400f", *range(400))
            write = self.client.send(1, key + Client.upsert_operation(
                "c", list(range(100)), vectors, DIM))
        finally:
            os.kill(stopped, signal.SIGCONT)
        try:
            _, reader = self.client.receive(write)
            counts = reader.unpack("QQQ")
            self.assertEqual((counts[0], reader.coverage()), (100, (2, [])))
        finally:
            for client in clients:
                client.close()


if __name__ == "__main__":
    unittest.main()
