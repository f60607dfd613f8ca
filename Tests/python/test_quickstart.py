"""What a newcomer types first: the demonstration, and that the sample it uses is what it says."""

import os
import re
import subprocess
import sys
import unittest

import numpy as np

import harness


class Quickstart(unittest.TestCase):
    def test_the_demonstration_ends_with_its_line(self):
        done = subprocess.run(
            [sys.executable, harness.ROOT / "scripts/quickstart.py"], capture_output=True,
            text=True, timeout=300, env={**os.environ, "OMEN_CLUSTER": harness.BINARY})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.strip().split("\n")
        self.assertIn("partial answer: 7 of 8 shards, missing [4]", lines)
        self.assertRegex(lines[-1], re.compile(
            r"^10000 vectors, 8 shards, recall@10 \d\.\d+, p50 [\d.]+ ms, p99 [\d.]+ ms, "
            r"recovery [\d.]+ s, acknowledged vectors lost 0$"))


class Sample(unittest.TestCase):
    def test_the_neighbours_are_exact(self):
        base = np.load(harness.SAMPLE / "sift10k_base.npy").astype(np.int64)
        query = np.load(harness.SAMPLE / "sift10k_query.npy").astype(np.int64)
        neighbors = np.load(harness.SAMPLE / "sift10k_neighbors.npy")
        self.assertEqual((base.shape, query.shape, neighbors.shape),
                         ((10_000, 128), (200, 128), (200, 100)))
        for row in range(0, len(query), 10):
            distances = ((base - query[row]) ** 2).sum(axis=1)
            # Stable: equal distances stay in the order of the rows.
            np.testing.assert_array_equal(
                np.argsort(distances, kind="stable")[:100], neighbors[row])


if __name__ == "__main__":
    unittest.main()
