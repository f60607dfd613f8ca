"""What is accepted as an id, a value, a text or a file, through the command line and the socket."""

import json
import os
import struct
import unittest

import numpy as np

from harness import FAILURE, OK, PARTIAL, UNAVAILABLE, USAGE, ClusterTestCase, call
from omen_log import read_records, write_records
from omen_wire import QUARANTINED, READY, Client


class Chunks(ClusterTestCase):
    """A reply that fits no frame comes as several messages."""

    def test_the_records_of_a_get_come_in_order_however_many_messages_they_take(self):
        client = self.start(shards=2).connect()
        self.addCleanup(client.close)
        client.write(Client.create_operation("c", 1))
        ids = list(range(1200))
        metadata = [b'{"text":"' + b"x" * 60_000 + b'","n":%d}' % one for one in ids]
        for first in range(0, len(ids), 300):
            part = slice(first, first + 300)
            vectors = struct.pack("<300f", *ids[part])
            client.write(Client.upsert_operation("c", ids[part], vectors, 1,
                                                 metadata=metadata[part]))
        found, failures = client.get("c", ids[::-1])
        self.assertEqual(failures, [])
        self.assertGreater(client.chunk_count, 60)
        self.assertEqual(list(found), ids[::-1])
        for one in ids:
            self.assertEqual(found[one], (metadata[one], struct.pack("<f", one)))
        # What fits a frame is one message.
        client.chunk_count = 0
        self.assertEqual(list(client.get("c", ids[:1000])[0]), ids[:1000])
        self.assertEqual(client.chunk_count, 0)


class Ids(ClusterTestCase):
    """Text ids are bytes: those that look alike are two."""

    def test_look_alike_ids_of_a_file_are_all_kept(self):
        cluster = self.start(shards=2)
        ids = [f"{i} {form}" for i in range(40) for form in ("caf\u00e9", "cafe\u0301")]
        lines = self.folder() / "lines.jsonl"
        lines.write_text("".join(
            json.dumps({"id": one, "vector": [i, 1]}, ensure_ascii=i % 3 == 0) + "\n"
            for i, one in enumerate(ids)))
        done = cluster.json("import", lines)
        self.assertEqual((done["vectors"], done["duplicates"]), (80, 0))
        self.assertEqual(cluster.json("count")["count"], 80)
        names = self.folder() / "ids.txt"
        names.write_text("\n".join(ids))
        vectors = self.folder() / "vectors.npy"
        np.save(vectors, np.random.default_rng(0).random((80, 2), np.float32))
        done = cluster.json("import", vectors, "--ids", names, "-c", "other")
        self.assertEqual((done["vectors"], done["duplicates"]), (80, 0))
        found = cluster.json("get", *ids[:6])
        self.assertEqual([one["id"] for one in found["records"]], ids[:6])
        done = cluster.json("get", "e\u0301", "\u00e9", ids[0], expect=FAILURE)
        self.assertEqual(done["missing"], ["e\u0301", "\u00e9"])
        self.assertEqual(cluster.json("delete", *ids[::2])["deleted"], 40)

    def test_look_alike_ids_of_one_request_are_all_kept(self):
        cluster = self.start(shards=1)
        cluster.run("create", "c", "--dim", "1")
        client = cluster.connect()
        ids = ["\u212b", "\u00c5", "A\u030a", "\u00c5"]
        vectors = struct.pack("<4f", 1, 2, 3, 4)
        counts, _, _ = client.write(Client.upsert_operation("c", ids, vectors, 1))
        self.assertEqual(counts, (3, 0, 0))
        found, _ = client.get("c", ids[:3])
        self.assertEqual([struct.unpack("<f", found[one][1])[0] for one in ids[:3]], [1, 4, 3])
        # Equal distances come in the order of the bytes.
        client.write(Client.upsert_operation("c", ids[:3], struct.pack("<3f", 1, 1, 1), 1))
        hits, _ = client.search("c", struct.pack("<f", 1), 1)
        self.assertEqual([one for one, _ in hits[0]], sorted(ids[:3], key=str.encode))
        client.close()

    def test_a_quoted_id_is_what_stands_between_the_quotes(self):
        cluster = self.start(shards=1)
        cluster.run("add", '"\u03017"', "--vector", "[1]")
        self.assertEqual(cluster.json("get", "\u03017")["records"][0]["id"], "\u03017")


class Paths(ClusterTestCase):
    """Paths that are not UTF-8: another text would name another directory."""

    def names(self):
        """Bytes that are no UTF-8: a stray byte, Latin-1, half a character, a surrogate."""
        return [b"d\xff", b"caf\xe9", b"\xe2\x82", b"\xed\xa0\x80"]

    def refused(self, done, shown):
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertIn("not UTF-8", done.stderr)
        self.assertIn(shown, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_they_are_refused_first_wherever_they_stand(self):
        folder = self.folder()
        for name in self.names():
            path = os.fsdecode(os.fsencode(folder) + b"/" + name)
            shown = "\\x" + f"{name[-1]:02x}"
            for arguments in (
                ["start", "--shards", "1", "--data", path],
                ["start", "--shards", "1", f"--data={path}"],
                ["start", "--shards", "1", "--data", folder / "a", "--socket", path],
                ["start", "--shards", "1", "--data", folder / "a", "--config", path],
                ["import", path, "--data", folder / "a"],
                ["import", "a.npy", "--ids", path, "--data", folder / "a"],
                ["import", "a.jsonl", "--metadata", path, "--data", folder / "a"],
                ["search", "--queries", path, "--data", folder / "a"],
                ["verify", "--data", path],
                ["stop", "--data", path],
                ["add", os.fsdecode(name), "--vector", "[1]", "--data", folder / "a"],
                ["add", "1", "--vector", "[1]", "--metadata", path, "--data", folder / "a"],
            ):
                with self.subTest(" ".join(map(str, arguments))):
                    self.refused(call(*arguments), shown)
            for variable in ("OMENDB_DATA", "XDG_DATA_HOME", "HOME"):
                environment = {"HOME": "", variable: path}
                self.refused(call("start", "--shards", "1", environment=environment), shown)
                # What stands before it in the order of places is enough.
                done = call("status", "--data", folder / "a", environment=environment)
                self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
            os.mkdir(path)
            self.refused(call("start", "--shards", "1", "--data", "x", directory=path), shown)
            self.assertEqual(os.listdir(path), [])
            os.rmdir(path)
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_zero_byte_in_a_topology_file_is_refused(self):
        folder = self.folder()
        for key in ("data", "socket"):
            (folder / "a.toml").write_text(f'{key} = "x\\u0000y"\n')
            done = call("start", "--config", folder / "a.toml", *(
                ["--data", folder / "d"] if key == "socket" else []))
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("zero byte", done.stderr)
        self.assertEqual([one.name for one in folder.iterdir()], ["a.toml"])

    def test_relative_paths_in_a_topology_file_begin_at_its_directory(self):
        cluster = self.cluster()
        folder = cluster.data.parent
        (folder / "a.toml").write_text('data = "data"\nshards = 1\n')
        done = call("start", "--config", "a.toml", directory=folder)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(len(cluster.status()["shards"]), 1)
        cluster.stop()
        done = call("start", "--config", folder / "a.toml", directory="/")
        self.assertEqual(done.returncode, OK, done.stderr)
        cluster.stop()

    def test_names_that_are_utf8_are_taken_as_they_are(self):
        for name in ("caf\u00e9", "cafe\u0301", "\u0301x", "a b", "\U0001f600"):
            cluster = self.cluster()
            cluster.data = cluster.data.parent / name / "data"
            cluster.start("--shards", "1")
            self.assertEqual(os.listdir(cluster.data.parent.parent), [name])
            cluster.run("add", "1", "--vector", "[1]")
            cluster.stop()
            cluster.run("verify")


class Values(ClusterTestCase):
    def test_vectors_that_are_nearly_zero_are_refused_by_name(self):
        cluster = self.start(shards=2)
        folder = self.folder()
        for metric in ("l2", "cosine", "ip"):
            cluster.run("create", metric, "--dim", "3", "--metric", metric)
        rows = np.ones((5, 3))
        rows[3] = [1e-60, -1e-50, 0]
        np.save(folder / "f8.npy", rows)
        np.save(folder / "f4.npy", np.where(rows == 1, 1, rows * 1e30).astype(np.float32))
        (folder / "a.jsonl").write_text(
            '{"vector": [1, 1, 1]}\n' * 3 + '{"vector": [0.0, -0, -1.5e-50]}\n')
        for name in ("l2", "cosine", "ip"):
            for file, row in (("f8.npy", "vector 3"), ("f4.npy", "vector 3"), ("a.jsonl", "line 4")):
                with self.subTest(f"{name} {file}"):
                    done = cluster.call("import", folder / file, "-c", name)
                    self.assertEqual(done.returncode, FAILURE)
                    self.assertIn(f"{row} is nearly zero: its largest element", done.stderr)
            for vector in ("[0, 0, 1e-50]", "[1e-20, 0, 0]", "[-1e-16, 9e-16, 0]"):
                done = cluster.call("add", "1", "--vector", vector, "-c", name)
                self.assertEqual(done.returncode, FAILURE)
                self.assertIn("is nearly zero", done.stderr)
                done = cluster.call("search", "--vector", vector, "-c", name)
                self.assertEqual(done.returncode, FAILURE)
                self.assertIn("is nearly zero", done.stderr)
            self.assertEqual(cluster.json("count", "-c", name)["count"], 0)
        cluster.run("add", "1", "--vector", "[0, -0.0, 0e5]", "-c", "l2")
        self.assertEqual(cluster.json("get", "1", "-c", "l2")["records"][0]["vector"], [0, 0, 0])


def line(**members) -> str:
    return json.dumps(members, ensure_ascii=False) + "\n"


class Files(ClusterTestCase):
    """Files that are wrong somewhere far behind: named, and nothing of them is stored."""

    COUNT = 6000

    def refused(self, *arguments, says) -> None:
        done = self.db.call("import", *arguments)
        self.assertEqual(done.returncode, FAILURE, done.stdout)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, done.stderr)
        self.assertEqual(self.db.json("collections")["collections"], [])

    def test_numbers_of_late_rows(self):
        self.db, folder = self.start(shards=2), self.folder()
        rows = np.ones((self.COUNT, 3), np.float32)
        for value, text in ((np.nan, "nan"), (np.inf, "inf"), (-1e16, "-1e+16")):
            rows[5500, 1] = value
            np.save(folder / "a.npy", rows)
            np.save(folder / "b.npy", rows.astype(np.float64))
            heads = np.full((self.COUNT, 1), 3, "<i4").view("<f4")
            np.hstack([heads, rows]).tofile(folder / "a.fvecs")
            for name in ("a.npy", "b.npy", "a.fvecs"):
                with self.subTest(f"{name} {text}"):
                    self.refused(folder / name, says=[
                        f"{name}: vector 5500 element 1 is {text}", "nothing of the file is stored"])
        rows[5500] = 0
        np.save(folder / "zero.npy", rows)
        self.refused(folder / "zero.npy", "--metric", "cosine", says="vector 5500 is zero")

    def test_numbers_of_late_rows_that_the_collection_does_not_take(self):
        self.db, folder = self.start(shards=2), self.folder()
        self.db.run("create", "bytes", "--dim", "3", "--element", "u8")
        rows = np.ones((self.COUNT, 3), np.float32)
        rows[5500, 2] = 0.5
        np.save(folder / "half.npy", rows)
        done = self.db.call("import", folder / "half.npy", "-c", "bytes")
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn("vector 5500 element 2 is 0.5, the collection stores u8", done.stderr)
        (folder / "half.jsonl").write_text(line(vector=[1, 2, 3]) * 10 + line(vector=[1, 2, 300]))
        done = self.db.call("import", folder / "half.jsonl", "-c", "bytes")
        self.assertIn("line 11 element 2 is 300.0, the collection stores u8", done.stderr)
        self.assertEqual(self.db.json("count", "-c", "bytes")["count"], 0)

    def test_late_lines(self):
        self.db, folder = self.start(shards=2), self.folder()
        good = line(id=1, vector=[1, 2], metadata={"a": 1})
        file = folder / "a.jsonl"
        for bad, says in (
            ('{"id": 2, "vector": [1, 2, 3]}', "vector has 3 elements, those before have 2"),
            ('{"id": 2, "vector": [1, 2', "expected ',' or ']'"),
            ('{"id": 2, "vector": [1, 2]', "expected ',' or '}'"),
            ('{"id": 2}', 'no "vector"'),
            ('{"vector": [1, 2]}', 'line 1 has an "id" and line 6001 has none'),
            ('{"id": -2, "vector": [1, 2]}', "id is -2"),
            ('{"id": "' + "x" * 513 + '", "vector": [1, 2]}', "text id has 513 bytes"),
            ('{"id": 2, "vector": [1, 2], "metadata": {"a": \'}', "expected a value"),
            ('{"id": 2, "vector": [1, 2], "metadata": {"a": "\\ud800"}}', "half of a surrogate pair"),
            ('{"id": 2, "vector": [1, 2], "more": 1}', 'unknown key "more"'),
        ):
            for end in ("", "\n", "\r\n"):
                file.write_text(good * self.COUNT + bad + end, newline="")
                self.refused(file, says=[says, "6001"])

    def test_what_stays_is_told_where_numbers_are_read_late(self):
        self.db, folder = self.start(shards=2), self.folder()
        for number, (bad, says) in enumerate((
            ('{"vector": [1, NaN]}', "expected a value"),
            ('{"vector": [1, "2"]}', "expected a value"),
            ('{"vector": [1, 1e99]}', "element 1 is inf"),
        )):
            name = f"c{number}"
            (folder / "a.jsonl").write_text(line(vector=[1, 2]) * self.COUNT + bad)
            done = self.db.call("import", folder / "a.jsonl", "-c", name)
            self.assertEqual(done.returncode, FAILURE)
            self.assertIn("line 6001", done.stderr)
            self.assertIn(says, done.stderr)
            count = self.db.json("count", "-c", name)["count"]
            self.assertIn(f"{count} of 6001 vectors were acknowledged and stay", done.stderr)

    def test_lines_of_metadata_and_ids(self):
        self.db, folder = self.start(shards=2), self.folder()
        np.save(folder / "v.npy", np.ones((4, 2)))
        lines, names = folder / "m.jsonl", folder / "ids.txt"
        lines.write_text(line(id=1, metadata={}) + line(metadata={}) * 3)
        self.refused(folder / "v.npy", "--metadata", lines,
                     says='line 1 has an "id" and line 2 has none')
        lines.write_text(line(metadata={}) * 3 + '{"metadata": {"a": 1, "a": 2}}')
        self.refused(folder / "v.npy", "--metadata", lines, says=["line 4", 'name "a" twice'])
        lines.write_text(line(metadata={}) * 3 + line(vector=[1]))
        self.refused(folder / "v.npy", "--metadata", lines, says='line 4: a "vector"')
        names.write_bytes(b"a\nb\n\xff\nd\n")
        self.refused(folder / "v.npy", "--ids", names, says="ids.txt: line 3: not UTF-8")
        names.write_bytes(b"a\nb\n\nd\n")
        self.refused(folder / "v.npy", "--ids", names, says="ids.txt: line 3: text id has 0 bytes")
        lines.write_text("".join(line(id=i, vector=[i, 1]) for i in range(4)))
        (folder / "n.jsonl").write_text("".join(line(id=i % 3, metadata={}) for i in range(4)))
        self.refused(lines, "--metadata", folder / "n.jsonl",
                     says=["m.jsonl line 4 has id 3", "n.jsonl line 4 has 0"])

    def test_marks_and_line_ends(self):
        self.db, folder = self.start(shards=1), self.folder()
        mark = b"\xef\xbb\xbf"
        (folder / "v.jsonl").write_bytes(
            mark + b'{"vector": [1, 0]}\r\n\r\n{"vector": [0, 1]}')
        (folder / "ids.txt").write_bytes(mark + b"a\r\n7\r\n")
        (folder / "m.jsonl").write_bytes(mark + b'{"metadata": {"n": 1}}\r\n{"metadata": null}\r\n')
        self.db.run("import", folder / "v.jsonl", "--ids", folder / "ids.txt", "--metadata",
                    folder / "m.jsonl")
        found = self.db.json("get", "a", "7")
        self.assertEqual([(one["id"], one["metadata"]) for one in found["records"]],
                         [("a", {"n": 1}), (7, None)])
        for name in ("v.jsonl", "ids.txt", "m.jsonl"):
            text = (folder / name).read_bytes()[3:].decode()
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
                files = {one: folder / one for one in ("v.jsonl", "ids.txt", "m.jsonl")}
                files[name] = folder / f"other-{name}"
                files[name].write_bytes(text.encode(encoding))
                done = self.db.call("import", files["v.jsonl"], "--ids", files["ids.txt"],
                                    "--metadata", files["m.jsonl"], "-c", "other")
                self.assertEqual(done.returncode, FAILURE)
                self.assertRegex(done.stderr, f"other-{name}: the text is in UTF-16")
        self.assertEqual(self.db.json("collections")["collections"][1:], [])
        topology = folder / "cluster.toml"
        for text, code in ((mark + b"shards = 2\n", OK), ("shards = 2\n".encode("utf-16"), USAGE)):
            topology.write_bytes(text)
            cluster = self.cluster()
            done = cluster.call("start", "--config", topology)
            self.assertEqual(done.returncode, code, done.stderr)
            if code == OK:
                self.assertEqual(len(cluster.status()["shards"]), 2)
            else:
                self.assertIn("UTF-16", done.stderr)

    def test_records_that_an_import_replaces_are_told(self):
        self.db, folder = self.start(shards=2), self.folder()
        np.save(folder / "a.npy", np.ones((100, 2)))
        self.assertEqual(self.db.json("import", folder / "a.npy")["replaced"], 0)
        done = self.db.json("import", folder / "a.npy", "--id-start", "60")
        self.assertEqual((done["replaced"], done["duplicates"]), (40, 0))
        self.assertIn("100 records that were there are replaced: ids count from 0",
                      self.db.run("import", folder / "a.npy"))
        ids = folder / "ids.npy"
        np.save(ids, np.r_[np.arange(150, 200), np.arange(150, 200)])
        done = self.db.json("import", folder / "a.npy", "--ids", ids)
        self.assertEqual((done["replaced"], done["duplicates"]), (10, 50))


class LoggedRecords(ClusterTestCase):
    """Records in the log whose checksums hold and which no shard would have logged."""

    def impossible(self):
        def floats(*values):
            return struct.pack(f"<{len(values)}f", *values)

        upsert = Client.upsert_operation
        return [
            ("element 1 is nan", upsert("c", [1], floats(1, float("nan")), 2)),
            ("vector 0 is zero", upsert("c", [1], floats(0, 0), 2)),
            ("have 3 dimensions", upsert("c", [1], floats(1, 2, 3), 3)),
            ("vectors of u8", upsert("c", [1], b"\1\2", 2, element=1)),
            ("not JSON", upsert("c", [1], floats(1, 2), 2, metadata=[b"{"])),
            ("collection x does not exist", upsert("x", [1], floats(1, 2), 2)),
            ("collection x does not exist", Client.delete_operation("x", [1])),
            ("another schema", Client.create_operation("c", 5)),
            ("write operation 77 is unknown", b"\x4d"),
        ]

    def test_what_cannot_be_applied_is_damage_and_the_other_shards_serve(self):
        cluster = self.start(shards=2)
        cluster.run("create", "c", "--dim", "2", "--metric", "cosine")
        cluster.kill_all()
        (log,) = (cluster.data / "shards/001").glob("log-*.wal")
        creation = read_records(log)
        for reason, operation in self.impossible():
            with self.subTest(reason):
                write_records(log, [*creation, operation])
                shards = cluster.start(expect=PARTIAL)["shards"]
                self.assertEqual([shard["state"] for shard in shards], ["ready", "quarantined"])
                self.assertIn(log.name, shards[1]["last_error"])
                self.assertIn(f"record {len(creation) + 1}: ", shards[1]["last_error"])
                self.assertIn(reason, shards[1]["last_error"])
                workers = cluster.members()[1]
                self.assertEqual([workers[0][2], workers[1][2:4]], [READY, (QUARANTINED, 0)])
                cluster.call("stop")

    def test_what_was_logged_right_is_served(self):
        cluster = self.start(shards=1)
        cluster.run("add", "1", "--vector", "[1, 2]", "--metadata", '{"a": "é"}')
        cluster.kill_all()
        (log,) = (cluster.data / "shards/000").glob("log-*.wal")
        write_records(log, read_records(log))
        cluster.start()
        self.assertEqual(cluster.json("get", "1")["records"][0]["metadata"], {"a": "é"})


if __name__ == "__main__":
    unittest.main()
