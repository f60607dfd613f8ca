"""The cluster's protocol (docs/PROTOCOL.md) in plain Python, for tests that must not share code
with the system they test."""

import os
import socket
import struct

from checksum import crc32c

# Magic, version, messages, bytes of the body, its checksum, cluster, epoch, 16 zero bytes, shard; the
# checksum of these follows.
HEADER_FIELDS = struct.Struct("<IHHII16sQ16xI")
HEADER = struct.Struct(HEADER_FIELDS.format + "I")
HEAD = struct.Struct("<IHHQ")
MAGIC = 0x314E4D4F
VERSION = 6
# In place of a cluster, an epoch and a shard.
NO_CLUSTER, NO_EPOCH, NO_SHARD = bytes(16), 0, 0xFFFFFFFF
WRITE, GET, COUNT, SEARCH, LIST, STATUS, CHECKPOINT, PING, STOP = range(1, 10)
LISTED_IDS = 10
WRITTEN, RECORDS, COUNTED, HITS, COLLECTIONS, SHARD_STATUS, CLUSTER_STATUS, DONE, FAILURE = range(
    101, 110
)
# Flags of a message.
CHUNK, MORE = 1, 2
# States of a worker.
READY, BACKOFF, FAILED, QUARANTINED = 2, 5, 6, 7
METRICS = {"l2": 0, "cosine": 1, "ip": 2}
CODES = {"f32": 0, "u8": 1, "u4": 2, "u1": 3}
BAD_REQUEST, NOT_FOUND, UNAVAILABLE, UNKNOWN_OUTCOME, RESOURCE_EXHAUSTED = 1, 2, 4, 5, 6
UNSUPPORTED_VERSION, PROTOCOL_VIOLATION = 9, 11


class OmenError(Exception):
    """A failure the server reported, with its code."""

    def __init__(self, code, message, retry_after_ms=0):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


def frame_header(count, length, *, magic=MAGIC, version=VERSION, body_checksum=0,
                 cluster=NO_CLUSTER, epoch=NO_EPOCH, shard=NO_SHARD):
    """The header of a frame of `count` messages that take `length` bytes."""
    fields = HEADER_FIELDS.pack(magic, version, count, length, body_checksum, cluster, epoch, shard)
    return fields + struct.pack("<I", crc32c(fields))


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def encode_id(value):
    if isinstance(value, int):
        return struct.pack("<HQ", 0, value)
    data = value.encode()
    return struct.pack("<H", len(data)) + data


def encode_ids(ids):
    return struct.pack("<I", len(ids)) + b"".join(encode_id(i) for i in ids)


class Reader:
    def __init__(self, data):
        self.data = data
        self.offset = 0

    def unpack(self, form):
        form = struct.Struct("<" + form)
        values = form.unpack_from(self.data, self.offset)
        self.offset += form.size
        return values if len(values) > 1 else values[0]

    def take(self, count):
        self.offset += count
        return bytes(self.data[self.offset - count : self.offset])

    def counted(self):
        return self.take(self.unpack("I"))

    def id(self):
        length = self.unpack("H")
        return self.take(length).decode() if length else self.unpack("Q")

    def coverage(self):
        total, count = self.unpack("II")
        failures = []
        for _ in range(count):
            shard, code, _ = self.unpack("IiI")
            failures.append((shard, code, self.counted().decode()))
        return total, failures


class Client:
    """One blocking connection; replies come back in the order of the requests that wait."""

    def __init__(self, path, timeout=600.0, client_id=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.client_id = client_id or struct.unpack("<Q", os.urandom(8))[0] | 1
        self.sequence = 0
        self.request_id = 0
        self.buffer = bytearray()
        self.replies = {}
        # The chunks so far of replies whose last chunk has not come.
        self.chunks = {}
        # How many came.
        self.chunk_count = 0
        # Known from the first reply.
        self.cluster = NO_CLUSTER

    def close(self):
        self.socket.close()

    def send(self, kind, body=b""):
        self.request_id += 1
        length = (HEAD.size + len(body) + 7) & ~7
        message = HEAD.pack(length, kind, 0, self.request_id) + body
        message += bytes(length - len(message))
        self.socket.sendall(frame_header(1, length, cluster=self.cluster) + message)
        return self.request_id

    def receive(self, request_id):
        while request_id not in self.replies:
            self._read_frame()
        kind, body = self.replies.pop(request_id)
        if kind == FAILURE:
            reader = Reader(body)
            code, retry_after_ms = reader.unpack("iI")
            raise OmenError(code, reader.counted().decode(), retry_after_ms)
        if isinstance(body, list):
            return kind, [Reader(chunk) for chunk in body]
        return kind, Reader(body)

    def _fill(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError("the coordinator closed the connection")
            self.buffer += data

    def _read_frame(self):
        self._fill(HEADER.size)
        magic, version, count, length, _, cluster, epoch, shard, checksum = HEADER.unpack_from(
            self.buffer)
        assert magic == MAGIC and version == VERSION, (magic, version)
        assert checksum == crc32c(self.buffer[: HEADER_FIELDS.size])
        assert (epoch, shard) == (NO_EPOCH, NO_SHARD), (epoch, shard)
        assert self.cluster in (NO_CLUSTER, cluster), (self.cluster, cluster)
        self.cluster = cluster
        self._fill(HEADER.size + length)
        body = bytes(self.buffer[HEADER.size : HEADER.size + length])
        del self.buffer[: HEADER.size + length]
        offset = 0
        for _ in range(count):
            size, kind, flags, request_id = HEAD.unpack_from(body, offset)
            data = body[offset + HEAD.size : offset + size]
            offset += size
            if flags:
                self._take_chunk(kind, flags, request_id, data)
            else:
                self.replies[request_id] = (kind, data)

    def _take_chunk(self, kind, flags, request_id, data):
        """The records of a get that fit no frame: several messages in place of one."""
        assert kind == RECORDS and flags in (CHUNK, CHUNK | MORE), (kind, flags)
        chunks = self.chunks.setdefault(request_id, [])
        (number,) = struct.unpack_from("<Q", data)
        assert number == len(chunks), (number, len(chunks))
        chunks.append(data[8:])
        self.chunk_count += 1
        if flags == CHUNK:
            self.replies[request_id] = (kind, self.chunks.pop(request_id))

    def call(self, kind, body=b""):
        return self.receive(self.send(kind, body))

    # Writes.

    def next_key(self):
        self.sequence += 1
        return (self.client_id, self.sequence)

    def write(self, operation, key=None):
        """Returns ((upserted, replaced, deleted), shards, failures)."""
        key = key or self.next_key()
        _, reader = self.call(WRITE, struct.pack("<QQ", *key) + operation)
        counts = reader.unpack("QQQ")
        total, failures = reader.coverage()
        return counts, total, failures

    @staticmethod
    def create_operation(
        name, dim, metric="l2", element=0, codes="u8", m=16, ef_construction=128
    ):
        kinds = METRICS[metric], element, CODES[codes]
        return b"\x01" + text(name) + struct.pack("<I4BI", dim, *kinds, m, ef_construction)

    @staticmethod
    def upsert_operation(name, ids, vectors, dim, element=0, metadata=None):
        """`vectors` are the raw little-endian elements of all rows."""
        body = b"\x04" + text(name) + struct.pack("<BI", element, dim) + encode_ids(ids) + vectors
        if metadata is None:
            return body + b"\x00"
        return body + b"\x01" + b"".join(struct.pack("<I", len(m)) + m for m in metadata)

    @staticmethod
    def delete_operation(name, ids):
        return b"\x05" + text(name) + encode_ids(ids)

    @staticmethod
    def clear_operation(name):
        return b"\x03" + text(name)

    # Reads.

    def get(self, name, ids, with_vector=True):
        """Returns ({id: (metadata, vector)}, failures)."""
        body = text(name) + struct.pack("<B", with_vector) + encode_ids(ids)
        _, readers = self.call(GET, body)
        found = {}
        for reader in readers if isinstance(readers, list) else [readers]:
            _, failures = reader.coverage()
            _, count = reader.unpack("BI")
            for _ in range(count):
                record = reader.id()
                assert record not in found, f"id {record} came twice"
                metadata = reader.counted()
                found[record] = (metadata, reader.counted())
        return found, failures

    def count(self, name):
        _, reader = self.call(COUNT, text(name))
        count = reader.unpack("Q")
        return count, reader.coverage()[1]

    def search(
        self, name, vectors, dim, count=1, k=10, ef=0, element=0, exact=False, allow_partial=True
    ):
        """Returns ([[(id, distance)]], failures)."""
        flags = (1 if exact else 0) | (8 if allow_partial else 0)
        body = (
            text(name)
            + struct.pack("<BBIIIIff", element, flags, dim, count, k, ef, 0.0, float("inf"))
            + vectors
        )
        _, reader = self.call(SEARCH, body)
        _, failures = reader.coverage()
        _, flags = reader.unpack("BB")
        counts = [reader.unpack("I") for _ in range(reader.unpack("I"))]
        total = reader.unpack("I")
        distances = [reader.unpack("f") for _ in range(total)]
        if flags & 1:
            ids = [reader.id() for _ in range(total)]
        else:
            ids = [reader.unpack("Q") for _ in range(total)]
        hits, start = [], 0
        for length in counts:
            hits.append(list(zip(ids[start : start + length], distances[start : start + length])))
            start += length
        return hits, failures

    def status(self):
        """Returns (coordinator pid, [(shard, pid, state, restarts, last error)])."""
        _, reader = self.call(STATUS)
        pid, _ = reader.unpack("IQ")
        reader.counted()
        workers = []
        for _ in range(reader.unpack("I")):
            shard, worker, state, restarts = reader.unpack("IIBI")
            error = reader.counted().decode()
            if reader.unpack("B"):
                reader.unpack("QQQQQ")
                for _ in range(reader.unpack("I")):
                    reader.counted()
                    reader.unpack("IBBBBI")
                    reader.unpack("QQQQQHQB")
                    # A table of recalls, three curves, or none.
                    if reader.unpack("B"):
                        for _ in range(3):
                            for _ in range(reader.unpack("B")):
                                reader.unpack("If")
            workers.append((shard, worker, state, restarts, error))
        return pid, workers
