"""Records of a collection: writing them, and reading them by their ids."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from ctypes import POINTER, byref, c_uint64
from typing import Any, NamedTuple

import numpy as np

from . import _convert, _library
from ._apart import note_written
from ._convert import Array, Id, IdColumns, Metadata, MetadataColumn
from ._library import call, call_apart, library
from ._results import RESULTS, Record, ResultReader, StoredVectors, take_rows
from ._session import Session
from .errors import NOT_FOUND, OmenDBError, ValidationError, error_of

_DIM_MAX = 8192
# Writes of more bytes, and of more ids, may take long: the library carries them out in parts.
_LONG_BYTES = 256 << 10
_LONG_COUNT = 10_000
# Queries to calibrate with.
_SAMPLE_MIN, _SAMPLE_MAX = 16, 1024


class Wanted(NamedTuple):
    """What a collection shall be; None leaves it to what there is, or else to the standard."""

    dim: int | None = None
    metric: str | None = None
    element: str | None = None
    codes: str | None = None
    m: int | None = None
    ef_construction: int | None = None

    def check(self) -> None:
        for what, choices in (
            ("metric", _library.METRICS),
            ("element", _library.ELEMENTS),
            ("codes", _library.CODES),
        ):
            value = getattr(self, what)
            if value is not None:
                _convert.choice(what, value, choices)
        for what in ("dim", "m", "ef_construction"):
            value = getattr(self, what)
            if value is not None:
                _convert.whole(what, value, 1)

    def must_match(self, name: str, existing: dict[str, Any]) -> None:
        for what, value in self._asdict().items():
            if value is not None and existing[what] != value:
                raise ValidationError(
                    f"collection {name} has {what} {existing[what]}, expected {value}"
                )

    def schema(self, dim: int, element: str) -> _library.Schema:
        """For a new collection whose first vectors are like that."""
        if not 1 <= dim <= _DIM_MAX:
            raise ValidationError(f"dim is {dim}, expected 1...{_DIM_MAX}")
        return _library.Schema(
            dim,
            _library.METRICS[self.metric or "l2"],
            _library.ELEMENTS[self.element or element],
            -1 if self.codes is None else _library.CODES[self.codes],
            self.m or 0,
            self.ef_construction or 0,
        )


class Progress:
    """How far a write is, for its error to tell."""

    def __init__(self) -> None:
        self._first = 0
        self.counts = _library.Counts()

    def start(self, first: int) -> None:
        """The next call of the library begins with row `first`."""
        self._first = first
        self.counts.rows = 0

    def tell(self, error: BaseException, total: int, what: str) -> None:
        done = self._first + int(self.counts.rows)
        # What the library refuses is not there, and its error says so.
        if done or not isinstance(error, ValidationError):
            note_written(error, done, total, what)


class Records:
    """What `Collection` does without searching."""

    def __init__(self, session: Session, name: str, wanted: Wanted) -> None:
        self._session = session
        self._name = name
        self._key = _convert.name_of(name)
        self._wanted = wanted
        # Stands for this collection where a reference would keep the database open.
        self._token = object()
        wanted.check()
        existing = self._schema()
        if existing is None:
            self._note(wanted.metric or "l2", None)
            if wanted.dim is not None:
                self._create(wanted.dim, "f32")
        else:
            wanted.must_match(name, existing)
            self._note(existing["metric"], existing["element"])

    @property
    def name(self) -> str:
        return self._name

    @property
    def metric(self) -> str:
        return str(self._metric)

    @property
    def dim(self) -> int | None:
        """Elements per vector; None before there is a first one."""
        schema = self._schema()
        return int(schema["dim"]) if schema else None

    def _schema(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._session.info()["collections"].get(self._name)
        return found

    def _create(self, dim: int, element: str) -> None:
        schema = self._wanted.schema(int(dim), element)
        self._session.change("omendb_create", self._key, schema)
        self._note(self._wanted.metric or "l2", self._wanted.element or element)

    def _note(self, metric: str, element: str | None) -> None:
        """Keeps what there is; no element: nothing yet."""
        self._metric = metric
        self._kind = RESULTS[metric]
        self._element = element or ""
        self._exists = element is not None

    # Writing.

    def add(self, id: Id, vector: Any, metadata: Metadata | None = None) -> None:
        """Inserts a record, or replaces the one of that id."""
        array = _convert.as_vector(vector)
        self._upsert(array[None, :], [id], None if metadata is None else [metadata])

    upsert = add

    def add_batch(
        self,
        vectors: Any,
        ids: Iterable[Id] | Array | None = None,
        metadata: Sequence[Metadata | None] | None = None,
    ) -> Sequence[Any]:
        """Inserts or replaces records; the last of equal ids wins.

        `vectors` has the shape [count, dim]; see the package's documentation for what is read in
        place; if it changes meanwhile, what is stored is some state of each element, checked as
        ever. Searches find the vectors at once, and are slower until
        all are linked. Without `ids` records are numbered on from the highest number there is; in a
        cluster, where others may do the same, from a random one. Returns the ids, those of an array
        as a list.
        """
        matrix = _convert.as_matrix(vectors)
        _convert.refuse_masks(ids, "ids")
        if ids is None:
            ids = self._new_ids(len(matrix))
        elif not isinstance(ids, (np.ndarray, range, list)):
            ids = list(ids)
        self._upsert(matrix, ids, metadata)
        return ids.tolist() if isinstance(ids, np.ndarray) else ids

    upsert_batch = add_batch

    def _is_there(self) -> bool:
        """Whether the collection was made; somebody else may have done so meanwhile."""
        if not self._exists:
            schema = self._schema()
            if schema is not None:
                self._note(schema["metric"], schema["element"])
        return self._exists

    def _try(
        self, name: str, *arguments: object, is_long: bool = False, keep: object = None
    ) -> bool:
        """Calls the library about this collection; false when there is none, or no longer."""
        if not self._is_there():
            return False
        try:
            if is_long:
                call_apart(name, self._session.handle, self._key, *arguments, keep=keep)
            else:
                call(name, self._session.handle, self._key, *arguments)
        except OmenDBError as error:
            if error.code != NOT_FOUND:
                raise
            self._exists = False
            return False
        return True

    def _upsert(
        self,
        matrix: Array,
        ids: "Iterable[Id] | Array",
        metadata: Sequence[Metadata | None] | None,
    ) -> None:
        progress = Progress()
        try:
            columns = IdColumns(ids)
            if len(columns) != len(matrix):
                raise ValidationError(f"{len(columns)} ids for {len(matrix)} vectors")
            objects = None if metadata is None else MetadataColumn(metadata, len(matrix))
            if not len(matrix):
                return
            element = "u8" if matrix.dtype == np.uint8 else "f32"
            if not self._is_there():
                self._create(matrix.shape[1], element)
            _convert.check(matrix, self._metric, self._element)
            self._write(matrix, columns, objects, element, progress)
            if columns.numbers is not None:
                self._session.numbers.note(self._name, columns.numbers)
        except BaseException as error:
            progress.tell(error, len(matrix), "records")
            raise

    def _write(
        self,
        matrix: Array,
        columns: IdColumns,
        objects: MetadataColumn | None,
        element: str,
        progress: "Progress",
    ) -> None:
        batch = _library.Batch()
        for first, piece in _convert.pieces(matrix):
            progress.start(first)
            batch.count = len(piece)
            batch.dim = piece.shape[1]
            batch.element = _convert.element_of(piece)
            batch.vectors = piece.ctypes.data
            row_bytes = piece.shape[1] * piece.itemsize
            batch.stride = piece.strides[0] if len(piece) > 1 else row_bytes
            batch.ids = columns.structure(first, len(piece))
            if objects is not None:
                batch.metadata_offsets, batch.metadata = objects.addresses(first)
            # Larger ones are carried out in parts, and a cluster may not answer.
            is_long = (
                self._session.is_shared
                or len(piece) > _LONG_COUNT
                or len(piece) * row_bytes > _LONG_BYTES
                or (objects is not None and len(objects.texts) > _LONG_BYTES)
            )
            done, kept = progress.counts, (piece, columns, objects)
            if not self._try("omendb_upsert", batch, done, is_long=is_long, keep=kept):
                # Dropped by somebody else since.
                self._create(matrix.shape[1], element)
                handle = self._session.handle
                call_apart("omendb_upsert", handle, self._key, batch, done, keep=kept)

    def _new_ids(self, count: int) -> Array:
        first = self._session.numbers.take(self._name, count, self.list_ids)
        return np.arange(first, first + count, dtype=np.uint64)

    def update(self, id: Id, vector: Any | None = None, metadata: Metadata | None = None) -> bool:
        """Replaces a record's vector, metadata, or both; False when it is not there."""
        found = self.get(id, with_vector=True)
        if found is None:
            return False
        self.add(
            id,
            found.vector if vector is None else vector,
            found.metadata or None if metadata is None else metadata,
        )
        return True

    def delete(self, id: Id) -> bool:
        """Removes a record; False when it was not there."""
        return self.delete_batch([id]) == 1

    def delete_batch(self, ids: Iterable[Id] | Array) -> int:
        """Removes records; returns how many were there."""
        columns = IdColumns(ids)
        progress = Progress()
        is_long = self._session.is_shared or len(columns) > _LONG_COUNT
        arguments = (columns.structure(), progress.counts)
        try:
            self._try("omendb_delete", *arguments, is_long=is_long, keep=columns)
        except BaseException as error:
            progress.tell(error, len(columns), "ids")
            raise
        return int(progress.counts.deleted)

    def clear(self) -> None:
        """Removes all records."""
        self._try("omendb_clear", is_long=self._session.is_shared)

    def calibrate(self, queries: Any | None) -> None:
        """Calibrates searches with a sample of queries, and no longer with records.

        What `recall=` takes is measured with records, and holds for queries drawn like them. For
        others give some: 16 to 1,024, shape [count, dim]. They are stored with the collection, and
        from now on every build of the index measures with up to 256 of them; one begins soon, and
        `wait_linked()` waits for it. `None`, or no query, returns to records, as `clear` does.
        Collections of fewer than 1,024 records are not measured.
        """
        matrix = np.empty((0, 0), np.float32)
        if queries is not None:
            array = _convert.as_array(queries, "queries")
            matrix = _convert.as_matrix(array, "queries") if array.size else matrix
        if len(matrix) and not _SAMPLE_MIN <= len(matrix) <= _SAMPLE_MAX:
            raise ValidationError(
                f"{len(matrix)} queries to calibrate with, expected {_SAMPLE_MIN}...{_SAMPLE_MAX}, "
                "or none for records of the collection"
            )
        parts = [part for _, part in _convert.pieces(matrix)] if len(matrix) else [matrix]
        sample = np.ascontiguousarray(np.concatenate(parts))
        arguments = (
            sample.ctypes.data,
            len(sample),
            sample.shape[1],
            _convert.element_of(sample),
        )
        is_long = self._session.is_shared
        is_there = self._try("omendb_calibrate", *arguments, is_long=is_long, keep=sample)
        if len(sample) and not is_there:
            raise error_of(NOT_FOUND, f"collection {self._name} does not exist")

    # Reading.

    def get(self, id: Id, with_vector: bool = True) -> Record | None:
        """A record, or None when it is not there.

        Its vector is shown where it is stored, read-only, without a copy, and stays as it is; from
        a cluster it is copied.
        """
        return self.get_many([id], with_vector)[0]

    def get_many(self, ids: Iterable[Id] | Array, with_vector: bool = True) -> list[Record | None]:
        """The records of `ids`, as `get` gives them, with None for those that are not there."""
        _convert.refuse_masks(ids, "ids")
        wanted = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        columns = IdColumns(wanted)
        result = POINTER(_library.Result)()
        shown = POINTER(_library.Vectors)()
        is_long = len(wanted) > _LONG_COUNT
        arguments = (columns.structure(), bool(with_vector), result, shown)
        try:
            if not self._try("omendb_get", *arguments, is_long=is_long, keep=columns):
                return [None] * len(wanted)
            records = ResultReader(result.contents).records(shown)
            found = {record.id: record for record in records}
        finally:
            library.omendb_result_free(result)
        return [found.get(str(one) if isinstance(one, uuid.UUID) else one) for one in wanted]

    def exists(self, id: Id) -> bool:
        return self.get(id, with_vector=False) is not None

    def list_ids(self) -> list[int | str]:
        """The ids of all records, oldest first."""
        result = POINTER(_library.Result)()
        try:
            if not self._try("omendb_list", result, None):
                return []
            return ResultReader(result.contents).ids()
        finally:
            library.omendb_result_free(result)

    def count(self) -> int:
        """Records there are."""
        count = c_uint64()
        self._try("omendb_count", byref(count))
        return int(count.value)

    def size(self) -> int:
        """The same as `count()`."""
        return self.count()

    def to_numpy(self) -> tuple[Array, Array]:
        """All ids, and all vectors in the same order, shape [count, dim].

        The vectors are shown where they are stored, read-only, without a copy, unless records were
        deleted or replaced since the index was last built anew. The array stays as it is whatever
        happens to the collection. From a cluster they are copied.
        """
        shown = POINTER(_library.Vectors)()
        result = POINTER(_library.Result)()
        try:
            if not self._try("omendb_list", result, shown):
                return np.empty(0, np.uint64), np.empty((0, 0), np.float32)
            reader = ResultReader(result.contents)
            ids = reader.id_array()
            rows = reader.rows() if shown else None
        finally:
            library.omendb_result_free(result)
        if rows is None:
            return self._fetch(ids)
        stored = np.asarray(StoredVectors(shown))
        if not len(rows) or rows[-1] == len(rows) - 1:
            return ids, stored[: len(rows)]
        return ids, take_rows(stored, rows)

    def _fetch(self, ids: Array) -> tuple[Array, Array]:
        """The vectors of a cluster, as many of the records as are still there."""
        found = [
            record
            for first in range(0, len(ids), 10_000)
            for record in self.get_many(ids[first : first + 10_000])
            if record is not None and record.vector is not None
        ]
        if not found:
            return ids[:0], np.empty((0, self.dim or 0), np.float32)
        there = {record.id for record in found}
        kept = ids[[one in there for one in ids.tolist()]]
        return kept, np.stack([record.vector for record in found if record.vector is not None])

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, (int, str, uuid.UUID)) and self.exists(id)

    def __iter__(self) -> Iterator[int | str]:
        return iter(self.list_ids())


def check_rows(
    collection: Records,
    vectors: Any,
    ids: "Iterable[Id] | Array | None",
    metadata: Sequence[Metadata | None] | None,
    first: int,
    dim: int | None,
) -> int:
    """Finds what `add_batch` would refuse, before anything is stored.

    Errors count rows from `first`. Returns the vectors' dimension, which must be `dim` or that
    of the collection.
    """
    matrix = _convert.as_matrix(vectors)
    dim = dim or collection.dim or matrix.shape[1]
    if matrix.shape[1] != dim:
        raise ValidationError(f"vector {first} has {matrix.shape[1]} dimensions, expected {dim}")
    element = collection._element or collection._wanted.element or ""
    _convert.check_all(matrix, collection._metric, element, first_row=first)
    if ids is not None:
        columns = IdColumns(ids, first)
        if len(columns) != len(matrix):
            raise ValidationError(f"{len(columns)} ids for {len(matrix)} vectors")
    if metadata is not None:
        MetadataColumn(metadata, len(matrix), first)
    return int(dim)
