"""Ctrl-C during an import: it ends, and says what stays."""

import re
import signal
import subprocess
import time
import unittest

import numpy as np

import harness
from harness import ClusterTestCase

ROWS = 1_000_000


class Interrupts(ClusterTestCase):
    def test_an_interrupted_import_says_how_many_vectors_stay(self):
        cluster = self.cluster()
        cluster.start("--shards", 2)
        path = self.folder() / "rows.npy"
        np.save(path, np.random.default_rng(1).integers(0, 256, (ROWS, 64), np.uint8))
        cluster.run("create", "default", "--dim", 64, "--element", "u8")
        process = subprocess.Popen(
            [harness.BINARY, "import", str(path), "--data", str(cluster.data)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 60
            while cluster.json("count")["count"] == 0:
                self.assertLess(time.monotonic(), deadline)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(out, "")
        said = re.search(r"interrupted; (\d+) of 1000000 vectors were acknowledged and stay", err)
        self.assertIsNotNone(said, err)
        self.assertNotIn("may have been written", err)
        self.assertTrue(0 < int(said[1]) < ROWS, err)
        self.assertEqual(cluster.json("count")["count"], int(said[1]))


if __name__ == "__main__":
    unittest.main()
