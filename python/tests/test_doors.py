"""One rule for texts at every door: the package in a process and on a cluster, the program's `add`
and `import`, and the socket."""

import json
import struct
import sys
from pathlib import Path

import pytest

import omendb
from omendb._database import _run_cluster
from omendb.errors import DatabaseError

sys.path.append(str(Path(__file__).resolve().parents[2] / "Tests" / "python"))
from omen_wire import Client, OmenError

DEEP_ENOUGH = '{"a":' + "[" * 31 + "]" * 31 + "}"
TOO_DEEP = '{"a":' + "[" * 32 + "]" * 32 + "}"
# Two bytes in UTF-8: 65,536 bytes in all.
LONG_ENOUGH = '{"a":"' + "é" * 32_764 + '"}'
TOO_LONG = '{"a":"' + "é" * 32_764 + 'x"}'

ACCEPTED = {
    "plain": '{"a":1,"b":[true,null,"x"],"c":{"d":-0.5e-3}}',
    "empty": "{}",
    "zero byte": '{"a":"x\\u0000y","\\u0000":1}',
    "pair": '{"a":"\\ud83d\\ude00","\\ud83d\\ude00":1}',
    "raw pair": '{"a":"😀"}',
    "noncharacter": '{"a":"\uffff\ufdd0"}',
    "names that look alike": '{"é":1,"e\u0301":2}',
    "one name in two objects": '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    "largest number": '{"a":1.7976931348623157e308,"b":-1e308}',
    "long whole number": '{"a":1' + "0" * 308 + "}",
    "smallest number": '{"a":1e-999}',
    "32 levels": DEEP_ENOUGH,
    "65,536 bytes": LONG_ENOUGH,
    "many names": "{" + ",".join(f'"n{i}":{i}' for i in range(500)) + "}",
}
REFUSED = {
    "half a pair": ('{"a":"\\ud800"}', "surrogate"),
    "second half": ('{"a":"x\\udfffy"}', "surrogate"),
    "halves the wrong way": ('{"a":"\\udc00\\ud800"}', "surrogate"),
    "half and a letter": ('{"a":"\\ud800\\u0041"}', "surrogate"),
    "half a pair in a name": ('{"b":{"\\udbff":1}}', "surrogate"),
    "33 levels": (TOO_DEEP, "deeper than 32"),
    "65,537 bytes": (TOO_LONG, "65537 bytes"),
    "infinite": ('{"a":1e999}', "JSON|64 bits"),
    "minus infinite": ('{"a":[-1E400]}', "JSON|64 bits"),
    "too long a whole number": ('{"a":1' + "0" * 309 + "}", "64 bits"),
    "not a number": ('{"a":NaN}', "JSON"),
    "infinity": ('{"a":-Infinity}', "JSON"),
    "list": ("[1]", "expected a"),
    "text": ('"x"', "expected a"),
}
# What no Python object stands for.
REFUSED_TEXT = {
    "name twice": ('{"a":1,"b":2,"a":3}', 'name "a" twice'),
    "name twice, escaped": ('{"a":1,"\\u0061":3}', "twice"),
    "name twice below": ('{"x":[{"é":1,"\\u00e9":1}]}', "twice"),
    "name twice among many": (
        "{" + ",".join(f'"n{i}":{i}' for i in range(500)) + ',"n7":0}',
        "twice",
    ),
    "zero byte": ('{"a":"x\x00y"}', "control"),
    "line break": ('{"a":"x\ny"}', "JSON|control"),
    "trailing comma": ('{"a":1,}', "JSON"),
    "single quotes": ("{'a':1}", "JSON"),
    "plus": ('{"a":+1}', "JSON"),
    "leading zero": ('{"a":01}', "JSON"),
    "two objects": ('{"a":1} {"b":2}', "JSON"),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    db = omendb.DB(tmp_path_factory.mktemp("doors") / "db", shards=2, dim=1)
    yield db
    db.stop()


class Doors:
    """Stores one record through each door; raises `ValidationError` where it is refused."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.folder = folder
        self.memory = omendb.DB(dim=1)
        self.client = Client(cluster.path + "/omen.sock")
        self.texts = {
            "add": self.program_add,
            "import": self.program_import,
            "import --metadata": self.program_metadata,
            "socket": self.socket,
        }
        self.objects = {
            f"{kind} {name}": (db, call)
            for kind, db in (("memory", self.memory), ("cluster", cluster))
            for name, call in (
                ("add", lambda db, id, value: db.add(id, [1.0], value)),
                ("add_batch", lambda db, id, value: db.add_batch([[1.0]], [id], [value])),
                ("update", self.update),
            )
        }

    @staticmethod
    def update(db, id, value):
        db.add(id, [1.0])
        assert db.update(id, metadata=value)

    def program(self, *words):
        try:
            _run_cluster([*words, "--data", self.cluster.path])
        except DatabaseError as error:
            raise omendb.ValidationError(str(error)) from error

    def lines(self, text):
        path = self.folder / "lines.jsonl"
        path.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")
        return str(path)

    def program_add(self, id, text):
        if "\0" in text:
            raise omendb.ValidationError("no argument holds it: control character")
        if len(text.encode()) > 100_000:
            raise omendb.ValidationError("no argument is so long")
        self.program("add", id, "--vector", "[1]", "--metadata", text)

    def program_import(self, id, text):
        path = self.lines(f'{{"id": {json.dumps(id)}, "vector": [1], "metadata": {text}}}')
        self.program("import", path)

    def program_metadata(self, id, text):
        vectors = self.folder / "v.fvecs"
        vectors.write_bytes(struct.pack("<if", 1, 1.0))
        path = self.lines(f'{{"id": {json.dumps(id)}, "metadata": {text}}}')
        self.program("import", str(vectors), "--metadata", path)

    def socket(self, id, text):
        operation = Client.upsert_operation(
            "default",
            [id],
            struct.pack("<f", 1),
            1,
            metadata=[text.encode("utf-8", "surrogatepass")],
        )
        try:
            _, _, failures = self.client.write(operation)
        except OmenError as error:
            raise omendb.ValidationError(error.message) from error
        except ConnectionError as error:
            # A request that cannot be decoded may end the connection.
            self.client.close()
            self.client = Client(self.cluster.path + "/omen.sock")
            raise omendb.ValidationError(f"not JSON: {error}") from error
        if failures:
            raise omendb.ValidationError(failures[0][2])


@pytest.fixture
def doors(cluster, tmp_path):
    cluster.clear()
    doors = Doors(cluster, tmp_path)
    yield doors
    doors.client.close()
    doors.memory.close()


def test_what_one_door_takes_all_take_and_give_back(doors):
    for name, text in ACCEPTED.items():
        expected = json.loads(text)
        for door, call in doors.texts.items():
            call("x", text)
            found = doors.cluster.get("x")
            assert found is not None and found.metadata == expected, (name, door)
            assert doors.cluster.update("x", vector=[2.0]), (name, door)
            assert doors.cluster.delete("x")
        for door, (db, call) in doors.objects.items():
            call(db, "x", expected)
            assert db.get("x").metadata == expected, (name, door)
            assert db.update("x", vector=[2.0]) and db.get("x").metadata == expected
            db.delete("x")
    for id, text in enumerate(ACCEPTED.values()):
        doors.memory.add(id, [1.0], json.loads(text))
    doors.memory.save(doors.folder / "saved")
    with omendb.DB.load(doors.folder / "saved") as saved:
        for id, text in enumerate(ACCEPTED.values()):
            assert saved.get(id).metadata == json.loads(text)


def test_what_one_door_refuses_all_refuse(doors):
    for name, (text, says) in (REFUSED | REFUSED_TEXT).items():
        for door, call in doors.texts.items():
            with pytest.raises(omendb.ValidationError) as refusal:
                call("x", text)
            assert matches(says, str(refusal.value)), (name, door, str(refusal.value))
            assert len(doors.cluster) == 0, (name, door)
    for name, (text, says) in REFUSED.items():
        try:
            value = json.loads(text)
        except ValueError:
            continue
        for door, (db, call) in doors.objects.items():
            with pytest.raises(omendb.ValidationError) as refusal:
                call(db, "x", value)
            assert matches(says, str(refusal.value)), (name, door, str(refusal.value))
            db.delete("x")
            assert len(db) == 0, (name, door)


def matches(says: str, text: str) -> bool:
    known = (*says.split("|"), "not JSON", "no argument", "expected an object")
    return any(one in text for one in known)


IDS = ["x" * 512, "é" * 256, " ", "a b", "\t", "é", "e\u0301", "x\u0000y", "\u0000", "7", "\uffff"]
NOT_IDS = {"": "0 bytes", "x" * 513: "513 bytes", "é" * 257: "514 bytes", "\ud800": "surrogate"}


def test_ids_are_the_same_at_all_doors(doors):
    for id in IDS:
        for call in (doors.program_import, doors.program_metadata, doors.socket):
            call(id, "{}")
            assert doors.cluster.list_ids() == [id]
            assert doors.cluster.get(id).id == id and id in doors.cluster
            assert doors.cluster.delete(id)
        for db, call in doors.objects.values():
            call(db, id, {})
            assert db.list_ids() == [id]
            assert db.search([1.0])[0].id == id
            db.delete(id)
        if "\0" not in id:
            doors.program("add", f'"{id}"' if id == "7" else id, "--vector", "[1]")
            assert doors.cluster.list_ids() == [id]
            doors.cluster.delete(id)
    for id, says in NOT_IDS.items():
        for door in (doors.program_import, doors.program_metadata):
            with pytest.raises(omendb.ValidationError, match=says):
                door(id, "{}")
        for db, call in doors.objects.values():
            with pytest.raises(omendb.ValidationError, match=says):
                call(db, id, {})
            for read in (db.get, db.delete, lambda one, db=db: db.get_many([one])):
                with pytest.raises(omendb.ValidationError, match=says):
                    read(id)
    assert doors.cluster.list_ids() == [] and doors.memory.list_ids() == []


def test_names_of_collections_are_the_same_at_all_doors(doors):
    for name in ("", "x" * 65, "A", "é", "e\u0301", "a b", "a/b", "..", "a\0b", "\ud800", "\u212a"):
        for db in (doors.memory, doors.cluster):
            with pytest.raises(omendb.ValidationError, match="collection name"):
                db.collection(name)
            with pytest.raises(omendb.ValidationError, match="collection name"):
                db.drop(name)
        if not {"\0", "\ud800"} & set(name):
            with pytest.raises(omendb.ValidationError, match="collection name"):
                doors.program("create", name, "--dim", "1")
    assert doors.cluster.collections() == ["default"]
