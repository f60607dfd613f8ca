"""More vectors than may wait to be linked: whoever writes waits, and everything gets in."""

import os
import pty
import subprocess
import unittest

import numpy as np

from harness import BINARY, SAMPLE, ClusterTestCase

COUNT = 10_000
NAME = "sift"


class BackPressure(ClusterTestCase):
    def start_narrow(self, rows: int, shards: int):
        """A cluster whose shards take no more vectors while `rows` wait to be linked."""
        cluster = self.cluster()
        done = cluster.call("start", "--shards", shards, environment={
            "OMENDB_HOT_ROW_COUNT_MAX": str(rows)})
        self.assertEqual(done.returncode, 0, done.stderr)
        return cluster

    def test_an_import_of_more_than_may_wait_ends_whole(self):
        cluster = self.start_narrow(100, shards=2)
        # Twice the same vectors under other ids: 20,000 rows where 200 may wait.
        for start in range(0, 2 * COUNT, COUNT):
            done = cluster.json("import", SAMPLE / "sift10k_base.npy", "--collection", NAME,
                                "--id-start", start)
            self.assertEqual(done["vectors"], COUNT)
        found = [shard["collections"][NAME]["vectors"] for shard in cluster.status()["shards"]]
        self.assertEqual(sum(found), 2 * COUNT)

    def test_the_progress_line_says_that_it_waits_until_vectors_are_linked(self):
        cluster = self.start_narrow(1, shards=1)
        # Many batches, each of which leaves no room for the next until it is linked.
        file = self.folder() / "base.npy"
        np.save(file, np.tile(np.load(SAMPLE / "sift10k_base.npy"), (8, 1)))
        primary, secondary = pty.openpty()
        try:
            process = subprocess.Popen(
                [BINARY, "import", file, "--collection", NAME, "--data", cluster.data],
                stdout=subprocess.PIPE, stderr=secondary)
            os.close(secondary)
            shown = b""
            while True:
                try:
                    piece = os.read(primary, 1 << 16)
                except OSError:
                    break
                if not piece:
                    break
                shown += piece
            output, _ = process.communicate()
        finally:
            os.close(primary)
        self.assertEqual(process.returncode, 0, shown)
        self.assertIn(b"80000 vectors", output)
        self.assertIn(b"waiting until some", shown)


if __name__ == "__main__":
    unittest.main()
