"""A cluster that is overloaded says so, and when to come back."""

import contextlib
import json
import os
import signal
import socket
import struct

import pytest

import omendb


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def search_frame(count: int) -> bytes:
    """`count` searches of two dimensions in one frame, as in docs/PROTOCOL.md."""
    body = (
        struct.pack("<I", 7)
        + b"default"
        + struct.pack("<BBIIIIff2f", 0, 8, 2, 1, 1, 0, 0.0, 1e30, 1, 2)
    )
    size = (16 + len(body) + 7) // 8 * 8
    messages = b"".join(
        (struct.pack("<IHHQ", size, 4, 0, number + 1) + body).ljust(size, b"\0")
        for number in range(count)
    )
    header = struct.pack("<4sHHII40xI", b"OMN1", 6, count, len(messages), 0, 0xFFFFFFFF)
    return header + struct.pack("<I", crc32c(header)) + messages


@contextlib.contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_overloaded_cluster_tells_when_to_come_back(tmp_path):
    db = omendb.DB(tmp_path / "db", shards=1)
    try:
        db.add(1, [1.0, 2.0])
        status = omendb._database._run_cluster(["status", "--data", str(tmp_path / "db"), "--json"])
        shard = json.loads(status)["shards"][0]
        with contextlib.ExitStack() as stack:
            stack.enter_context(stopped(shard["pid"]))
            for place in range(2):
                flood = stack.enter_context(socket.socket(socket.AF_UNIX))
                flood.connect(str(tmp_path / "db" / "omen.sock"))
                flood.sendall(search_frame(500))
                # There is no place for the last searches of the second: their refusals come first.
                flood.settimeout(30)
                if place == 1:
                    assert flood.recv(16)
            with pytest.raises(omendb.DatabaseError) as caught:
                db.search([1.0, 2.0])
            assert caught.value.code == 6, caught.value
            assert 0 < caught.value.retry_after <= 1
        with pytest.raises(omendb.ValidationError) as caught:
            db.search([1.0])
        assert caught.value.retry_after is None
        assert db.search([1.0, 2.0])[0].id == 1
    finally:
        db.stop()
