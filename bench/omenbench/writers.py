"""Several connections that write a data set in order, and what is certainly stored meanwhile."""

import threading
import time

from omenbench.client import Client
from omenbench.curves import percentile


class Frontier:
    """Hands out batches of rows in order, and knows up to where all of them are acknowledged."""

    def __init__(self, first: int, end: int, batch: int):
        self.next = first
        self.end = end
        self.batch = batch
        self.open: set[int] = set()
        self.lock = threading.Lock()

    def take(self) -> range | None:
        """The next rows to write; None when all were handed out."""
        with self.lock:
            if self.next >= self.end:
                return None
            rows = range(self.next, min(self.next + self.batch, self.end))
            self.open.add(rows.start)
            self.next = rows.stop
            return rows

    def done(self, rows: range) -> None:
        with self.lock:
            self.open.remove(rows.start)

    @property
    def acknowledged(self) -> int:
        """Every row before this one is acknowledged."""
        with self.lock:
            return min(self.open, default=self.next)


class Writers:
    """`count` connections that upsert `base[first:end]` under the rows' numbers as ids."""

    def __init__(self, socket: str, base, count: int, batch: int, first: int = 0,
                 end: int | None = None):
        self.base = base
        self.socket = socket
        self.frontier = Frontier(first, len(base) if end is None else end, batch)
        self.row_count = self.frontier.end - first
        self.latencies: list[float] = []
        self.refusals = 0
        self.errors: list[Exception] = []
        self.threads = [threading.Thread(target=self._write) for _ in range(count)]
        self.begin = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        self.begin = time.perf_counter()
        for thread in self.threads:
            thread.start()

    def finish(self) -> None:
        for thread in self.threads:
            thread.join()
        self.seconds = time.perf_counter() - self.begin
        if self.errors:
            raise self.errors[0]

    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def summary(self) -> dict:
        return {
            "vectors": self.row_count,
            "seconds": self.seconds,
            "vectors_per_second": self.row_count / self.seconds,
            "write_p50_ms": percentile(self.latencies, 0.5) * 1000,
            "write_p99_ms": percentile(self.latencies, 0.99) * 1000,
            "told_to_wait": self.refusals,
        }

    def _write(self) -> None:
        try:
            with Client(self.socket) as client:
                while not self.errors and (rows := self.frontier.take()):
                    begin = time.perf_counter()
                    client.upsert(rows, self.base[rows.start:rows.stop])
                    self.latencies.append(time.perf_counter() - begin)
                    self.frontier.done(rows)
                self.refusals += client.refusals
        # A thread's failure is told by `finish`.
        except Exception as error:
            self.errors.append(error)
