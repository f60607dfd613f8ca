"""Databases: in memory, on a path, or on a cluster of processes."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from . import _library, _session
from ._apart import note_written
from ._collection import Collection
from ._convert import choice, name_of, path_of, whole
from ._library import bundled_cluster, call_apart
from ._records import Wanted
from .errors import DatabaseError, Locked, OmenDBError, Unavailable, ValidationError

_SOCKET = "omen.sock"
_MANIFEST = "cluster.manifest"


class DB(Collection):
    """A database, and its collection `default`, which the methods of `Collection` speak of.

    - `DB()`: in memory.
    - `DB(path)`: on disk, in this process. What a call wrote survives a power cut when it has
      returned, unless `durability` says otherwise. A path that a running cluster serves is
      attached to.
    - `DB(path, shards=4)`: on disk, in a cluster of as many processes, which is started unless it
      runs. It goes on when this process ends, for others to attach to, until `stop()` or
      `omen-cluster stop`. Without a path it has a temporary one and ends with `close()`.

    Any number may be open at once, each with any number of collections. Close it, or use it in a
    `with` statement.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[Any] | None = None,
        *,
        dim: int | None = None,
        metric: str | None = None,
        codes: str | None = None,
        element: str | None = None,
        m: int | None = None,
        ef_construction: int | None = None,
        shards: int | None = None,
        durability: str = "always",
        interval_ms: int = 100,
    ) -> None:
        choice("durability", durability, _library.DURABILITIES)
        self._path = None if path is None else path_of(path)
        self._end_temporary: weakref.finalize[..., DB] | None = None
        self._is_cluster = False
        session = self._open(shards, durability, whole("interval_ms", interval_ms, 1))
        try:
            wanted = Wanted(dim, metric, element, codes, m, ef_construction)
            super().__init__(session, "default", wanted)
        except BaseException:
            session.close()
            self._remove_temporary()
            raise

    def _open(self, shards: int | None, durability: str, interval_ms: int) -> _session.Session:
        if shards is not None:
            return self._start(whole("shards", shards, 1), durability, interval_ms)
        if self._path is None:
            return _session.open_at(None, _library.DURABILITIES["none"], 0)
        if self._is_listening():
            return self._attach()
        try:
            return _session.open_at(self._path, _library.DURABILITIES[durability], interval_ms)
        except Locked:
            # A cluster that is just starting.
            if not self._is_listening():
                raise
            return self._attach()

    # Clusters.

    @property
    def _socket(self) -> str:
        return str(Path(self._path or "") / _SOCKET)

    def _is_listening(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self._socket)
            except OSError:
                return False
        return True

    def _attach(self) -> _session.Session:
        self._is_cluster = True
        return _session.connect(self._socket)

    def _start(self, shards: int, durability: str, interval_ms: int) -> _session.Session:
        if self._path is None:
            self._path = tempfile.mkdtemp(prefix="omendb-")
            # Also when nobody closes it.
            self._end_temporary = weakref.finalize(self, _end_cluster, self._path)
        if self._is_listening():
            session = self._attach()
            running = _shard_count(self._path)
            if running != shards:
                session.close()
                raise ValidationError(
                    f"the cluster at {self._path} has {running} shards, expected {shards}"
                )
            return session
        words = ["start", "--data", self._path, "--shards", str(shards), "--durability", durability]
        if durability == "interval":
            words += ["--durability-interval-ms", str(interval_ms)]
        try:
            _run_cluster(words)
        except BaseException:
            self._remove_temporary()
            raise
        return self._attach()

    def stop(self) -> None:
        """Ends the cluster that this database is on, for everybody, and closes."""
        if not self._is_cluster:
            raise ValidationError("the database is no cluster; close() ends it")
        assert self._path is not None
        self._session.close()
        if self._end_temporary is None:
            _run_cluster(["stop", "--data", self._path])
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._end_temporary is not None:
            self._end_temporary()

    # Collections.

    def collection(
        self,
        name: str,
        *,
        dim: int | None = None,
        metric: str | None = None,
        codes: str | None = None,
        element: str | None = None,
        m: int | None = None,
        ef_construction: int | None = None,
    ) -> Collection:
        """The collection of that name, 1...64 of a-z 0-9 _ -; made as `Collection` says."""
        wanted = Wanted(dim, metric, element, codes, m, ef_construction)
        return Collection(self._session, name, wanted)

    def collections(self) -> list[str]:
        """The names of all collections."""
        return list(self._session.info()["collections"])

    def drop(self, name: str) -> None:
        """Removes a collection and all its records."""
        self._session.change("omendb_drop", name_of(name))
        self._session.numbers.forget(name)
        if name == self.name:
            self._exists = False

    # The whole.

    @property
    def path(self) -> str | None:
        """Where the files are; None in memory."""
        return self._path

    def info(self) -> dict[str, Any]:
        """What there is: records linked and waiting, bytes in memory and in files.

        `collections` by name: `vectors` (records), `linked` (rows in the graph), `waiting` (rows
        that searches compare with one by one), `deleted` (dead rows not reclaimed yet), `building`
        (0...1 while a build of the index goes on or is due, else None), `build_bytes` (memory that
        building it takes beside what there is), `build_waits` (whether a build that is due waits
        until there is so much), `file_bytes`, `calibration`, and the schema.
        `calibration` is what `recall=` goes by, None where it was never measured: `queries`
        ("rows", or "sample" after `calibrate`), and `k`, for the nearest "1", "10" and "100" a list
        of `[ef, recall]`, the share that is found at least; of a cluster the mean of its shards.
        `searches` has three counts since opening: `queries`, `scans` (queries that were compared
        with all rows) and `distances`; it is None for a cluster.
        `resident_bytes` is the memory of this process, which has everything unless it is a cluster.
        """
        found = self._session.info()
        for one in found["collections"].values():
            one["waiting"] = one["rows"] - one["linked"]
        found["path"] = self._path
        found["cluster"] = self._is_cluster
        return found

    def checkpoint(self) -> None:
        """Writes what changed into files from which opening is fast."""
        call_apart("omendb_checkpoint", self._session.handle)

    def wait_linked(self, timeout: float = 600) -> None:
        """Waits until all vectors are in the graph, and for a build that is due.

        For measurements: searches find all vectors before.
        """
        end = time.monotonic() + timeout
        while any(
            one["linked"] < one["rows"] or one["building"] is not None
            for one in self._session.info()["collections"].values()
        ):
            if time.monotonic() > end:
                raise Unavailable(f"vectors still wait to be linked after {timeout} s")
            time.sleep(0.01)

    def save(self, path: str | bytes | os.PathLike[Any]) -> None:
        """Copies all collections to a new database at `path`; one that fails leaves nothing."""
        target = path_of(path)
        if os.path.exists(os.path.join(target, _MANIFEST)):
            raise ValidationError(f"there is a database at {target} already")
        is_new = not os.path.isdir(target) or not os.listdir(target)
        found = self._session.info()["collections"]
        copy: DB | None = None
        try:
            copy = DB(target, durability="none")
            for name, schema in found.items():
                _copy(self.collection(name), copy, schema)
            copy.checkpoint()
            copy.close()
        except BaseException as error:
            if copy is not None:
                copy._session.abandon()
            # Only what was made here: what could not be opened may be somebody else's.
            if is_new and (copy is not None or not isinstance(error, OmenDBError)):
                shutil.rmtree(target, ignore_errors=True)
            if is_new:
                note_written(error, 0, sum(schema["vectors"] for schema in found.values()))
            raise

    @classmethod
    def load(cls, path: str | bytes | os.PathLike[Any], **options: Any) -> "DB":
        """Opens the database at `path`, which must exist."""
        whole_path = path_of(path)
        if not os.path.exists(os.path.join(whole_path, _MANIFEST)):
            raise ValidationError(f"there is no database at {whole_path}")
        return cls(whole_path, **options)

    @classmethod
    def from_numpy(cls, vectors: Any, ids: Any = None, **options: Any) -> "DB":
        """A database of the rows of an array; `options` as for `DB`."""
        made = cls(**options)
        made.add_batch(vectors, ids)
        return made

    @classmethod
    def from_pandas(cls, frame: Any, **options: Any) -> "DB":
        """A database of the rows of a data frame, as `add_pandas` takes them."""
        made = cls(**options)
        made.add_pandas(frame)
        return made

    def close(self) -> None:
        """Ends it; a second call does nothing. All other calls then raise `Unavailable`."""
        self._session.close()
        self._remove_temporary()

    def __enter__(self) -> "DB":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._session.is_closed:
            return f"<omendb.DB {self._session.where}, closed>"
        dim = self.dim
        shape = f"{len(self):,} x {dim}, {self.metric}" if dim else "empty"
        kind = "cluster " if self._is_cluster else ""
        return f"<omendb.DB {kind}{self._session.where}: {shape}>"

    def __bool__(self) -> bool:
        # An empty database is a database.
        return True


def _copy(source: Collection, target: DB, schema: dict[str, Any]) -> None:
    options = {key: schema[key] for key in ("dim", "metric", "element", "codes", "m")}
    made = target.collection(source.name, ef_construction=schema["ef_construction"], **options)
    ids = source.list_ids()
    for first in range(0, len(ids), 10_000):
        records = [one for one in source.get_many(ids[first : first + 10_000]) if one is not None]
        vectors = [record.vector for record in records if record.vector is not None]
        if vectors:
            made.add_batch(
                np.stack(vectors),
                [record.id for record in records],
                [record.metadata or None for record in records],
            )


def _run_cluster(words: list[str]) -> str:
    program = os.environ.get("OMENDB_CLUSTER") or bundled_cluster() or shutil.which("omen-cluster")
    if program is None:
        raise DatabaseError(
            "the program omen-cluster is missing: it is not in the package, not on PATH, and "
            "OMENDB_CLUSTER does not name it"
        )
    done = subprocess.run([str(program), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit {done.returncode}"
        raise DatabaseError(f"omen-cluster {words[0]}: {reason}")
    return done.stdout


def _end_cluster(path: str) -> None:
    """Ends a temporary cluster, if it runs, and removes it."""
    with contextlib.suppress(DatabaseError):
        _run_cluster(["stop", "--data", path])
    shutil.rmtree(path, ignore_errors=True)


def _shard_count(path: str) -> int:
    """Of the running cluster."""
    status = json.loads(_run_cluster(["status", "--data", path, "--json"]))
    return len(status["shards"])
