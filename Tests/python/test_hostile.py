"""Bad requests and hostile bytes on the socket: a clear error each, and nobody else is disturbed."""

import contextlib
import random
import socket
import struct
import threading
import time
import unittest

from harness import PATIENCE, ClusterTestCase
from omen_wire import (BAD_REQUEST, FAILURE, GET, HEAD, HEADER, NOT_FOUND,
                       PROTOCOL_VIOLATION, SEARCH, UNSUPPORTED_VERSION, WRITE, Client, OmenError,
                       encode_ids, frame_header, text)

DIM = 4


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class Hostile(ClusterTestCase):
    """Each test ends with the same processes, the same records, and a neighbour never refused."""

    def setUp(self):
        cluster = self.start(shards=2)
        self.path = cluster.socket
        self.client = cluster.connect()
        self.addCleanup(self.client.close)
        self.client.write(Client.create_operation("c", DIM))
        self.client.write(Client.create_operation("angles", DIM, metric="cosine"))
        ids = list(range(1, 101))
        vectors = b"".join(floats(i, 1, 2, 3) for i in ids)
        self.client.write(Client.upsert_operation("c", ids, vectors, DIM))
        self.before = self.client.status()
        self.neighbour = Neighbour(self.path)
        self.neighbour.start()

    def tearDown(self):
        self.neighbour.finished = True
        self.neighbour.join()
        self.assertIsNone(self.neighbour.error)
        self.assertGreater(self.neighbour.answers, 0)
        with contextlib.closing(Client(self.path)) as client:
            self.assertEqual(client.count("c")[0], 100)
            pid, workers = client.status()
        self.assertEqual(pid, self.before[0])
        self.assertEqual([w[:4] for w in workers], [w[:4] for w in self.before[1]])

    def refused(self, code, contains, call, *arguments, **options):
        with self.assertRaises(OmenError) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertIn(contains, caught.exception.message)

    def test_vectors_that_cannot_be_stored(self):
        good = floats(1, 2, 3, 4)
        for value, contains in [
            (float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf"), (1e30, "1e+30"),
        ]:
            bad = floats(1, value, 3, 4)
            with self.subTest(value):
                operation = Client.upsert_operation("c", [901, 902], good + bad, DIM)
                self.refused(BAD_REQUEST, "vector 1 element 1", self.client.write, operation)
                self.refused(BAD_REQUEST, contains, self.client.search, "c", bad, DIM)
        zero = Client.upsert_operation("angles", [901], floats(0, 0, 0, 0), DIM)
        self.refused(BAD_REQUEST, "zero", self.client.write, zero)
        short = Client.upsert_operation("c", [901], floats(1, 2), 2)
        self.refused(BAD_REQUEST, "collection c has 4", self.client.write, short)
        self.refused(BAD_REQUEST, "collection c has 4", self.client.search, "c", floats(1, 2), 2)

    def test_requests_outside_the_limits(self):
        query = floats(1, 2, 3, 4)
        for options, contains in [
            ({"k": 0}, "limit is 0"), ({"k": 10_001}, "limit is 10001"), ({"k": 2**32 - 1}, "limit is"),
            ({"ef": 10_001}, "ef is 10001"),
        ]:
            self.refused(BAD_REQUEST, contains, self.client.search, "c", query, DIM, **options)
        for ids, contains in [([], "empty"), (["x" * 513], "513 bytes")]:
            operation = Client.upsert_operation("c", ids, query * len(ids), DIM)
            self.refused(BAD_REQUEST, contains, self.client.write, operation)
        ids = list(range(10_001))
        many = Client.upsert_operation("c", ids, query * len(ids), DIM)
        self.refused(BAD_REQUEST, "10001 ids", self.client.write, many)
        self.refused(BAD_REQUEST, "10001 ids", self.client.get, "c", ids)
        wide = Client.create_operation("wide", 8193)
        self.refused(BAD_REQUEST, "8193", self.client.write, wide)

    def test_metadata_that_is_no_object(self):
        for metadata in [b"[]", b"{", b'{"a":nul}', b'{"a":1}x', b"\xff", b"[" * 60_000]:
            operation = Client.upsert_operation("c", [901, 902], floats(*range(8)), DIM,
                                                metadata=[b"{}", metadata])
            with self.subTest(metadata[:10]):
                self.refused(BAD_REQUEST, "vector 1", self.client.write, operation)

    def test_names_that_are_no_names(self):
        self.refused(NOT_FOUND, "nowhere", self.client.search, "nowhere", floats(1, 2, 3, 4), DIM)
        for name in ["", "A", "a b", "../c", "/etc/passwd", "c/../../x", "a\0b", "ü", "a" * 64 + "/"]:
            with self.subTest(name):
                with self.assertRaises((OmenError, ConnectionError)):
                    client = Client(self.path)
                    self.addCleanup(client.close)
                    client.write(Client.create_operation(name, DIM))

    # Bytes that are no frames.

    def answer(self, data):
        """What comes back for raw bytes until the coordinator closes; None when it stays silent."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(PATIENCE)
            raw.connect(self.path)
            try:
                raw.sendall(data)
            except BrokenPipeError:
                pass
            received = b""
            try:
                while part := raw.recv(65536):
                    received += part
            except socket.timeout:
                return None
            except ConnectionResetError:
                pass
            return received

    def failure(self, received):
        offset = HEADER.size
        _, kind, _, _ = HEAD.unpack_from(received, offset)
        self.assertEqual(kind, FAILURE)
        return struct.unpack_from("<i", received, offset + HEAD.size)[0]

    def test_headers_that_lie_are_answered_and_the_connection_closed(self):
        for header, code in [
            (frame_header(1, 16, magic=0x12345678), PROTOCOL_VIOLATION),
            (frame_header(1, 16, version=1), UNSUPPORTED_VERSION),
            # A whole frame of the version before is shorter than a header.
            (struct.pack("<4sHHII", b"OMN1", 4, 1, 16, 0) + HEAD.pack(16, 8, 0, 1),
             UNSUPPORTED_VERSION),
            (frame_header(1, 16)[:-1] + b"?", PROTOCOL_VIOLATION),
            (frame_header(1, 16, cluster=bytes(15) + b"?"), PROTOCOL_VIOLATION),
            (frame_header(1, 16, shard=0), PROTOCOL_VIOLATION),
            (frame_header(1, 16, epoch=1), PROTOCOL_VIOLATION),
            (frame_header(1, 24) + HEAD.pack(24, 8, 1, 1) + bytes(8), PROTOCOL_VIOLATION),
            (frame_header(0, 16), PROTOCOL_VIOLATION),
            (frame_header(1, 2**32 - 8), PROTOCOL_VIOLATION),
            (frame_header(1, 17), PROTOCOL_VIOLATION),
            (frame_header(1, 16, body_checksum=1) + HEAD.pack(16, 8, 0, 1), PROTOCOL_VIOLATION),
            (frame_header(1, 16) + HEAD.pack(2**32 - 8, 8, 0, 1), PROTOCOL_VIOLATION),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PROTOCOL_VIOLATION),
        ]:
            with self.subTest(header[:16].hex()):
                received = self.answer(header)
                self.assertIsNotNone(received, "the connection stays open")
                self.assertEqual(self.failure(received), code)

    def test_mutated_requests_never_hurt(self):
        seed = random.randrange(1 << 31)
        generator = random.Random(seed)
        bodies = [
            (WRITE, struct.pack("<QQ", 5, 1) + Client.delete_operation("c", [7000])),
            (GET, text("c") + b"\x01" + encode_ids([1, "a"])),
            (SEARCH, text("c") + struct.pack("<BBIIIIff", 0, 0, DIM, 1, 5, 0, 0.0, 1e30)
             + floats(1, 2, 3, 4)),
        ]
        answered = 0
        for round_number in range(300):
            kind, body = generator.choice(bodies)
            data = bytearray(body + bytes(-len(body) % 8))
            # The collection's name stays: what is deleted by chance must not be a record of others.
            for _ in range(generator.randint(1, 4)):
                data[generator.randrange(20 if kind == WRITE else 0, len(data))] ^= (
                    1 << generator.randrange(8))
            length = HEAD.size + len(data)
            frame = frame_header(1, length) + HEAD.pack(length, kind, 0, 1) + data
            with socket.socket(socket.AF_UNIX) as raw:
                raw.settimeout(PATIENCE)
                raw.connect(self.path)
                raw.sendall(frame)
                self.assertNotEqual(raw.recv(16), b"", f"seed {seed}, round {round_number}")
                answered += 1
        self.assertEqual(answered, 300)

    def test_floods_of_garbage_and_half_frames(self):
        generator = random.Random(7)
        for _ in range(20):
            self.answer(generator.randbytes(generator.randint(16, 200_000)))
        silent = []
        for _ in range(50):
            raw = socket.socket(socket.AF_UNIX)
            self.addCleanup(raw.close)
            raw.connect(self.path)
            raw.sendall(frame_header(1, 64 << 20) + b"half")
            silent.append(raw)
        self.assertEqual(self.client.count("c")[0], 100)

    def test_a_client_that_never_reads(self):
        raw = socket.socket(socket.AF_UNIX)
        self.addCleanup(raw.close)
        raw.connect(self.path)
        raw.settimeout(1)
        body = text("c") + b"\x01" + encode_ids(list(range(1, 101)))
        length = (HEAD.size + len(body) + 7) & ~7
        message = HEAD.pack(length, GET, 0, 1) + body
        frame = frame_header(1, length) + message + bytes(length - len(message))
        sent = 0
        with contextlib.suppress(socket.timeout, BrokenPipeError, ConnectionResetError):
            while sent < 512 << 20:
                raw.sendall(frame)
                sent += len(frame)
        # Its replies would be larger: it was stopped long before they filled the memory.
        self.assertLess(sent, 512 << 20)

    def test_clients_that_leave_in_the_middle(self):
        query = floats(1, 2, 3, 4) * 1000
        body = text("c") + struct.pack("<BBIIIIff", 0, 8, DIM, 1000, 50, 0, 0.0, 1e30) + query
        for _ in range(30):
            client = Client(self.path)
            client.send(SEARCH, body)
            client.close()
        self.assertEqual(self.client.count("c")[0], 100)


class Neighbour(threading.Thread):
    """A client that behaves; it must be answered all the time."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.client = Client(path, timeout=PATIENCE)
        self.finished = False
        self.answers = 0
        self.error = None

    def run(self):
        try:
            while not self.finished:
                hits, failures = self.client.search("c", floats(5, 1, 2, 3), DIM, k=3)
                assert not failures and hits[0][0] == (5, 0.0), (hits, failures)
                self.answers += 1
                time.sleep(0.005)
        except Exception as error:  # Reported by the test's end.
            self.error = error
        finally:
            self.client.close()


if __name__ == "__main__":
    unittest.main()
