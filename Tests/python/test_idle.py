"""What a cluster does that nobody uses."""

import time
import unittest
from pathlib import Path

from harness import ClusterTestCase


class Idle(ClusterTestCase):
    def reads(self, pid: int) -> int:
        """Calls of read and the like that the process has made."""
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            name, _, count = line.partition(":")
            if name == "syscr":
                return int(count)
        self.fail("no count of reads")

    def test_a_worker_that_nobody_writes_to_reads_nothing_but_its_socket(self):
        cluster = self.start(shards=1)
        cluster.run("add", 1, "--vector", "[1, 2]")
        pid = cluster.shard(0)["pid"]
        before, begin = self.reads(pid), time.monotonic()
        time.sleep(3)
        count, seconds = self.reads(pid) - before, time.monotonic() - begin
        # Two heartbeats a second, of at most three reads each; a look at the memory that the system
        # has left takes ten and more.
        self.assertLessEqual(count, 8 * seconds + 8)


if __name__ == "__main__":
    unittest.main()
