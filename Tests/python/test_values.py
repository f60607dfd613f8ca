"""What is accepted as an id, a value, a text or a file, through the command line and the socket."""

import json
import struct
import unittest

import numpy as np

from harness import FAILURE, PARTIAL, ClusterTestCase
from omen_log import read_records, write_records
from omen_wire import QUARANTINED, READY, Client


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
