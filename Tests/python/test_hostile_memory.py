"""The coordinator's memory stays within its limit, whatever clients send and do not read."""

import contextlib
import os
import random
import socket
import struct
import time
import unittest

from harness import PATIENCE, USAGE, ClusterTestCase, call
from hostile import (BASE, CONNECTION, MIB, Flood, flood, frame, message, peak_memory,
                     random_frame)
from omen_wire import (BAD_REQUEST, GET, HEAD, HEADER, LIST, PING, PROTOCOL_VIOLATION,
                       RESOURCE_EXHAUSTED, UNAVAILABLE, WRITE, Client, OmenError, encode_ids,
                       frame_header, text)

DIM = 256
RECORDS = 1000
LIMIT = 256 * MIB


class HostileMemory(ClusterTestCase):
    """Each test ends with a coordinator that never took more than it may, and still answers."""

    def setUp(self):
        self.cluster_ = self.start("--memory-limit", LIMIT, shards=2)
        self.path = self.cluster_.socket
        self.polite = self.cluster_.connect()
        self.addCleanup(self.polite.close)
        generator = random.Random(5)
        vectors = struct.pack(f"<{RECORDS * DIM}f",
                              *[generator.random() for _ in range(RECORDS * DIM)])
        self.polite.write(Client.upsert_operation("c", list(range(RECORDS)), vectors, DIM))
        self.pid = self.polite.status()[0]
        self.clients = []

    def tearDown(self):
        self.assertEqual(self.polite.count("c")[0], RECORDS)
        peak = peak_memory(self.pid)
        allowed = LIMIT + BASE + CONNECTION * len(self.clients)
        if os.environ.get("OMEN_VERBOSE"):
            print(f"peak {peak >> 20} MiB of {allowed >> 20} MiB", end=" ", flush=True)
        self.assertLessEqual(peak, allowed, f"{peak >> 20} MiB, allowed {allowed >> 20} MiB")
        self.assertEqual(self.polite.status()[0], self.pid)
        for client in self.clients:
            client.close()

    def floods(self, count):
        for _ in range(count):
            self.clients.append(Flood(self.path))
        return self.clients

    def asked_meanwhile(self, clients, seconds, more=lambda client: b""):
        """Floods, with a polite request now and then, which must be answered."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            flood(clients, 0.3, more)
            self.assertEqual(self.polite.count("c")[0], RECORDS)
            if not any(client.waiting and client.is_open for client in clients):
                break

    def test_a_frame_of_the_most_messages_costs_no_more_than_its_answers_may(self):
        for number in range(120):
            name = f"collection-with-a-long-name-so-that-the-list-is-long-{number:03}"
            self.polite.write(Client.create_operation(name, 4))
        clients = self.floods(8)
        data = frame([message(LIST, b"", number + 1) for number in range(65_535)])
        for client in clients:
            client.waiting = memoryview(data)
        self.asked_meanwhile(clients, 4)

    def test_unfinished_frames_of_many_clients_are_bounded_together(self):
        clients = self.floods(60)
        head = frame_header(1, 64 * MIB)
        piece = bytes(1 << 20)
        self.asked_meanwhile(
            clients, 6,
            lambda client: head if client.sent == 0 else piece if client.sent < 24 * MIB else b"")

    def test_a_large_frame_still_becomes_whole_beside_unfinished_ones(self):
        clients = self.floods(60)
        for client in clients:
            client.waiting = memoryview(
                frame_header(1, 64 * MIB) + bytes(3 * MIB))
        flood(clients, 2)
        ids = list(range(8000))
        vectors = bytes(4 * DIM * len(ids))
        counts, _, failures = self.polite.write(
            Client.upsert_operation("large", ids, vectors, DIM))
        self.assertEqual((counts[0], failures), (len(ids), []))

    def test_answers_that_nobody_takes_are_bounded(self):
        clients = self.floods(20)
        get = text("c") + b"\1" + encode_ids(list(range(RECORDS)))
        data = frame([message(GET, get, number + 1) for number in range(50)])
        self.asked_meanwhile(clients, 6, lambda client: data)

    def test_large_answers_pile_up_neither_here_nor_in_the_workers(self):
        ids = list(range(300))
        metadata = [b'{"text":"' + b"x" * 60_000 + b'"}' for _ in ids]
        for begin in range(0, len(ids), 100):
            part = slice(begin, begin + 100)
            self.polite.write(Client.upsert_operation(
                "wordy", ids[part], bytes(16 * 100), 4, metadata=metadata[part]))
        workers = [worker[1] for worker in self.polite.status()[1]]
        before = [peak_memory(pid) for pid in workers]
        clients = self.floods(10)
        get = text("wordy") + b"\0" + encode_ids(ids)
        data = frame([message(GET, get, number + 1) for number in range(40)])
        for client in clients:
            client.waiting = memoryview(data)
        flood(clients, 3)
        # Each answer is 18 MB; a worker makes one more only when the last ones are taken.
        for pid, peak in zip(workers, before):
            self.assertLess(peak_memory(pid) - peak, 128 * MIB)
        for client in clients:
            client.close()
        self.answered(lambda: self.polite.get("wordy", ids[:10]))

    def answered(self, call):
        """Asks until there is room; a request that is refused is not lost."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except OmenError as error:
                self.assertIn(error.code, (RESOURCE_EXHAUSTED, UNAVAILABLE), error)
                self.assertLess(time.monotonic(), end, error)
                time.sleep(0.01)

    def test_random_frames_of_every_kind(self):
        seed = random.randrange(1 << 31)
        generator = random.Random(seed)
        clients = self.floods(20)
        frames = [random_frame(generator, "c", DIM, RECORDS) for _ in range(200)]
        with self.subTest(seed=seed):
            end = time.monotonic() + 6
            while time.monotonic() < end:
                flood(clients, 0.3, lambda client: generator.choice(frames))
                for index, client in enumerate(clients):
                    if not client.is_open:
                        client.close()
                        clients[index] = Flood(self.path)
                self.assertGreaterEqual(self.polite.count("c")[0], RECORDS)
            # What the frames wrote has ids of its own.
            extra = self.polite.count("c")[0] - RECORDS
            self.polite.write(Client.delete_operation("c", list(range(RECORDS, RECORDS + 1000))))
            self.assertLessEqual(extra, 1000)

    def test_connections_that_wait_between_frames_are_bounded_and_stay(self):
        idle = self.floods(900)
        for client in idle:
            client.waiting = memoryview(frame([message(PING, b"", 1)]))
        flood(idle, 5)
        for client in idle:
            client.socket.setblocking(True)
            self.assertTrue(client.socket.recv(64))


class FrameTime(ClusterTestCase):
    """A frame that has begun must become whole in time."""

    def test_an_unfinished_frame_ends_its_connection_with_a_failure_that_names_it(self):
        folder = self.folder()
        config = folder / "cluster.toml"
        config.write_text('memory_limit = "256MiB"\n[limits]\nframe_timeout_ms = 300\n')
        cluster = self.cluster()
        cluster.start("--shards", 1, "--config", config)
        idle = cluster.connect()
        self.addCleanup(idle.close)
        half = frame([message(PING, b"", 1)])[:-1]
        for data in (half[:5], half, frame_header(1, 64 * MIB) + bytes(1000)):
            with self.subTest(len(data)), contextlib.closing(socket.socket(socket.AF_UNIX)) as raw:
                raw.settimeout(20)
                raw.connect(cluster.socket)
                raw.sendall(data)
                received = b""
                while part := raw.recv(65536):
                    received += part
                code, _, length = struct.unpack_from("<iII", received, HEADER.size + HEAD.size)
                self.assertEqual(code, PROTOCOL_VIOLATION)
                said = received[HEADER.size + HEAD.size + 12:][:length].decode()
                self.assertIn("300 ms", said)
                self.assertIn(f"{len(data)} bytes", said)
        # It has begun no frame.
        self.assertEqual(idle.call(PING)[0], 108)

    def test_limits_that_are_none_are_refused(self):
        for limit, said in [("255MiB", "256 MiB"), ("0", "256 MiB"), ("17TiB", "16 TiB")]:
            done = call("start", "--data", self.folder() / "data", "--memory-limit", limit)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(said, done.stderr)
        for limit in ("lots", "1.5GiB", "-1", "1XB", ""):
            done = call("start", "--data", self.folder() / "data", f"--memory-limit={limit}")
            self.assertEqual(done.returncode, USAGE, done.stderr)
        for line in ('memory_limit = "64MiB"', "memory_limit = 1.5", 'memory_limit = "x"'):
            config = self.folder() / "cluster.toml"
            config.write_text(line + "\n")
            done = call("start", "--data", self.folder() / "data", "--config", config)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("memory", done.stderr)


class SenselessRequests(ClusterTestCase):
    """A request that makes no sense fails alone: its neighbours on the connection are answered."""

    def test_only_the_request_fails(self):
        client = self.start(shards=1).connect()
        self.addCleanup(client.close)
        client.write(Client.create_operation("c", 4))
        key = struct.pack("<QQ", 7, 1)
        vector = struct.pack("<4f", 1, 2, 3, 4)
        long = "n" * 65
        bodies = [
            (WRITE, key + Client.upsert_operation("c", [1], vector, 4, metadata=[b" " * 65_537]),
             "metadata of vector 0 has 65537 bytes"),
            (WRITE, key + Client.create_operation(long, 4), "65 bytes"),
            (WRITE, key + Client.upsert_operation(long, [1], vector, 4), "65 bytes"),
            (WRITE, key + Client.delete_operation(long, [1]), "65 bytes"),
            (WRITE, key + b"\2" + text(long), "65 bytes"),
            (WRITE, key + b"\3" + text("n" * 100_000), "100000 bytes"),
            (WRITE, key + b"\7" + text("c"), "write operation 7"),
            (WRITE, key + b"\xff", "write operation 255"),
            (WRITE, b"short", "write"),
            (WRITE, key + b"\3" + struct.pack("<I", 2) + b"\xff\xfe", "UTF-8"),
            (WRITE, key + b"\3" + struct.pack("<I", 1 << 31) + b"c", "length 2147483648"),
            (GET, text("c") + b"\2" + encode_ids([1]), "truth value is 2"),
            (GET, text("c") + b"\0" + struct.pack("<I", 9000), "9000 ids"),
            (GET, text("c") + b"\0" + encode_ids(["x" * 513]), "513 bytes"),
            (4, text("c") + b"\7\0" + bytes(40), "element type 7"),
            (4, text("c") + b"\0\xff" + bytes(40), "flags"),
            (4, text("c") + struct.pack("<BBIIIIff", 0, 0, 4, 10_000, 1, 0, 0, 1), "bytes"),
            (3, text(long), "65 bytes"),
            (10, text("c") + struct.pack("<I", 1), "list"),
        ]
        for kind, body, said in bodies:
            with self.subTest(kind=kind, said=said):
                number = client.request_id + 1
                client.request_id += 2
                client.socket.sendall(
                    frame([message(kind, body, number), message(PING, b"", number + 1)]))
                with self.assertRaises(OmenError) as caught:
                    client.receive(number)
                self.assertEqual(caught.exception.code, BAD_REQUEST)
                self.assertIn(said, caught.exception.message)
                self.assertEqual(client.receive(number + 1)[0], 108)


if __name__ == "__main__":
    unittest.main()
