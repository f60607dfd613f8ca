"""Smallest client of an OmenDB cluster: makes a collection, adds vectors, searches.

docs/PROTOCOL.md gives every byte.  Run: python3 minimal_client.py DATA/omen.sock
"""

import random
import socket
import struct
import sys

WRITE, SEARCH, FAILURE = 1, 4, 109
client, sequence = random.getrandbits(63) + 1, 0
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])


def text(value):
    return struct.pack("<I", len(value.encode())) + value.encode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for bit in (byte >> shift & 1 for byte in data for shift in range(8)):
        crc = crc >> 1 ^ 0x82F63B78 * ((crc ^ bit) & 1)
    return crc ^ 0xFFFFFFFF


def call(kind, body):
    """One message in one frame; returns the body of the answer."""
    size = (16 + len(body) + 7) // 8 * 8
    message = (struct.pack("<IHHQ", size, kind, 0, 1) + body).ljust(size, b"\0")
    # The checksum of the body is not computed, the cluster not known; a client names no shard.
    header = struct.pack("<4sHHII40xI", b"OMN1", 6, 1, size, 0, 0xFFFFFFFF)
    connection.sendall(header + struct.pack("<I", crc32c(header)) + message)
    (size,) = struct.unpack_from("<I", connection.recv(64, socket.MSG_WAITALL), 8)
    answer = connection.recv(size, socket.MSG_WAITALL)
    # Flags would tell of a reply in chunks, which only a large `get` has.
    assert answer[6:8] == b"\0\0", "a reply in chunks: PROTOCOL.md, Replies in chunks"
    if struct.unpack_from("<H", answer, 4)[0] == FAILURE:
        code, _, length = struct.unpack_from("<iII", answer, 16)
        sys.exit(f"error {code}: {answer[28:28 + length].decode()}")
    return answer[16:]


def write(operation):
    global sequence
    sequence += 1  # a write whose answer is lost is sent again with the same number
    return call(WRITE, struct.pack("<QQ", client, sequence) + operation)


rows = {7: (1.0, 0.0, 0.0), 8: (0.0, 1.0, 0.0), 9: (0.0, 0.9, 0.1)}
# dim 3, metric l2, elements f32, codes u8, m 16, ef_construction 128
write(b"\1" + text("example") + struct.pack("<IBBBBI", 3, 0, 0, 1, 16, 128))
ids = struct.pack("<I", len(rows)) + b"".join(struct.pack("<HQ", 0, id) for id in rows)
vectors = b"".join(struct.pack("<3f", *row) for row in rows.values())
answer = write(b"\4" + text("example") + struct.pack("<BI", 0, 3) + ids + vectors + b"\0")
print("upserted", struct.unpack_from("<Q", answer)[0])

# f32, partial answers allowed; dim 3, 1 query, k 2, default ef and recall, any distance
options = struct.pack("<BBIIIIff", 0, 8, 3, 1, 2, 0, 0.0, float("inf"))
answer = call(SEARCH, text("example") + options + struct.pack("<3f", 0.0, 1.0, 0.0))
shards, failures = struct.unpack_from("<II", answer)
assert failures == 0, "some shards did not answer: PROTOCOL.md, Coverage"
(count,) = struct.unpack_from("<I", answer, 18)  # after element, columns, query count, hit counts
distances = struct.unpack_from(f"<{count}f", answer, 22)
numbers = struct.unpack_from(f"<{count}Q", answer, 22 + 4 * count)
for id, distance in zip(numbers, distances):
    print("hit", id, distance)
