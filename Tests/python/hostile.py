"""Clients that mean harm: they send all they can and read nothing. For tests and scripts/hostile."""

import random
import socket
import struct
import time

from omen_wire import (CHECKPOINT, COUNT, GET, HEAD, LIST, LISTED_IDS, PING, SEARCH, STATUS, WRITE,
                       Client, encode_ids, frame_header, text)

MIB = 1 << 20
# What a coordinator takes beside what it holds for clients; README of cluster/ states it.
BASE = 64 * MIB
CONNECTION = 64 << 10


def peak_memory(pid: int) -> int:
    """Bytes that a process had resident at most."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    raise AssertionError(f"process {pid} has no VmHWM")


def message(kind: int, body: bytes, number: int) -> bytes:
    length = (HEAD.size + len(body) + 7) & ~7
    head = HEAD.pack(length, kind, 0, number)
    return head + body + bytes(length - len(head) - len(body))


def frame(messages: list[bytes]) -> bytes:
    body = b"".join(messages)
    return frame_header(len(messages), len(body)) + body


class Flood:
    """One connection that sends without waiting and reads nothing."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.waiting = memoryview(b"")
        self.sent = 0
        self.is_open = True

    def close(self):
        self.socket.close()

    def push(self) -> bool:
        """Sends what the socket takes of what waits; whether it took anything."""
        if not self.is_open or not self.waiting:
            return False
        try:
            count = self.socket.send(self.waiting)
        except BlockingIOError:
            return False
        except OSError:
            self.is_open = False
            return False
        self.waiting = self.waiting[count:]
        self.sent += count
        return True


def flood(clients: list[Flood], seconds: float, more=lambda client: b"") -> None:
    """Pushes until nobody takes a byte any more, or for so long."""
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 40 and time.monotonic() < end:
        moved = False
        for client in clients:
            if not client.waiting and client.is_open:
                client.waiting = memoryview(more(client))
            moved = client.push() or moved
        quiet = 0 if moved else quiet + 1
        if not moved:
            time.sleep(0.01)


# Messages of a frame.
MESSAGES = (1, 1, 1, 8, 200)


def random_frame(generator: random.Random, collection: str, dim: int, ids: int,
                 sizes=MESSAGES) -> bytes:
    """One frame of some messages of any kind, most of them valid."""
    messages = []
    for _ in range(generator.choice(sizes)):
        number = generator.randrange(1, 1 << 32)
        kind = generator.choice((WRITE, GET, COUNT, SEARCH, LISTED, STATUS, PING, LIST, CHECKPOINT,
                                 77))
        messages.append(message(kind, body_of(kind, generator, collection, dim, ids), number))
    data = frame(messages)
    fate = generator.random()
    if fate < 0.05:
        data = data[:generator.randrange(16, len(data) + 1)]
    elif fate < 0.08:
        data = frame_header(1, 64 * MIB) + generator.randbytes(300_000)
    return data


# Lists of ids; `LIST` in omen_wire is the list of collections.
LISTED = LISTED_IDS


def body_of(kind: int, generator: random.Random, collection: str, dim: int, ids: int) -> bytes:
    vector = struct.pack(f"<{dim}f", *[generator.random() for _ in range(dim)])
    name = text(collection if generator.random() < 0.95 else "n" * generator.randrange(1, 100))
    if kind == WRITE:
        key = struct.pack("<QQ", generator.randrange(1, 1 << 60), 1)
        if generator.random() < 0.5:
            # Beyond the ids that others read.
            return key + Client.delete_operation(collection, [1 << 40])
        number = ids + generator.randrange(1000)
        return key + Client.upsert_operation(collection, [number], vector, dim,
                                             metadata=[b"x" * generator.choice((2, 70_000))])
    if kind == GET:
        count = generator.choice((1, 100, 1000))
        return name + b"\1" + encode_ids([generator.randrange(ids) for _ in range(count)])
    if kind == COUNT:
        return name
    if kind == SEARCH:
        count = generator.choice((1, 1, 20))
        k = generator.choice((0, 1, 10, 1000, 10_001))
        return name + struct.pack("<BBIIIIff", 0, generator.choice((0, 8, 14)), dim, count, k, 0,
                                  0.0, 1e30) + vector * count
    if kind == LISTED:
        return name + struct.pack("<IQQ", generator.randrange(4), 0, 0)
    return b""
