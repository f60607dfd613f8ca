"""The command line: what it prints, what it returns, and what it refuses."""

import json
import os
import pty
import signal
import subprocess
import sys
import unittest

import numpy as np

from harness import (BINARY, FAILURE, OK, PARTIAL, ROOT, SAMPLE, UNAVAILABLE, USAGE,
                     ClusterTestCase, call, missing_shards)
from omen_wire import QUARANTINED


class WithoutCluster(ClusterTestCase):
    def test_names_by_habit_get_a_hint(self):
        for wrong, right in [("--top-k", "--limit"), ("--n-results=3", "--limit"),
                             ("--require-all", "--no-allow-partial"), ("--ef-search", "--ef")]:
            done = call("search", "--vector", "[1]", wrong)
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(f"it is called {right}", done.stderr)

    def test_wrong_usage_ends_with_64(self):
        for arguments in [
            ["nonsense"],
            ["search"],
            ["search", "--vector", "[1]", "--queries", "a.npy"],
            ["search", "--vector", "[1", ],
            ["search", "--vector", "[1]", "-k", "0"],
            ["search", "--vector", "[1]", "-k", "10001"],
            ["search", "--vector", "[1]", "--ef", "10", "--recall", "0.9"],
            ["search", "--vector", "[1]", "--recall", "1.5"],
            ["search", "--vector", "[1]", "--neighbors", "a.npy"],
            ["add", "1"],
            ["add", "", "--vector", "[1]"],
            ["add", "x" * 513, "--vector", "[1]"],
            ["add", "1", "--vector", "[]"],
            ["add", "1", "--vector", "[NaN]"],
            ["add", "1", "--vector", "[1]", "--metadata", "[]"],
            ["add", "1", "--vector", "[1]", "--metadata", "{\"a\"}"],
            ["create", "Upper", "--dim", "4"],
            ["create", "a", "--dim", "0"],
            ["create", "a", "--dim", "4", "--metric", "manhattan"],
            ["create", "a", "--dim", "4", "--element", "u8", "--codes", "f32"],
            ["create", "a", "--dim", "512", "--element", "u8", "--codes", "u4"],
            ["create", "a", "--dim", "63", "--codes", "u4"],
            ["create", "a", "--dim", "255", "--codes", "u1"],
            ["create", "a", "--dim", "512", "--codes", "u2"],
            ["import", "a.npy", "--ids", "b", "--id-start", "4"],
            ["start", "--shards", "0"],
            ["start", "--shards", "65"],
            ["start", "--durability", "maybe"],
            ["start", "--durability-interval-ms", "0"],
        ]:
            with self.subTest(" ".join(arguments)):
                done = call(*arguments, "--data", "/nonexistent/omen")
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_no_cluster_ends_with_69(self):
        folder = self.folder()
        for arguments in [["status"], ["stop"], ["count"], ["collections"], ["checkpoint"],
                          ["search", "--vector", "[1]"], ["add", "1", "--vector", "[1]"],
                          ["import", SAMPLE / "sift10k_query.npy"]]:
            with self.subTest(arguments[0]):
                done = call(*arguments, "--data", folder)
                self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
                self.assertIn(f"no cluster is running at {folder}/omen.sock", done.stderr)
                self.assertEqual(done.stdout, "")

    def test_the_data_directory_is_found_by_rule(self):
        for environment, expected in [
            ({"OMENDB_DATA": "/a"}, "/a/omen.sock"),
            ({"XDG_DATA_HOME": "/b", "HOME": "/c"}, "/b/omendb/omen.sock"),
            ({"XDG_DATA_HOME": "relative", "HOME": "/c"}, "/c/.local/share/omendb/omen.sock"),
        ]:
            self.assertIn(expected, call("status", environment=environment).stderr)
        self.assertIn("/d/omen.sock", call("status", "--data", "/d//./",
                                           environment={"OMENDB_DATA": "/a"}).stderr)
        self.assertIn("/tmp/x/omen.sock", call("status", "--data", "x", directory="/tmp").stderr)

    def test_long_socket_paths_are_refused(self):
        done = call("status", "--data", "/" + "x" * 120)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("the socket's path has 131 bytes, the system allows 107", done.stderr)

    def test_topology_files_are_checked(self):
        path = self.folder() / "topology.toml"
        for text, expected in [
            ("shard = 4", "unknown key 'shard'"),
            ("shards = 65", "shards is 65, expected 1...64"),
            ("shards = \"4\"", "shards is not a whole number"),
            ("durability = \"never\"", "durability is 'never'"),
            ("durability_interval_ms = 0", "durability_interval_ms is 0"),
            ("data = \"\"", "data is not a text"),
            ("limits = 4", "limits is not a table"),
            ("[limits]\nread_timeout = 4", "unknown key 'limits.read_timeout'"),
            ("[limits]\nread_timeout_ms = 0", "limits.read_timeout_ms is 0"),
            ("shards = ", "line 1: "),
        ]:
            with self.subTest(text):
                path.write_text(text)
                done = call("start", "--config", path, "--data", "/nonexistent/omen")
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertIn(f"{path}: {expected}", done.stderr)
        done = call("start", "--config", "/nonexistent.toml")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("/nonexistent.toml", done.stderr)

    def test_every_example_topology_starts(self):
        for path in sorted((ROOT / "cluster").glob("*.toml")):
            with self.subTest(path.name):
                cluster = self.cluster()
                status = cluster.start("--config", path)
                wanted = int(next(line.split("=")[1] for line in path.read_text().split("\n")
                                  if line.startswith("shards")))
                self.assertEqual(len(status["shards"]), wanted)
                cluster.stop()


class Lifecycle(ClusterTestCase):
    def test_start_and_stop(self):
        cluster = self.cluster()
        status = cluster.start("--shards", 3)
        self.assertEqual([shard["state"] for shard in status["shards"]], ["ready"] * 3)
        pid = status["coordinator"]["pid"]
        pids = sorted([pid] + [shard["pid"] for shard in status["shards"]])
        self.assertEqual(cluster.processes(), pids)

        second = cluster.call("start")
        self.assertEqual(second.returncode, FAILURE)
        self.assertIn("already running", second.stderr)
        self.assertIn(f"process {pid}", second.stderr)
        self.assertEqual(cluster.call("verify").returncode, FAILURE)

        cluster.stop()
        self.assertEqual(cluster.processes(), [])
        other = cluster.call("start", "--shards", 4)
        self.assertEqual(other.returncode, FAILURE)
        self.assertIn("has 3 shards, asked were 4", other.stderr)
        self.assertEqual(len(cluster.start()["shards"]), 3)

    def test_a_foreground_cluster_ends_on_a_signal(self):
        cluster = self.cluster()
        process = subprocess.Popen(
            [BINARY, "start", "--foreground", "--shards", "2", "--data", cluster.data],
            stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        for _ in range(500):
            if cluster.call("count").returncode == FAILURE:
                break
        cluster.wait_ready()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(cluster.processes(), [])

    def test_data_survives_stop_and_kill(self):
        cluster = self.start()
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        cluster.run("add", "extra", "--vector", json.dumps([1] * 128), "--metadata", '{"a":1.50}')
        query = ["search", "--queries", SAMPLE / "sift10k_query.npy", "-k", 5]
        before = cluster.json(*query)["hits"]
        for end in [cluster.stop, cluster.kill_all, cluster.kill_all]:
            end()
            self.assertEqual(cluster.run("verify").split()[0], "0")
            for times in cluster.json("verify")["log_times"]:
                self.assertRegex(times["first"], r"^20\d\d-\d\d-\d\dT[\d:]{8}\.\d{6}Z$")
                self.assertLessEqual(times["first"], times["last"])
            cluster.start()
            self.assertEqual(cluster.json(*query)["hits"], before)
            self.assertEqual(cluster.json("count")["count"], 201)
            record = cluster.run("get", "extra")
            self.assertIn('"metadata":{"a":1.50}', record)

    def test_a_dead_shard_is_named_and_returns(self):
        # A long back-off keeps the shard away until its absence was seen.
        path = self.folder() / "slow.toml"
        path.write_text("shards = 2\n[limits]\nrestart_backoff_min_ms = 3000\n")
        cluster = self.cluster()
        cluster.start("--config", path)
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        cluster.kill_shard(1)
        query = ["search", "--queries", SAMPLE / "sift10k_query.npy"]
        answer = cluster.json(*query, expect=PARTIAL)
        self.assertEqual((answer["shards"]["total"], answer["partial"]), (2, True))
        (failed,) = answer["shards"]["failed"]
        self.assertEqual((failed["shard"], failed["code"]), (1, "unavailable"))
        self.assertIn("shard 1", failed["detail"])
        self.assertEqual(len(answer["hits"]), 200)
        self.assertNotEqual(cluster.call(*query, "--no-allow-partial").returncode, OK)
        self.assertIn("shard 1", cluster.call(*query).stderr)
        self.assertEqual(missing_shards(cluster.json("count", expect=PARTIAL)), [1])
        cluster.wait_ready()
        self.assertEqual(cluster.shard(1)["restarts"], 1)
        self.assertEqual(cluster.json("count")["count"], 200)

    def test_a_flipped_byte_is_found_and_the_others_serve(self):
        cluster = self.start()
        cluster.run("import", SAMPLE / "sift10k_query.npy", "--wait-indexed")
        cluster.stop()
        file = max((cluster.data / "shards/001").glob("*.omd"), key=lambda path: path.name)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        report = cluster.json("verify", expect=FAILURE)
        self.assertTrue(any(str(file) == problem["file"] for problem in report["problems"]))
        # Rows are checked behind the opening: it may be found before or after the shard is ready.
        cluster.call("start")
        cluster.wait_until(lambda workers: workers[1][2] == QUARANTINED)
        status = cluster.status()
        self.assertEqual([shard["state"] for shard in status["shards"]], ["ready", "quarantined"])
        self.assertIn("checksum", status["shards"][1]["last_error"].lower())
        answer = cluster.json("search", "--queries", SAMPLE / "sift10k_query.npy", expect=PARTIAL)
        self.assertEqual(missing_shards(answer), [1])


class Terminal(ClusterTestCase):
    """What is there for eyes only."""

    def on_terminal(self, cluster, *arguments, **environment) -> str:
        """Everything a command writes to a terminal that is its stdout and stderr."""
        child, fd = pty.fork()
        if child == 0:
            os.environ.update(environment)
            command = [BINARY, *map(str, arguments), "--data", str(cluster.data)]
            os.execv(command[0], command)
        text = b""
        while True:
            try:
                part = os.read(fd, 65536)
            except OSError:
                # Linux tells the end of a terminal as an I/O error.
                break
            if not part:
                break
            text += part
        os.close(fd)
        self.assertEqual(os.waitpid(child, 0)[1], 0, text)
        return text.decode()

    def test_colour_and_progress_are_for_terminals(self):
        cluster = self.start()
        os.environ.pop("NO_COLOR", None)
        self.assertIn("\x1b[32mready", self.on_terminal(cluster, "status"))
        self.assertNotIn("\x1b", self.on_terminal(cluster, "status", NO_COLOR="1"))
        self.assertNotIn("\x1b", cluster.run("status"))
        file = SAMPLE / "sift10k_query.npy"
        self.assertIn("/200 vectors", self.on_terminal(cluster, "import", file))
        done = cluster.call("import", file)
        self.assertEqual(done.stderr, "")
        self.assertNotIn("\r", done.stdout)


class Records(ClusterTestCase):
    def test_the_documented_client_works_on_a_real_cluster(self):
        cluster = self.start()
        example = ROOT / "docs/examples/minimal_client.py"
        done = subprocess.run([sys.executable, str(example), cluster.socket],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, OK, done.stderr)
        lines = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual([line[:2] for line in lines],
                         [["upserted", "3"], ["hit", "8"], ["hit", "9"]])
        self.assertAlmostEqual(float(lines[1][2]), 0)
        self.assertAlmostEqual(float(lines[2][2]), 0.1**2 + 0.1**2, places=5)

    def test_records_come_back_as_they_went(self):
        cluster = self.start()
        cluster.run("add", "cat", "--vector", "[0.5,1,-2]", "--metadata", '{"legs": 4, "x": 1e2}')
        cluster.run("add", "7", "--vector", "[1,1,1]")
        cluster.run("add", '"7"', "--vector", "[2,2,2]")
        records = cluster.json("get", "cat", "7", '"7"')["records"]
        self.assertEqual([record["id"] for record in records], ["cat", 7, "7"])
        self.assertEqual(records[0]["metadata"], {"legs": 4, "x": 100})
        self.assertEqual(records[0]["vector"], [0.5, 1, -2])
        self.assertIsNone(records[1]["metadata"])

        replaced = cluster.json("add", "cat", "--vector", "[0,0,1]")
        self.assertEqual((replaced["upserted"], replaced["replaced"]), (1, 1))
        self.assertEqual(cluster.run("count").strip(), "3")
        missing = cluster.json("get", "cat", "dog", expect=FAILURE)
        self.assertEqual(missing["missing"], ["dog"])
        self.assertEqual(cluster.json("delete", "cat", "dog")["deleted"], 1)
        self.assertEqual(cluster.run("count").strip(), "2")
        self.assertEqual(cluster.json("clear")["deleted"], 2)
        self.assertEqual(cluster.run("count").strip(), "0")

    def test_bad_requests_change_nothing(self):
        cluster = self.start()
        cluster.run("create", "c", "--dim", 3, "--metric", "cosine")
        for arguments, expected in [
            (["add", "1", "--vector", "[1,2]", "-c", "c"], "collection c has 3"),
            (["add", "1", "--vector", "[0,0,0]", "-c", "c"], "zero"),
            (["add", "1", "--vector", "[1e999,0,0]", "-c", "c"], "expected a finite number"),
            (["search", "--vector", "[1,2]", "-c", "c"], "collection c has 3"),
            (["search", "--vector", "[0,0,0]", "-c", "c"], "zero"),
            (["search", "--vector", "[1]", "-c", "nope"], "nope"),
            (["count", "-c", "nope"], "nope"),
            (["create", "c", "--dim", "4"], "c"),
            (["drop", "nope"], "nope"),
        ]:
            with self.subTest(" ".join(arguments)):
                done = cluster.call(*arguments)
                self.assertEqual(done.returncode, FAILURE, done.stderr)
                self.assertIn(expected, done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertEqual(cluster.run("count", "-c", "c").strip(), "0")

    def test_distances_and_options_of_search(self):
        cluster = self.start()
        for number in range(20):
            cluster.run("upsert", number, "--vector", f"[{number}, 0]", "--metadata",
                        json.dumps({"n": number}))
        hits = cluster.json("search", "--vector", "[3.25, 0]", "-k", 3, "--with-metadata")["hits"]
        self.assertEqual([(hit["id"], hit["distance"], hit["metadata"]) for hit in hits[0]],
                         [(3, 0.0625, {"n": 3}), (4, 0.5625, {"n": 4}), (2, 1.5625, {"n": 2})])
        near = cluster.json("search", "--vector", "[3.25, 0]", "--max-distance", 1, "--exact")
        self.assertEqual([hit["id"] for hit in near["hits"][0]], [3, 4])
        text = cluster.run("search", "--vector", "[3.25, 0]", "-k", 1)
        self.assertEqual(text.split(), ["id", "distance", "3", "0.0625"])
        shown = cluster.json("search", "--vector", "[3.25, 0]", "--limit", 1, "--with-vector")
        self.assertEqual(shown["hits"][0][0]["vector"], [3, 0])
        self.assertEqual(cluster.run("search", "--vector", "[3.25, 0]", "--limit", 1,
                                     "--with-vector").split()[-1], "[3.0,0.0]")
        # Equal distances: the smaller id first.
        tie = cluster.json("search", "--vector", "[0.5, 0]", "-k", 2)["hits"][0]
        self.assertEqual([hit["id"] for hit in tie], [0, 1])

    def test_explain_tells_what_each_shard_decided_and_counted(self):
        cluster = self.start()
        shards = len(cluster.json("status")["shards"])
        cluster.run("import", SAMPLE / "sift10k_base.npy")
        cluster.wait_until(lambda _: sum(
            cluster.shard(shard)["collections"]["default"]["linked"] for shard in range(shards)
        ) == 10_000)
        query = ["search", "--queries", SAMPLE / "sift10k_query.npy", "--explain"]
        count = len(cluster.json(*query)["hits"])
        explained = cluster.json(*query, "--ef", "16")["explain"]
        self.assertEqual([shard["shard"] for shard in explained], list(range(shards)))
        self.assertEqual(sum(shard["rows"] for shard in explained), 10_000)
        for shard in explained:
            self.assertEqual((shard["queries"], shard["walks"], shard["scans"]), (count, count, 0))
            self.assertTrue(10 <= shard["width"] <= 40, shard)
            self.assertTrue(0 < shard["distances"] < count * shard["rows"], shard)
        for shard in cluster.json(*query, "--exact")["explain"]:
            self.assertEqual(shard["scan_reasons"], ["exact search was asked for"])
            self.assertEqual(shard["distances"], count * shard["rows"])
        lines = cluster.run(*query, "--exact").splitlines()
        self.assertEqual(lines[-shards - 1].split()[:3], ["shard", "rows", "linked"])
        self.assertNotIn("explain", cluster.json(*query[:-1]))


class Imports(ClusterTestCase):
    def setUp(self):
        self.random = np.random.default_rng(20)
        self.files = self.folder()
        self.db = self.start()

    def vectors(self) -> np.ndarray:
        return self.random.integers(0, 100, (50, 4)).astype(np.float64)

    def stored(self, collection: str, ids) -> np.ndarray:
        records = self.db.json("get", *ids, "-c", collection)["records"]
        return np.array([record["vector"] for record in records])

    def test_every_number_type_of_npy(self):
        for dtype in ["f8", "f4", "f2", "u1", "i1"]:
            with self.subTest(dtype):
                vectors = self.vectors().astype(dtype)
                path = self.files / f"{dtype}.npy"
                np.save(path, vectors)
                summary = self.db.json("import", path, "-c", dtype, "--wait-indexed")
                self.assertEqual(summary["vectors"], 50)
                self.assertGreaterEqual(summary["indexed_seconds"], summary["seconds"])
                np.testing.assert_array_equal(self.stored(dtype, range(50)), vectors)

    def test_fvecs_bvecs_and_jsonl(self):
        vectors = self.vectors()
        heads = np.full((50, 1), 4, "<i4")
        np.hstack([heads.view("<f4"), vectors.astype("<f4")]).tofile(self.files / "a.fvecs")
        np.hstack([heads.view("u1").reshape(50, 4), vectors.astype("u1")]).tofile(
            self.files / "a.bvecs")
        with open(self.files / "a.jsonl", "w") as file:
            for number, vector in enumerate(vectors):
                line = {"id": number, "vector": list(vector), "metadata": {"n": [number, "é"]}}
                file.write(json.dumps(line) + "\n")
        for kind in ["fvecs", "bvecs", "jsonl"]:
            with self.subTest(kind):
                self.db.run("import", self.files / f"a.{kind}", "-c", kind)
                np.testing.assert_array_equal(self.stored(kind, range(50)), vectors)
        record = self.db.json("get", 7, "-c", "jsonl")["records"][0]
        self.assertEqual(record["metadata"], {"n": [7, "é"]})

    def test_ids_and_metadata_from_other_files(self):
        np.save(self.files / "v.npy", self.vectors())
        np.save(self.files / "ids.npy", np.arange(1000, 1050))
        (self.files / "ids.txt").write_text("".join(f"name {n}\n" for n in range(50)))
        with open(self.files / "m.jsonl", "w") as file:
            for number in range(50):
                file.write(json.dumps({"id": f"m{number}", "metadata": {"n": number}}) + "\n")
        run, path = self.db.run, self.files / "v.npy"
        run("import", path, "-c", "a", "--ids", self.files / "ids.npy")
        run("import", path, "-c", "a", "--ids", self.files / "ids.txt")
        run("import", path, "-c", "a", "--id-start", 5000)
        run("import", path, "-c", "a", "--metadata", self.files / "m.jsonl")
        self.assertEqual(run("count", "-c", "a").strip(), "200")
        found = self.db.json("get", 1049, "name 49", 5049, "m49", "-c", "a")["records"]
        self.assertEqual(len(found), 4)
        self.assertEqual(found[3]["metadata"], {"n": 49})

    def test_recall_speaks_of_ids_where_they_are_given(self):
        self.db.run("import", SAMPLE / "sift10k_base.npy")
        search = ["search", "--queries", SAMPLE / "sift10k_query.npy",
                  "--neighbors", SAMPLE / "sift10k_neighbors.npy"]
        self.assertGreaterEqual(self.db.json(*search)["recall"], 0.95)
        self.assertEqual(self.db.json(*search, "--exact", "-k", 100)["recall"], 1)
        names = self.files / "names.txt"
        names.write_text("".join(f"v{n}\n" for n in range(10_000)))
        self.db.run("import", SAMPLE / "sift10k_base.npy", "-c", "named", "--ids", names)
        answer = self.db.json(*search, "-c", "named", "--ids", names, "--exact")
        self.assertEqual(answer["recall"], 1)
        done = self.db.call(*search, "-c", "named")
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn("--ids FILE tells which row has which id", done.stderr)

    def test_broken_files_are_named_and_nothing_is_written(self):
        good = self.files / "good.npy"
        np.save(good, self.vectors())
        np.save(self.files / "fortran.npy", np.asfortranarray(self.vectors()))
        np.save(self.files / "object.npy", np.array([[None]]), allow_pickle=True)
        np.save(self.files / "flat.npy", np.zeros(4))
        np.save(self.files / "none.npy", np.zeros((0, 4)))
        (self.files / "short.npy").write_bytes(good.read_bytes()[:-1])
        (self.files / "two.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
        (self.files / "bad.jsonl").write_text('{"vector": [1]}\n{"vector": [1, 2]}\n')
        (self.files / "plain.csv").write_text("1,2\n")
        for arguments, expected in [
            (["fortran.npy"], "fortran order"), (["object.npy"], "object"),
            (["flat.npy"], "1 dimensions"), (["none.npy"], "no vector"),
            (["short.npy"], "needs 1600 bytes after the header, 1599 are there"),
            (["bad.jsonl"], "line 2: vector has 2 elements"), (["two.jsonl"], "no \"vector\""),
            (["plain.csv"], "expected a .npy"), (["absent.npy"], "absent.npy"),
            (["good.npy", "--metadata", self.files / "two.jsonl"], "has 2 records"),
            (["good.npy", "--ids", self.files / "two.jsonl"], "has 2 ids"),
        ]:
            with self.subTest(expected):
                done = self.db.call("import", self.files / arguments[0], *arguments[1:])
                self.assertEqual(done.returncode, FAILURE, done.stderr)
                self.assertIn(expected, done.stderr)
        self.assertEqual(self.db.json("collections")["collections"], [])

    def test_of_equal_ids_the_last_vector_stays(self):
        vectors = self.random.integers(0, 1000, (9000, 4)).astype("f4")
        ids = self.random.integers(0, 3000, 9000)
        np.save(self.files / "again.npy", vectors)
        np.save(self.files / "ids.npy", ids)
        summary = self.db.json("import", self.files / "again.npy", "-c", "again",
                               "--ids", self.files / "ids.npy")
        last = {number: row for row, number in enumerate(ids)}
        self.assertEqual(summary["vectors"], 9000)
        self.assertEqual(summary["duplicates"], 9000 - len(last))
        some = sorted(last)[:200]
        np.testing.assert_array_equal(
            self.stored("again", some), vectors[[last[number] for number in some]])

    def test_what_was_acknowledged_before_a_failure_stays(self):
        vectors = self.random.random((5000, 4)).tolist()
        vectors[4500][2] = 1e30
        (self.files / "large.jsonl").write_text(
            "".join(json.dumps({"vector": vector}) + "\n" for vector in vectors))
        done = self.db.call("import", self.files / "large.jsonl")
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn("line 4501 element 2 is 1e+30", done.stderr)
        count = self.db.json("count")["count"]
        self.assertIn(f"{count} of 5000 vectors were acknowledged and stay", done.stderr)
        self.assertGreater(count, 0)
        self.assertLess(count, 4501)


if __name__ == "__main__":
    unittest.main()
