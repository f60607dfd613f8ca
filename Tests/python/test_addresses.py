"""A cluster where addresses are limited, as batch systems do (`ulimit -v`)."""

import resource
import subprocess
import unittest

from harness import BINARY, OK, SAMPLE, ClusterTestCase

COUNT = 10_000
NAME = "sift"


class Addresses(ClusterTestCase):
    def limited(self, limit: int, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(
            [BINARY, *map(str, arguments)], capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def test_shards_serve_under_a_limit_and_open_again(self):
        for gibibytes in (1, 4):
            with self.subTest(gibibytes=gibibytes):
                cluster = self.cluster()
                for round in range(2):
                    done = self.limited(gibibytes << 30, "start", "--shards", 2, "--data",
                                        cluster.data)
                    self.assertEqual(done.returncode, OK, done.stderr)
                    if round == 0:
                        cluster.run("import", SAMPLE / "sift10k_base.npy", "--collection", NAME,
                                    "--wait-indexed")
                    found = cluster.json(
                        "search", "--queries", SAMPLE / "sift10k_query.npy", "--neighbors",
                        SAMPLE / "sift10k_neighbors.npy", "--collection", NAME)
                    self.assertGreater(found["recall"], 0.95)
                    self.assertEqual([shard["restarts"] for shard in cluster.status()["shards"]],
                                     [0, 0])
                    cluster.stop()

    def test_what_does_not_fit_is_refused_by_the_name_of_the_limit(self):
        cluster = self.cluster()
        limit = 700 << 20
        done = self.limited(limit, "start", "--shards", 1, "--data", cluster.data)
        self.assertEqual(done.returncode, OK, done.stderr)
        # Each collection takes some addresses before it has a single row.
        made = 0
        while True:
            done = cluster.call("add", 1, "--vector", "[1, 2, 3, 4]", "--collection",
                                f"c{made}")
            if done.returncode != OK:
                break
            made += 1
            self.assertLess(made, 256)
        self.assertGreater(made, 2)
        self.assertIn("RLIMIT_AS", done.stderr)
        self.assertIn(str(limit), done.stderr)
        cluster.run("add", 2, "--vector", "[1, 2, 3, 5]", "--collection", "c0")
        shard = cluster.shard(0)
        self.assertEqual((shard["state"], shard["restarts"]), ("ready", 0))
        cluster.run("drop", "c1")
        cluster.run("add", 1, "--vector", "[1, 2, 3, 4]", "--collection", "later")
        cluster.stop()
        done = self.limited(limit, "start", "--data", cluster.data)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(cluster.shard(0)["state"], "ready")


if __name__ == "__main__":
    unittest.main()
