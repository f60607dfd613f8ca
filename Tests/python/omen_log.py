"""Segments of a shard's log (docs/FORMATS.md) in plain Python: to change what stands in them and
make the checksums right again."""

import struct
from pathlib import Path

from checksum import crc32c

FRAME = struct.Struct("<4sIIIQQQIII")
# Byte count of the rest, client, sequence, version, count of versions.
RECORD = struct.Struct("<IQQQI")
HEADER_BYTES = 64


def read_records(path: Path) -> list[bytes]:
    """The operations in a segment, without their request keys and versions."""
    data = path.read_bytes()
    place = HEADER_BYTES
    records = []
    while data[place : place + 4] == b"OBAT":
        _, kind, size, count, *_ = FRAME.unpack_from(data, place)
        payload = data[place + FRAME.size : place + FRAME.size + size]
        for _ in range(count):
            length = struct.unpack_from("<I", payload)[0]
            versions = RECORD.unpack_from(payload)[4]
            records.append(payload[RECORD.size + 8 * versions : 4 + length])
            payload = payload[4 + length :]
        place += FRAME.size + size
    return records


def write_records(path: Path, operations: list[bytes]) -> None:
    """Replaces everything behind the header by one batch of these operations, and a mark that calls
    them durable."""
    header = path.read_bytes()[:HEADER_BYTES]
    first = struct.unpack_from("<Q", header, 40)[0]
    # Identity and nonce.
    seed = crc32c(header[12:40])
    payload = b"".join(
        RECORD.pack(RECORD.size - 4 + len(one), 99, number, number, 0) + one
        for number, one in enumerate(operations, 1)
    )
    last = first + len(operations)
    frame, checksum = _frame(payload, len(operations), first, first - 1, 0, seed)
    mark, _ = _frame(b"", 0, last, last - 1, checksum, seed)
    path.write_bytes(header + frame + mark)


def _frame(payload, count, first, durable, previous, seed) -> tuple[bytes, int]:
    head = FRAME.pack(b"OBAT", 1, len(payload), count, first, durable, 0, previous,
                      crc32c(payload, seed), 0)[:-4]
    checksum = crc32c(head, seed)
    return head + struct.pack("<I", checksum) + payload, checksum
