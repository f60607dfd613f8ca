"""A collection of records: everything that is done with vectors."""

import os
import time
from collections.abc import Iterator
from ctypes import POINTER, c_char_p
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from . import _convert, _files, _library
from ._convert import READ_IN_PLACE, Array, Metadata
from ._library import library, local
from ._records import Records
from ._results import NO_ID, BatchResult, ResultReader, SearchResult
from .errors import NOT_FOUND, STOPPED, ValidationError, error_of

_QUERIES_MAX = 10_000
# Queries whose pace is not known, and seconds, that may be too long for the main thread.
_LONG_COUNT = 1000
_LONG_SECONDS = 0.02
_PROCESSORS = len(os.sched_getaffinity(0))


class Pace(NamedTuple):
    """How long the last queries took: what calls cost that are not worth a thread apart."""

    asked: tuple[object, ...] = ()
    seconds: float = 0

    def is_long(self, asked: tuple[object, ...], count: int) -> bool:
        if asked == self.asked:
            return count * self.seconds > _LONG_SECONDS
        return count >= _LONG_COUNT


class Collection(Records):
    """Records of one dimension: an id, a vector, and maybe metadata.

    Made by the first `add` with the dimension of its vectors, unless `dim` was given; `metric` is
    `l2` unless it says `cosine` or `ip`. Of one that is there already, what is given must be true.
    All methods may be called from any thread.
    """

    _pace = Pace()

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
        compares with every record. What `recall` takes was measured on records that were added in
        large batches, and holds for queries like these, unless `calibrate` was given others; where
        no `ef` reaches it, every record is compared.
        """
        # Every microsecond counts here: a search takes some ten.
        if type(vector) is not np.ndarray or vector.dtype not in READ_IN_PLACE or vector.ndim != 1:
            vector = _convert.as_vector(vector, "query")
        searcher, local.searcher = local.searcher, None
        if searcher is None:
            searcher = _library.Searcher()
        try:
            # Types, because True and 1.0 are equal to 1.
            kinds = (self._token, vector.size, vector.dtype, limit.__class__, ef.__class__)
            asked = (kinds, limit, ef, recall, exact, max_distance, with_vector)
            if searcher.asked != asked or filter is not None:
                searcher.asked = ()
                if not self._has_records(filter, limit):
                    return []
                self._prepare(searcher, vector)
                query = searcher.search.query
                self._fill(query, limit, ef, recall, exact, max_distance, with_vector, True)
                if searcher.capacity < limit:
                    searcher.reserve(limit)
                searcher.asked = asked
            query_bytes = vector.tobytes()
            if searcher.run(searcher.reference, query_bytes) and not self._again(
                searcher, query_bytes
            ):
                return self._failed_search(searcher)
            count = searcher.search.hit_count
            if count >= 0:
                return list(map(self._kind, searcher.numbers[:count], searcher.distances[:count]))
            result = searcher.search.result
            try:
                return ResultReader(result.contents).hits(self._metric)
            finally:
                library.omendb_result_free(result)
        finally:
            local.searcher = searcher

    def _prepare(self, searcher: _library.Searcher, vector: Array) -> None:
        search = searcher.search
        search.database = self._session.handle
        search.collection = self._key
        search.query.dim = vector.size
        search.query.element = _convert.element_of(vector)

    @staticmethod
    def _again(searcher: _library.Searcher, query_bytes: bytes) -> bool:
        """Searches again what took too long for the main thread; false when it failed."""
        is_long = searcher.search.error.code == STOPPED and local.is_main
        return is_long and not searcher.run_apart(searcher.reference, query_bytes)

    def _failed_search(self, searcher: _library.Searcher) -> list[SearchResult]:
        searcher.asked = ()
        error = searcher.search.error
        if error.code == NOT_FOUND:
            self._exists = False
            return []
        # Says which database was closed.
        self._session.handle  # noqa: B018
        message = error.message.decode("utf-8", "replace")
        raise error_of(error.code, message, error.retry_after_ms)

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
        threads: int | None = None,
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
        threads: int | None = None,
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
        threads: int | None = None,
        as_results: bool = False,
    ) -> BatchResult | list[list[SearchResult]]:
        """As `search` for each row of `queries`, shape [count, dim]: as arrays, or as results.

        `threads` share the queries: as many as there are processors, unless it says otherwise. A
        cluster has processes for that.
        """
        matrix = _convert.as_matrix(queries, "queries")
        if not self._has_records(filter, limit) or not len(matrix):
            return [[] for _ in matrix] if as_results else _empty(len(matrix), limit)
        if len(matrix) > _QUERIES_MAX or _convert.is_cut(matrix):
            # The library counts from the first row of each part.
            _convert.check_all(matrix, self._metric, "", "query")
        query = _library.Query()
        query.threads = _PROCESSORS if threads is None else _convert.whole("threads", threads, 1)
        shows_vectors = with_vector and as_results
        asked = (limit, ef, recall, exact, shows_vectors, as_results, query.threads)
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
            result = POINTER(_library.Result)()
            is_long = self._pace.is_long(asked, len(piece))
            start = time.perf_counter()
            try:
                if not self._try("omendb_search", query, result, is_long=is_long, keep=piece):
                    return [[] for _ in matrix] if as_results else _empty(len(matrix), limit)
                self._pace = Pace(asked, (time.perf_counter() - start) / len(piece))
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

    # Files and tables.

    def import_file(
        self, path: str | bytes | os.PathLike[Any], *, progress: bool | None = None
    ) -> int:
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


def _contiguous(queries: Array) -> Iterator[Array]:
    """Parts of a size that one search takes, without gaps between rows."""
    for _, part in _convert.pieces(queries):
        for first in range(0, len(part), _QUERIES_MAX):
            yield np.ascontiguousarray(part[first : first + _QUERIES_MAX])


def _empty(count: int, limit: int) -> BatchResult:
    return BatchResult(
        np.full((count, limit), NO_ID, np.uint64),
        np.full((count, limit), np.inf, np.float32),
        np.zeros(count, np.uint32),
    )
