"""A collection of records: everything that is done with vectors."""

import os
import time
from collections.abc import Iterator
from ctypes import POINTER, c_char_p
from typing import Any, Literal, NamedTuple, NoReturn, overload

import numpy as np

from . import _convert, _files, _library, _query
from ._convert import READ_IN_PLACE, Array, Metadata
from ._library import library, local
from ._query import Options
from ._records import Records
from ._results import NO_ID, BatchResult, Hits, ResultReader
from .errors import NOT_FOUND, STOPPED, error_of

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
        /,
        vector: Any,
        limit: int = 10,
        *,
        ef: int | None = None,
        recall: float | None = None,
        exact: bool = False,
        max_distance: float | None = None,
        with_vector: bool = False,
        filter: Metadata | None = None,
        allow_partial: bool = False,
        explain: bool = False,
        **unknown: NoReturn,
    ) -> Hits:
        """The nearest records, at most `limit` (1...10000), ascending by distance.

        `ef` (candidates kept) or `recall` (above 0 and below 1) trade time for quality; `exact`
        compares with every record. What `recall` takes was measured on records that were added in
        large batches, and holds for queries like these, unless `calibrate` was given others; where
        no `ef` reaches it, every record is compared.

        Of a cluster `allow_partial` takes an answer without the shards that cannot give their part:
        the result's `partial` and `failed_shards` tell; else `Unavailable` is raised. With
        `explain` the result's `explain` tells for each shard what it decided, and what it counted.
        """
        if allow_partial or explain or unknown:
            _query.refuse(unknown)
            options = Options(limit, ef, recall, exact, max_distance, with_vector)
            options = options._replace(allow_partial=allow_partial, explain=explain)
            return self._search_told(vector, options, filter)
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
                _query.check(limit, filter)
                if not self._is_there():
                    return Hits()
                self._prepare(searcher, vector, Options(*asked[1:]))
                searcher.asked = asked
            query_bytes = vector.tobytes()
            if searcher.run(searcher.reference, query_bytes) and not self._again(
                searcher, query_bytes
            ):
                return self._failed_search(searcher)
            count = searcher.search.hit_count
            if count >= 0:
                return Hits(map(self._kind, searcher.numbers[:count], searcher.distances[:count]))
            result = searcher.search.result
            try:
                return ResultReader(result.contents).hits(self._metric)
            finally:
                library.omendb_result_free(result)
        finally:
            local.searcher = searcher

    def _search_told(self, vector: Any, options: Options, filter: Metadata | None) -> Hits:
        """The search whose answer tells more than its hits."""
        matrix = _convert.as_vector(vector, "query")[None, :]
        _query.check(options.limit, filter)
        answers = _Answers(self._metric, options.limit, True)
        if self._is_there():
            self._search_all(matrix, options, 1, answers)
        return answers.lists(1)[0]

    def _prepare(self, searcher: _library.Searcher, vector: Array, options: Options) -> None:
        options.fill(searcher.search.query)
        if searcher.capacity < options.limit:
            searcher.reserve(options.limit)
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

    def _failed_search(self, searcher: _library.Searcher) -> Hits:
        searcher.asked = ()
        error = searcher.search.error
        if error.code == NOT_FOUND:
            self._exists = False
            return Hits()
        # Says which database was closed.
        self._session.handle  # noqa: B018
        message = error.message.decode("utf-8", "replace")
        raise error_of(error.code, message, error.retry_after_ms)

    @overload
    def search_batch(
        self,
        /,
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
        allow_partial: bool = False,
        explain: bool = False,
        **unknown: NoReturn,
    ) -> BatchResult: ...
    @overload
    def search_batch(
        self,
        /,
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
        allow_partial: bool = False,
        explain: bool = False,
        **unknown: NoReturn,
    ) -> list[Hits]: ...
    def search_batch(
        self,
        /,
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
        allow_partial: bool = False,
        explain: bool = False,
        **unknown: NoReturn,
    ) -> BatchResult | list[Hits]:
        """As `search` for each row of `queries`, shape [count, dim]: as arrays, or as results.

        `threads` share the queries: as many as there are processors, unless it says otherwise. A
        cluster has processes for that. What `allow_partial` and `explain` bring is of all queries
        together.
        """
        _query.refuse(unknown)
        matrix = _convert.as_matrix(queries, "queries")
        _query.check(limit, filter)
        options = Options(
            limit,
            ef,
            recall,
            exact,
            max_distance,
            with_vector and as_results,
            as_results,
            allow_partial,
            explain,
        )
        answers = _Answers(self._metric, limit, as_results)
        if len(matrix) and self._is_there():
            self._search_all(matrix, options, threads, answers)
        return answers.whole(len(matrix))

    def _search_all(
        self, matrix: Array, options: Options, threads: int | None, answers: "_Answers"
    ) -> None:
        if len(matrix) > _QUERIES_MAX or _convert.is_cut(matrix):
            # The library counts from the first row of each part.
            _convert.check_all(matrix, self._metric, "", "query")
        query = _library.Query()
        options.fill(query)
        query.threads = _PROCESSORS if threads is None else _convert.whole("threads", threads, 1)
        asked = (options, query.threads)
        for piece in _contiguous(matrix):
            query.count = len(piece)
            query.dim = piece.shape[1]
            query.element = _convert.element_of(piece)
            query.vectors = piece.ctypes.data_as(c_char_p)
            result = POINTER(_library.Result)()
            is_long = self._pace.is_long(asked, len(piece))
            start = time.perf_counter()
            try:
                if not self._try("omendb_search", query, result, is_long=is_long, keep=piece):
                    # Dropped meanwhile.
                    answers.forget()
                    return
                self._pace = Pace(asked, (time.perf_counter() - start) / len(piece))
                answers.add(ResultReader(result.contents))
            finally:
                library.omendb_result_free(result)

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


class _Answers:
    """The answers to many queries, which the library gives in parts: as arrays, or as results."""

    def __init__(self, metric: str, limit: int, as_results: bool) -> None:
        self._metric = metric
        self._limit = limit
        self._as_results = as_results
        self._arrays: list[BatchResult] = []
        self._lists: list[Hits] = []
        self._details: list[bytes] = []

    def add(self, reader: ResultReader) -> None:
        """Takes the answers to the next queries."""
        self._details += reader.details()
        if not self._as_results:
            self._arrays.append(reader.batch(self._limit))
            return
        hits = iter(reader.hits(self._metric))
        counts = reader.result.counts[: reader.result.query_count]
        self._lists += [Hits(next(hits) for _ in range(count)) for count in counts]

    def forget(self) -> None:
        self._arrays, self._lists, self._details = [], [], []

    def lists(self, count: int) -> list[Hits]:
        """The answers as results; without hits where nothing was added."""
        lists = self._lists or [Hits() for _ in range(count)]
        if self._details:
            lists[0]._tell(self._details)
            for hits in lists[1:]:
                hits._like(lists[0])
        return lists

    def whole(self, count: int) -> BatchResult | list[Hits]:
        """The answers to all `count` queries; without hits where nothing was added."""
        if self._as_results:
            return self.lists(count)
        arrays = self._arrays or [_empty(count, self._limit)]
        joined = arrays[0]
        if len(arrays) > 1:
            joined = BatchResult(*(np.concatenate(parts) for parts in zip(*arrays, strict=True)))
        if self._details:
            joined._tell(self._details)
        return joined


def _empty(count: int, limit: int) -> BatchResult:
    return BatchResult(
        np.full((count, limit), NO_ID, np.uint64),
        np.full((count, limit), np.inf, np.float32),
        np.zeros(count, np.uint32),
    )
