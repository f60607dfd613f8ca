"""A document store for Haystack: `pip install omendb[haystack]`.

    from haystack import Document
    from omendb.haystack import OmenDBDocumentStore, OmenDBEmbeddingRetriever

    store = OmenDBDocumentStore("./notes")
    store.write_documents([Document(content="red apple", embedding=[0.1, 0.9])])
    OmenDBEmbeddingRetriever(store, top_k=1).run(query_embedding=[0.2, 0.8])

Haystack makes pipelines out of text only with classes that it is told to trust:
`Pipeline.loads(text, allowed_modules=["omendb.haystack"])`.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy, apply_filter_policy
from haystack.utils.filters import document_matches_filter

from ._collection import Collection
from ._convert import Array
from ._database import DB
from ._results import Record, SearchResult
from .errors import ValidationError

# The key of a record's metadata that the document is under.
_DOCUMENT = "document"
# Records read at a time by what looks at all of them.
_PAGE = 1000
# The most hits that one search gives.
_HITS_MAX = 10_000

# Pipelines make a store each from the same description, and a path can be opened once only: stores
# of one path have one database, which ends with the last of them.
_databases: "weakref.WeakValueDictionary[tuple[str, int | None], DB]" = (
    weakref.WeakValueDictionary()
)
_databases_lock = threading.Lock()


class OmenDBDocumentStore:
    """Documents in this process, or on a cluster of processes.

    `path` and `shards` are those of `omendb.DB`; without a path every store has documents of its
    own, gone with it. The database is opened by the first call that needs it. Documents are in the
    collection `collection`, whose `metric` is `cosine`, `l2` or `ip` if it is made here; those
    without an embedding are in another one, `collection` + `-plain`, for a record has a vector
    and a made-up one would be found by searches.

    A document comes back as it was, but for its embedding: elements are rounded to float32. Apart
    from that it must be JSON, of 64 KiB at most: `ValidationError` says so, as it does for an
    embedding of another dimension than those before, or one of zeros with `cosine`.

    The engine has no filters yet: `filter_documents` reads every document, and compares in Python.
    So does `embedding_retrieval` with filters that few of the nearest documents match.

    Writers of one id at the same time may leave it with and without an embedding; so may a crash
    while a document loses or gains its embedding. Overwriting or deleting it puts that right.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        shards: int | None = None,
        collection: str = "documents",
        metric: str = "cosine",
    ) -> None:
        self._path = None if path is None else os.fspath(path)
        self._shards = shards
        self._name = collection
        self._metric = metric
        self._lock = threading.Lock()
        self._db: DB | None = None
        self._opened: tuple[Collection, Collection] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The arguments, for a pipeline's description; documents are not in it."""
        return default_to_dict(
            self,
            path=self._path,
            shards=self._shards,
            collection=self._name,
            metric=self._metric,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "OmenDBDocumentStore":
        """The store that `to_dict` described."""
        return default_from_dict(cls, data)

    def close(self) -> None:
        """Lets the database go, which ends when no other store uses it; a later call opens it."""
        with self._lock:
            # A cluster without a path is nobody else's, and does not end by itself.
            if self._db is not None and self._path is None:
                self._db.close()
            self._db = self._opened = None

    @property
    def _collections(self) -> tuple[Collection, Collection]:
        """Of documents with an embedding, and without."""
        with self._lock:
            if self._opened is None:
                self._db = _database(self._path, self._shards)
                self._opened = (
                    self._db.collection(self._name, metric=self._metric),
                    self._db.collection(f"{self._name}-plain"),
                )
            return self._opened

    # Writing.

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Stores documents; returns how many were written.

        An id that is there, or twice among `documents`, is an error with `FAIL` and `NONE`:
        `DuplicateDocumentError`, and nothing is written. `SKIP` keeps the first, `OVERWRITE` the
        last, and counts all. `ValueError` for anything but a list of documents. Where documents
        cannot be stored (`ValidationError`, `DatabaseError`), others may be written already.
        """
        _must_be_documents(documents)
        if policy == DuplicatePolicy.OVERWRITE:
            self._put({one.id: one for one in documents}.values(), is_new=False)
            return len(documents)
        chosen = self._new(documents, policy)
        self._put(chosen, is_new=True)
        return len(chosen)

    def _new(self, documents: list[Document], policy: DuplicatePolicy) -> list[Document]:
        """Those whose ids are not there, and not before them in the list."""
        seen = self._existing([one.id for one in documents])
        chosen = []
        for one in documents:
            if one.id not in seen:
                seen.add(one.id)
                chosen.append(one)
            elif policy != DuplicatePolicy.SKIP:
                raise DuplicateDocumentError(f"document {one.id!r} is there already")
        return chosen

    def _existing(self, ids: list[str]) -> set[str]:
        return {
            str(record.id)
            for collection in self._collections
            for record in collection.get_many(ids, with_vector=False)
            if record is not None
        }

    def _put(self, documents: Iterable[Document], is_new: bool) -> None:
        embedded, plain = self._collections
        with_vector = [one for one in documents if one.embedding is not None]
        without = [one for one in documents if one.embedding is None]
        if with_vector:
            _add(embedded, [one.embedding for one in with_vector], with_vector)
        if without:
            _add(plain, np.ones((len(without), 1), np.float32), without)
        if not is_new:
            # Written before they are removed where they were, so that none is ever missing.
            plain.delete_batch([one.id for one in with_vector])
            embedded.delete_batch([one.id for one in without])

    def delete_documents(self, document_ids: list[str]) -> None:
        """Removes documents; ids that are not there are no error."""
        for collection in self._collections:
            collection.delete_batch(document_ids)

    def delete_all_documents(self) -> None:
        """Removes all documents."""
        for collection in self._collections:
            collection.clear()

    # Reading.

    def count_documents(self) -> int:
        """Documents there are."""
        return sum(collection.count() for collection in self._collections)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, in no order to rely on; all of them without filters.

        Takes time for every document there is. `FilterError` for filters that cannot be understood.
        """
        return [
            document
            for record in self._all_records()
            if _matches(document := _document(record), filters)
        ]

    def _all_records(self) -> Iterator[Record]:
        embedded, plain = self._collections
        yield from _records(embedded)
        yield from _records(plain, with_vector=False)

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
    ) -> list[Document]:
        """The nearest documents that match, at most `top_k` (1...10000), with their scores.

        `query_embedding` has the shape [dim]. The score is larger for nearer ones: the cosine,
        1 / (1 + squared distance) for `l2`, the inner product for `ip`. With filters more and more
        of the nearest are looked at, and then, if too few of 10,000 match, every document;
        errors are those of `filter_documents`.
        """
        embedded, _ = self._collections
        if not filters:
            hits = embedded.search(query_embedding, top_k, with_vector=return_embedding)
            return [_document(hit, hit.score) for hit in hits]
        for limit in (min(_HITS_MAX, max(100, 10 * top_k)), _HITS_MAX):
            hits = embedded.search(query_embedding, limit, with_vector=True)
            documents = (_document(hit, hit.score) for hit in hits)
            found = list(islice((one for one in documents if _matches(one, filters)), top_k))
            if len(found) == top_k or len(hits) >= embedded.count():
                break
        else:
            found = self._compare_all(query_embedding, filters, top_k)
        return found if return_embedding else [replace(one, embedding=None) for one in found]

    def _compare_all(
        self, query: list[float], filters: dict[str, Any], top_k: int
    ) -> list[Document]:
        """The nearest of the documents that match, found without the index."""
        embedded, _ = self._collections
        records = [record for record in _records(embedded) if _matches(_document(record), filters)]
        if not records:
            return []
        vectors = np.stack([record.vector for record in records if record.vector is not None])
        scores = _scores(vectors, np.asarray(query, np.float32), embedded.metric)
        nearest = np.argsort(-scores, kind="stable")[:top_k]
        return [_document(records[i], float(scores[i])) for i in nearest]

    # The same for asyncio, on its threads.

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As `write_documents`."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As `delete_documents`."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self) -> None:
        """As `delete_all_documents`."""
        await asyncio.to_thread(self.delete_all_documents)

    async def count_documents_async(self) -> int:
        """As `count_documents`."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As `filter_documents`."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def embedding_retrieval_async(
        self,
        query_embedding: list[float],
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
    ) -> list[Document]:
        """As `embedding_retrieval`."""
        return await asyncio.to_thread(
            self.embedding_retrieval,
            query_embedding,
            filters=filters,
            top_k=top_k,
            return_embedding=return_embedding,
        )


@component
class OmenDBEmbeddingRetriever:
    """Finds the documents of an `OmenDBDocumentStore` that are nearest to a query's embedding.

    `filters`, `top_k` and `return_embedding` hold for runs that say nothing else; `filter_policy`
    says whether a run's filters replace these or are merged with them.
    """

    def __init__(
        self,
        document_store: OmenDBDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        """`TypeError` for another store, `ValueError` for a `top_k` outside 1...10000."""
        if not isinstance(document_store, OmenDBDocumentStore):
            raise TypeError("document_store must be an OmenDBDocumentStore")
        if not 1 <= top_k <= _HITS_MAX:
            raise ValueError(f"top_k is {top_k}, expected 1...{_HITS_MAX}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.return_embedding = return_embedding
        self.filter_policy = filter_policy

    def to_dict(self) -> dict[str, Any]:
        """The arguments, for a pipeline's description."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            return_embedding=self.return_embedding,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "OmenDBEmbeddingRetriever":
        """The retriever that `to_dict` described, on a store of the same description."""
        arguments = dict(data["init_parameters"])
        arguments["document_store"] = OmenDBDocumentStore.from_dict(arguments["document_store"])
        if "filter_policy" in arguments:
            arguments["filter_policy"] = FilterPolicy.from_str(arguments["filter_policy"])
        return default_from_dict(cls, {**data, "init_parameters": arguments})

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """`{"documents": [...]}` as `OmenDBDocumentStore.embedding_retrieval` finds them."""
        options = self._options(filters, top_k, return_embedding)
        return {"documents": self.document_store.embedding_retrieval(query_embedding, **options)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Document]]:
        """As `run`."""
        options = self._options(filters, top_k, return_embedding)
        found = await self.document_store.embedding_retrieval_async(query_embedding, **options)
        return {"documents": found}

    def _options(
        self, filters: dict[str, Any] | None, top_k: int | None, return_embedding: bool | None
    ) -> dict[str, Any]:
        return {
            "filters": apply_filter_policy(self.filter_policy, self.filters, filters),
            "top_k": self.top_k if top_k is None else top_k,
            "return_embedding": (
                self.return_embedding if return_embedding is None else return_embedding
            ),
        }


def _database(path: str | None, shards: int | None) -> DB:
    if path is None:
        return DB(shards=shards)
    key = (os.path.realpath(path), shards)
    with _databases_lock:
        db = _databases.get(key)
        if db is None:
            db = _databases[key] = DB(path, shards=shards)
        return db


def _add(collection: Collection, vectors: Any, documents: list[Document]) -> None:
    records = [{_DOCUMENT: _stored(one)} for one in documents]
    collection.add_batch(vectors, [one.id for one in documents], records)


def _stored(document: Document) -> dict[str, Any]:
    """What is kept beside the id and the vector."""
    whole = document.to_dict(flatten=False)
    return {
        key: value
        for key, value in whole.items()
        if value is not None and key not in ("id", "embedding")
    }


def _document(record: Record | SearchResult, score: float | None = None) -> Document:
    """The document of a record, with its embedding if the record has a vector of meaning."""
    stored = record.metadata.get(_DOCUMENT)
    if stored is None:
        raise ValidationError(f"record {record.id!r} is no document: no document store wrote it")
    fields = dict(stored, id=str(record.id))
    if score is not None:
        fields["score"] = score
    if record.vector is not None:
        fields["embedding"] = record.vector.tolist()
    return Document.from_dict(fields)


def _records(collection: Collection, with_vector: bool = True) -> Iterator[Record]:
    """All of a collection, less what is deleted meanwhile."""
    ids = collection.list_ids()
    for first in range(0, len(ids), _PAGE):
        for record in collection.get_many(ids[first : first + _PAGE], with_vector):
            if record is not None:
                yield record


def _matches(document: Document, filters: dict[str, Any] | None) -> bool:
    return not filters or document_matches_filter(filters=filters, document=document)


def _scores(vectors: Array, query: Array, metric: str) -> Array:
    """As `SearchResult.score`, for vectors of the shape [count, dim]; returns the shape [count]."""
    if metric == "l2":
        return np.asarray(1 / (1 + np.square(vectors - query).sum(axis=1)))
    products = np.asarray(vectors @ query)
    if metric == "ip":
        return products
    return np.asarray(products / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)))


def _must_be_documents(documents: object) -> None:
    if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
        raise ValueError("documents must be a list of haystack.Document")
