"""What searches and lookups return, and how it is read out of the library's columns."""

import ctypes
import json
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from ._convert import Array
from ._library import Result, library

_ELEMENTS: "dict[int, np.dtype[Any]]" = {0: np.dtype(np.float32), 1: np.dtype(np.uint8)}


def element_dtype(element: int) -> "np.dtype[Any]":
    return _ELEMENTS[element]


class SearchResult:
    """One hit of a search.

    `distance` is smaller for nearer records: the squared Euclidean distance for `l2`, one minus the
    cosine for `cosine`, minus the inner product for `ip`. `score` is larger for nearer ones.
    """

    # Every search makes ten of these: most never get a vector or metadata, and do without.
    __slots__ = ("_json", "_metadata", "_vector", "distance", "id")

    id: int | str
    distance: float
    _json: bytes
    _metadata: dict[str, Any]
    _vector: Array

    def __init__(self, id: int | str, distance: float) -> None:
        self.id = id
        self.distance = distance

    @property
    def vector(self) -> Array | None:
        """The stored vector, if `with_vector` asked for it."""
        return getattr(self, "_vector", None)

    @property
    def metadata(self) -> dict[str, Any]:
        """The record's metadata; empty when it has none."""
        try:
            return self._metadata
        except AttributeError:
            text = getattr(self, "_json", b"")
            self._metadata = json.loads(text) if text else {}
            return self._metadata

    @property
    def score(self) -> float:
        """1 / (1 + distance) for `l2`, the cosine, or the inner product."""
        return 1 / (1 + self.distance)

    def __repr__(self) -> str:
        return f"SearchResult(id={self.id!r}, distance={self.distance:.6g})"


class _CosineResult(SearchResult):
    __slots__ = ()

    @property
    def score(self) -> float:
        return 1 - self.distance


class _InnerProductResult(SearchResult):
    __slots__ = ()

    @property
    def score(self) -> float:
        return -self.distance


RESULTS = {"l2": SearchResult, "cosine": _CosineResult, "ip": _InnerProductResult}


@dataclass(slots=True, eq=False)
class Record:
    """A stored record."""

    id: int | str
    metadata: dict[str, Any]
    vector: Array | None = None


# Numbers that are read at once.
_STEP = 1 << 18
# What stands where there is no hit.
NO_ID = 2**64 - 1


class FailedShard(NamedTuple):
    """A shard of a cluster whose part is missing from an answer, and why."""

    shard: int
    code: str
    detail: str


# What one shard tells about several parts of a search: these are added up.
_SUMS = {"queries", "walks", "unlike_rows", "scans", "distances", "seconds"}


class _Answer:
    """What an answer tells beside its hits.

    `partial` is true when shards are missing, which only `allow_partial` allows; `failed_shards`
    are these. `explain` has a dictionary for each shard, where the search asked for it.
    """

    partial: bool = False
    failed_shards: tuple[FailedShard, ...] = ()
    explain: tuple[dict[str, Any], ...] = ()

    def _like(self, other: "_Answer") -> None:
        """Tells the same as another answer to the same search."""
        self.partial = other.partial
        self.failed_shards = other.failed_shards
        self.explain = other.explain

    def _tell(self, texts: list[bytes]) -> None:
        """Takes the details of all parts of the search."""
        failed: dict[int, FailedShard] = {}
        shards: dict[int, dict[str, Any]] = {}
        for details in map(json.loads, texts):
            for failure in details["shards"]["failed"]:
                failed.setdefault(failure["shard"], FailedShard(**failure))
            for told in details.get("explain", []):
                _add(told, shards)
        self.failed_shards = tuple(failed[shard] for shard in sorted(failed))
        self.partial = bool(failed)
        self.explain = tuple(shards[shard] for shard in sorted(shards))


def _add(told: dict[str, Any], shards: dict[int, dict[str, Any]]) -> None:
    known = shards.setdefault(told["shard"], told)
    if known is told:
        return
    for name, value in told.items():
        if name in _SUMS:
            known[name] += value
        elif name == "scan_reasons":
            known[name] += [reason for reason in value if reason not in known[name]]
        else:
            known[name] = max(known[name], value)


class Hits(_Answer, list[SearchResult]):
    """The hits of one query, ascending by distance: a list.

    What is made of it, such as a slice, is a plain list.
    """


class _BatchArrays(NamedTuple):
    ids: Array
    distances: Array
    counts: Array


class BatchResult(_Answer, _BatchArrays):
    """Hits of many queries as arrays: a tuple `(ids, distances, counts)`.

    `ids` and `distances` have the shape [queries, limit]; row i has `counts[i]` hits, ascending by
    distance, and behind them the distance infinity and the id 2**64 - 1, which is -1 as an int64;
    None where `ids` is of objects because some id is a text, and not of uint64.
    """


class ResultReader:
    """Reads one result's columns; what it returns stays when the result is freed."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.count = int(result.count)

    def ids(self) -> list[int | str]:
        found = self.result
        numbers: list[int | str] = _listed(found.numbers, self.count)
        if not found.kinds:
            return numbers
        kinds = found.kinds[: self.count]
        offsets = found.text_offsets[: self.count + 1]
        texts = ctypes.string_at(found.texts, offsets[-1])
        return [
            texts[offsets[i] : offsets[i + 1]].decode() if kinds[i] else numbers[i]
            for i in range(self.count)
        ]

    def id_array(self) -> Array:
        """The ids as uint64, or as objects."""
        if self.result.kinds:
            array = np.empty(self.count, object)
            array[:] = self.ids()
            return array
        return self._copy(self.result.numbers, np.uint64, self.count)

    def rows(self) -> Array:
        return self._copy(self.result.rows, np.int64, self.count)

    def metadata(self) -> list[bytes]:
        found = self.result
        if not found.metadata_offsets:
            return [b""] * self.count
        offsets = found.metadata_offsets[: self.count + 1]
        texts = ctypes.string_at(found.metadata, offsets[-1])
        return [texts[offsets[i] : offsets[i + 1]] for i in range(self.count)]

    def vectors(self) -> Array | None:
        found = self.result
        if not found.vectors:
            return None
        kind = element_dtype(found.element)
        count = self.count * found.dim
        copied = ctypes.string_at(found.vectors, count * kind.itemsize)
        return np.frombuffer(bytearray(copied), kind).reshape(self.count, found.dim)

    def distances(self) -> list[float]:
        return self.result.distances[: self.count] if self.count else []

    def records(self, shown: Any) -> list[Record]:
        """What was found, with the vectors of `shown`, or if it is null those of the result."""
        vectors: Any = self.vectors()
        if shown:
            stored = np.asarray(StoredVectors(shown))
            vectors = [stored[row] for row in self.rows()]
        elif vectors is None:
            vectors = repeat(None, self.count)
        return [
            Record(id, json.loads(text) if text else {}, vector)
            for id, text, vector in zip(self.ids(), self.metadata(), vectors, strict=True)
        ]

    def details(self) -> list[bytes]:
        """The JSON text of what the answer tells beside its hits, if there is any."""
        text = self.result.details
        return [text] if text else []

    def hits(self, metric: str) -> Hits:
        hits = Hits(map(RESULTS[metric], self.ids(), self.distances()))
        if self.result.metadata_offsets:
            for hit, text in zip(hits, self.metadata(), strict=True):
                hit._json = text
        vectors = self.vectors()
        if vectors is not None:
            for hit, vector in zip(hits, vectors, strict=True):
                hit._vector = vector
        return hits

    def batch(self, limit: int) -> BatchResult:
        found = self.result
        counts = self._copy(found.counts, np.uint32, int(found.query_count))
        distances = self._copy(found.distances, np.float32, self.count)
        ids = self.id_array()
        shape = (len(counts), limit)
        if self.count == len(counts) * limit:
            return BatchResult(ids.reshape(shape), distances.reshape(shape), counts)
        there = np.arange(limit) < counts[:, None]
        all_ids = np.full(shape, None if ids.dtype == object else NO_ID, ids.dtype)
        all_distances = np.full(shape, np.inf, np.float32)
        all_ids[there] = ids
        all_distances[there] = distances
        return BatchResult(all_ids, all_distances, counts)

    @staticmethod
    def _copy(pointer: Any, kind: Any, count: int) -> Array:
        if not count:
            return np.empty(0, kind)
        return np.ctypeslib.as_array(pointer, (count,)).astype(kind, copy=True)


def _listed(pointer: Any, count: int) -> list[Any]:
    """What a column holds, in steps between which signal handlers can run."""
    numbers: list[Any] = []
    for first in range(0, count, _STEP):
        numbers += pointer[first : min(first + _STEP, count)]
    return numbers


def take_rows(stored: Array, rows: Array) -> Array:
    """A copy of some rows, made in such steps."""
    taken = np.empty((len(rows), stored.shape[1]), stored.dtype)
    step = max(1, _STEP * 8 // max(1, stored.shape[1]))
    for first in range(0, len(rows), step):
        np.take(stored, rows[first : first + step], axis=0, out=taken[first : first + step])
    return taken


class StoredVectors:
    """Shows the memory that vectors are stored in to NumPy, and keeps it while an array uses it."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        shown = pointer.contents
        kind = element_dtype(shown.element)
        self.__array_interface__ = {
            "version": 3,
            "shape": (int(shown.row_count), int(shown.dim)),
            "strides": (int(shown.stride), kind.itemsize),
            "typestr": kind.str,
            # Rows never change.
            "data": (int(shown.base), True),
        }

    def __del__(self) -> None:
        library.omendb_vectors_free(self._pointer)
