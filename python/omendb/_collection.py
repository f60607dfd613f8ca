"""A collection of records: everything that is done with vectors."""

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from ctypes import POINTER, byref, c_char_p, c_uint64
from typing import Any, Literal, overload

import numpy as np

from . import _convert, _files, _library
from ._convert import Array, Id, IdColumns, Metadata, MetadataColumn
from ._library import call, library, local
from ._results import BatchResult, Record, ResultReader, SearchResult, StoredVectors
from ._session import Session
from .errors import NOT_FOUND, OmenDBError, ValidationError, error_of

_QUERIES_MAX = 10_000


class Collection:
    """Records of one dimension: an id, a vector, and maybe metadata.

    Made by the first `add` with the dimension of its vectors, unless `dim` was given. All methods
    may be called from any thread.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        *,
        dim: int | None = None,
        metric: str = "l2",
        element: str | None = None,
        codes: str | None = None,
        m: int | None = None,
        ef_construction: int | None = None,
    ) -> None:
        self._session = session
        self._name = name
        self._key = name.encode()
        self._wanted = (metric, element, codes, m, ef_construction)
        _convert.choice("metric", metric, _library.METRICS)
        _convert.choice("element", element or "f32", _library.ELEMENTS)
        _convert.choice("codes", codes or "u8", _library.CODES)
        existing = self._schema()
        self._metric = existing["metric"] if existing else metric
        self._exists = existing is not None
        if existing is None and dim is not None:
            self._create(dim, element or "f32")
        elif existing is not None:
            self._must_match(existing, dim)

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

    def _must_match(self, existing: dict[str, Any], dim: int | None) -> None:
        if dim is not None and existing["dim"] != dim:
            raise ValidationError(
                f"collection {self._name} has {existing['dim']} dimensions, expected {dim}"
            )

    def _create(self, dim: int, element: str) -> None:
        metric, _, codes, m, ef_construction = self._wanted
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not 1 <= dim <= 8192:
            raise ValidationError(f"dim is {dim!r}, expected 1...8192")
        schema = _library.Schema(
            int(dim),
            _library.METRICS[metric],
            _library.ELEMENTS[element],
            -1 if codes is None else _library.CODES[codes],
            _convert.whole("m", m or 0),
            _convert.whole("ef_construction", ef_construction or 0),
        )
        call("omendb_create", self._session.handle, self._key, schema)
        self._metric = metric
        self._exists = True

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
    ) -> list[Any]:
        """Inserts or replaces records; the last of equal ids wins.

        `vectors` has the shape [count, dim]; see the package's documentation for what is read in
        place. Without `ids` records are numbered on from the highest number there is; in a cluster,
        where others may do the same, from a random one. Returns the ids.
        """
        matrix = _convert.as_matrix(vectors)
        if ids is None:
            ids = self._new_ids(len(matrix))
        elif not isinstance(ids, (np.ndarray, range)):
            ids = list(ids)
        self._upsert(matrix, ids, metadata)
        return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)

    upsert_batch = add_batch

    def _is_there(self) -> bool:
        """Whether the collection was made; somebody else may have done so meanwhile."""
        if not self._exists:
            schema = self._schema()
            if schema is not None:
                self._metric = schema["metric"]
                self._exists = True
        return self._exists

    def _try(self, name: str, *arguments: object) -> bool:
        """Calls the library about this collection; false when there is none, or no longer."""
        if not self._is_there():
            return False
        try:
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
        columns = IdColumns(ids)
        if len(columns) != len(matrix):
            raise ValidationError(f"{len(columns)} ids for {len(matrix)} vectors")
        objects = None if metadata is None else MetadataColumn(metadata, len(matrix))
        if not len(matrix):
            return
        element = self._wanted[1] or ("u8" if matrix.dtype == np.uint8 else "f32")
        if not self._is_there():
            self._create(matrix.shape[1], element)
        batch = _library.Batch()
        for first, piece in _convert.pieces(matrix):
            batch.count = len(piece)
            batch.dim = piece.shape[1]
            batch.element = _convert.element_of(piece)
            batch.vectors = piece.ctypes.data
            batch.stride = piece.strides[0] if len(piece) > 1 else piece.shape[1] * piece.itemsize
            batch.ids = columns.structure(first, len(piece))
            if objects is not None:
                batch.metadata_offsets, batch.metadata = objects.addresses(first)
            if not self._try("omendb_upsert", batch, None):
                # Dropped by somebody else since.
                self._create(matrix.shape[1], element)
                call("omendb_upsert", self._session.handle, self._key, batch, None)
        if columns.numbers is not None:
            self._session.numbers.note(self._name, columns.numbers)

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
        counts = _library.Counts()
        self._try("omendb_delete", columns.structure(), counts)
        return int(counts.deleted)

    def clear(self) -> None:
        """Removes all records."""
        self._try("omendb_clear")

    # Searching.

    def search(
        self,
        vector: Any,
        limit: int = 10,
        *,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        max_distance: float | None = None,
        with_vector: bool = False,
        filter: Metadata | None = None,
    ) -> list[SearchResult]:
        """The nearest records, at most `limit` (1...10000), ascending by distance.

        `ef` (candidates kept) or `recall` (above 0 and below 1) trade time for quality; `exact`
        compares with every record.
        """
        array = _convert.as_vector(vector, "query")
        # Every microsecond counts here: a search takes some ten.
        asked = (len(array), array.dtype, limit, ef, recall, exact, max_distance, with_vector)
        thread = local
        query = thread.query
        if filter is not None or not self._exists or thread.asked != asked:
            if not self._has_records(filter, limit):
                return []
            thread.asked = ()
            query.count = 1
            query.dim = len(array)
            query.element = _convert.element_of(array)
            self._fill(query, limit, ef, recall, exact, max_distance, with_vector, True)
            thread.asked = asked
        query.vectors = array.tobytes()
        code = _library.search(self._session.handle, self._key, *thread.references)
        if code == NOT_FOUND:
            self._exists = False
            return []
        if code:
            raise error_of(code, thread.error.message.decode("utf-8", "replace"))
        result = thread.result
        try:
            return ResultReader(result.contents).hits(self._metric)
        finally:
            _library.free_result(result)

    @overload
    def search_batch(
        self,
        queries: Any,
        limit: int = 10,
        *,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        max_distance: float | None = None,
        with_vector: bool = False,
        filter: Metadata | None = None,
        as_results: Literal[False] = False,
    ) -> BatchResult: ...
    @overload
    def search_batch(
        self,
        queries: Any,
        limit: int = 10,
        *,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        max_distance: float | None = None,
        with_vector: bool = False,
        filter: Metadata | None = None,
        as_results: Literal[True],
    ) -> list[list[SearchResult]]: ...
    def search_batch(
        self,
        queries: Any,
        limit: int = 10,
        *,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        max_distance: float | None = None,
        with_vector: bool = False,
        filter: Metadata | None = None,
        as_results: bool = False,
    ) -> BatchResult | list[list[SearchResult]]:
        """As `search` for each row of `queries`, shape [count, dim]: as arrays, or as results."""
        matrix = _convert.as_matrix(queries, "queries")
        if not self._has_records(filter, limit) or not len(matrix):
            return [[] for _ in matrix] if as_results else _empty(len(matrix), limit)
        query = _library.Query()
        shows_vectors = with_vector and as_results
        result = POINTER(_library.Result)()
        batches: list[BatchResult] = []
        lists: list[list[SearchResult]] = []
        for piece in _contiguous(matrix):
            query.count = len(piece)
            query.dim = piece.shape[1]
            query.element = _convert.element_of(piece)
            query.vectors = piece.ctypes.data_as(c_char_p)
            self._fill(
                query,
                limit,
                ef,
                recall,
                exact,
                max_distance,
                shows_vectors,
                as_results,
            )
            if not self._try("omendb_search", query, result):
                return [[] for _ in matrix] if as_results else _empty(len(matrix), limit)
            try:
                reader = ResultReader(result.contents)
                if as_results:
                    hits = iter(reader.hits(self._metric))
                    counts = result.contents.counts[: len(piece)]
                    lists += [[next(hits) for _ in range(count)] for count in counts]
                else:
                    batches.append(reader.batch(limit))
            finally:
                library.omendb_result_free(result)
        if as_results:
            return lists
        if len(batches) == 1:
            return batches[0]
        return BatchResult(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))

    def _has_records(self, filter: Metadata | None, limit: int) -> bool:
        if filter is not None:
            raise ValidationError("the engine has no filters yet; filter must be None")
        if not _convert.is_number(limit) or not 1 <= limit <= 10_000:
            raise ValidationError(f"limit is {limit!r}, expected 1...10000")
        return self._is_there()

    @staticmethod
    def _fill(
        query: _library.Query,
        limit: int,
        ef: int | None,
        recall: float | None,
        exact: bool,
        max_distance: float | None,
        with_vector: bool,
        with_metadata: bool,
    ) -> None:
        query.k = limit
        query.ef = 0 if ef is None else _convert.whole("ef", ef, 1)
        if recall is not None and not 0 < recall < 1:
            raise ValidationError(f"recall is {recall!r}, expected above 0 and below 1")
        query.recall = 0 if recall is None else recall
        query.max_distance = np.inf if max_distance is None else max_distance
        query.exact = bool(exact)
        query.with_vector = with_vector
        query.with_metadata = with_metadata
        query.allow_partial = 0

    # Reading.

    def get(self, id: Id, with_vector: bool = True) -> Record | None:
        """A record, or None when it is not there."""
        return self.get_many([id], with_vector)[0]

    def get_many(self, ids: Iterable[Id] | Array, with_vector: bool = True) -> list[Record | None]:
        """The records of `ids`, with None for those that are not there."""
        wanted = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        columns = IdColumns(wanted)
        result = POINTER(_library.Result)()
        if not self._try("omendb_get", columns.structure(), bool(with_vector), result):
            return [None] * len(wanted)
        try:
            found = {record.id: record for record in ResultReader(result.contents).records()}
        finally:
            library.omendb_result_free(result)
        return [found.get(str(one) if isinstance(one, uuid.UUID) else one) for one in wanted]

    def exists(self, id: Id) -> bool:
        return self.get(id, with_vector=False) is not None

    def list_ids(self) -> list[int | str]:
        """The ids of all records, oldest first."""
        result = self._list()
        if result is None:
            return []
        try:
            return ResultReader(result.contents).ids()
        finally:
            library.omendb_result_free(result)

    def _list(self, vectors: Any = None) -> Any:
        result = POINTER(_library.Result)()
        return result if self._try("omendb_list", result, vectors) else None

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
        result = self._list(shown)
        if result is None:
            return np.empty(0, np.uint64), np.empty((0, 0), np.float32)
        try:
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
        return ids, stored[rows]

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

    # Files and tables.

    def import_file(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> int:
        """Adds the vectors of a `.npy`, `.fvecs`, `.bvecs` or `.parquet` file; returns how many.

        A parquet file has a column `vector` of lists, and may have one `id`; the other columns
        become metadata, or a column `metadata` of structures does. Without ids the vectors are
        numbered. `progress` shows how far it is: by default on a terminal only.
        """
        return _files.import_file(self, path, progress)

    def to_pandas(self) -> Any:
        """All records as a data frame with the columns `id`, `vector` and `metadata`."""
        return _files.to_pandas(self)

    def add_pandas(self, frame: Any) -> None:
        """Adds the rows of a data frame, columns as in `import_file`; what is missing is left out
        of the metadata."""
        _files.add_pandas(self, frame)

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, (int, str, uuid.UUID)) and self.exists(id)

    def __iter__(self) -> Iterator[int | str]:
        return iter(self.list_ids())


def _contiguous(queries: Array) -> Iterator[Array]:
    """Parts of a size that one search takes, without gaps between rows."""
    for _, part in _convert.pieces(queries):
        for first in range(0, len(part), _QUERIES_MAX):
            yield np.ascontiguousarray(part[first : first + _QUERIES_MAX])


def _empty(count: int, limit: int) -> BatchResult:
    return BatchResult(
        np.zeros((count, limit), np.uint64),
        np.full((count, limit), np.inf, np.float32),
        np.zeros(count, np.uint32),
    )
