"""What is accepted as an id, a value, a text or a file, through the command line and the socket."""

import struct
import unittest

from harness import PARTIAL, ClusterTestCase
from omen_log import read_records, write_records
from omen_wire import QUARANTINED, READY, Client


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
