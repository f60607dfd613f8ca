"""A client that writes NumPy rows and searches: docs/PROTOCOL.md, as far as measuring needs it."""

import functools
import os
import socket
import struct
import time

import numpy

from omenbench.failure import Failure

# Magic, version, messages, bytes of the body, no checksum of it, no cluster and no epoch, no shard.
FRAME = struct.Struct("<4sHHII40xI")
CHECKSUM = struct.Struct("<I")
MESSAGE = struct.Struct("<IHHQ")
WRITE, SEARCH, CHECKPOINT, FAILURE = 1, 4, 7, 109
ELEMENTS = {"float32": 0, "uint8": 1}
COLLECTION = struct.pack("<I", 7) + b"default"
ID = numpy.dtype([("length", "<u2"), ("number", "<u8")])
RESOURCE_EXHAUSTED = 6


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@functools.cache
def header(size: int) -> bytes:
    """The header of a frame with one message of `size` bytes."""
    fields = FRAME.pack(b"OMN1", 6, 1, size, 0, 0xFFFFFFFF)
    return fields + CHECKSUM.pack(_crc32c(fields))


class Client:
    """One blocking connection with one request in flight."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.number = struct.unpack("<Q", os.urandom(8))[0] | 1
        self.sequence = 0
        # Writes that were told to come back.
        self.refusals = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _take(self, count: int) -> bytes:
        data = self.socket.recv(count, socket.MSG_WAITALL)
        if len(data) != count:
            raise Failure("the coordinator closed the connection")
        return data

    def _call(self, kind: int, body: bytes) -> tuple[int, bytes]:
        size = (MESSAGE.size + len(body) + 7) // 8 * 8
        frame = header(size) + MESSAGE.pack(size, kind, 0, 1)
        self.socket.sendall(frame + body + bytes(size - MESSAGE.size - len(body)))
        _, _, _, size, *_ = FRAME.unpack_from(self._take(FRAME.size + CHECKSUM.size))
        answer = self._take(size)
        return struct.unpack_from("<H", answer, 4)[0], answer[MESSAGE.size:]

    def call(self, kind: int, body: bytes = b"") -> bytes:
        kind, answer = self._call(kind, body)
        if kind == FAILURE:
            code, _, length = struct.unpack_from("<iII", answer)
            raise Failure(f"the cluster refused: {code}: {answer[12:12 + length].decode()}")
        return answer

    def upsert(self, ids, vectors) -> None:
        """Returns when all are durable; waits where a shard asks for patience."""
        records = numpy.zeros(len(ids), ID)
        records["number"] = ids
        operation = b"".join([
            b"\4", COLLECTION,
            struct.pack("<BI", ELEMENTS[str(vectors.dtype)], vectors.shape[1]),
            struct.pack("<I", len(ids)), records.tobytes(),
            numpy.ascontiguousarray(vectors).tobytes(), b"\0",
        ])
        self._write(operation)

    def delete(self, ids) -> None:
        """Returns when all are durably gone."""
        records = numpy.zeros(len(ids), ID)
        records["number"] = ids
        self._write(b"\5" + COLLECTION + struct.pack("<I", len(ids)) + records.tobytes())

    def _write(self, operation: bytes) -> None:
        self.sequence += 1
        pause = 0.01
        while True:
            kind, answer = self._call(
                WRITE, struct.pack("<QQ", self.number, self.sequence) + operation)
            code = self._refusal(kind, answer)
            if code is None:
                return
            if code != RESOURCE_EXHAUSTED:
                raise Failure(f"a write failed with code {code}")
            self.refusals += 1
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    @staticmethod
    def _refusal(kind: int, answer: bytes) -> int | None:
        """The code of a failure, or of the first shard that did not take its part."""
        if kind == FAILURE:
            return struct.unpack_from("<i", answer)[0]
        _, failures = struct.unpack_from("<II", answer, 24)
        return struct.unpack_from("<i", answer, 36)[0] if failures else None

    def search(self, queries, k: int, ef: int = 0) -> list[list[int]]:
        """Ids of the hits of each query; all shards must answer."""
        options = struct.pack("<BBIIIIff", ELEMENTS[str(queries.dtype)], 0, queries.shape[1],
                              len(queries), k, ef, 0.0, float("inf"))
        answer = self.call(SEARCH, COLLECTION + options + queries.tobytes())
        _, failures = struct.unpack_from("<II", answer)
        if failures:
            raise Failure("a shard did not answer")
        query_count, = struct.unpack_from("<I", answer, 10)
        counts = struct.unpack_from(f"<{query_count}I", answer, 14)
        start = 14 + 4 * query_count
        total, = struct.unpack_from("<I", answer, start)
        flags = answer[9]
        if flags & 1:
            raise Failure("ids are numbers here, the answer has texts")
        numbers = numpy.frombuffer(answer, "<u8", total, start + 4 + 4 * total).tolist()
        hits, at = [], 0
        for count in counts:
            hits.append(numbers[at:at + count])
            at += count
        return hits

    def checkpoint(self) -> None:
        self.call(CHECKPOINT)
