"""A vector store for LangChain: `pip install omendb[langchain]`.

from omendb.langchain import OmenDBVectorStore

store = OmenDBVectorStore(embedding, path="./notes")
store.add_texts(["red apple", "blue whale"], [{"kind": "fruit"}, {"kind": "animal"}])
store.similarity_search("something to eat", k=1)
"""

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from typing_extensions import Self

from ._collection import Collection
from ._database import DB
from ._results import SearchResult
from .errors import ValidationError

# Keys of a record's metadata. The user's own is one level down, so that no key of it can be ours.
_TEXT = "text"
_METADATA = "metadata"


class OmenDBVectorStore(VectorStore):
    """Documents in a collection, in this process or on a cluster of processes.

    `db` is an open `DB` or `Collection`, which stays the caller's to close. Without it the store
    opens a database of its own: in memory, on `path`, or on a cluster with `shards`; `close()` ends
    it. `collection` names another one than `default`. `metric` (`cosine`, `l2` or `ip`) is that of
    a collection which this store makes; one that exists, and a `db` without `collection`, keep
    their own.

    Metadata comes back as JSON has it: text, numbers, booleans, None, lists and dicts with texts
    as keys. With the text it may take 64 KiB per document. Searches take the options of
    `Collection.search` (`ef`, `recall`, `exact`, `max_distance`); `filter` raises
    `ValidationError`, for the engine has no filters yet.
    """

    def __init__(
        self,
        embedding: Embeddings,
        db: Collection | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        shards: int | None = None,
        collection: str | None = None,
        metric: str = "cosine",
    ) -> None:
        """Opens the database unless `db` is given; `ValidationError` where both are asked for."""
        if db is not None and (path is not None or shards is not None):
            raise ValidationError("db is open already: path and shards must not be given with it")
        if collection is not None and db is not None and not isinstance(db, DB):
            raise ValidationError(f"db is the collection {db.name}: it has no collection in it")
        self._embedding = embedding
        self._owned = DB(path, shards=shards, metric=metric) if db is None else None
        opened = self._owned or db
        assert opened is not None
        if collection is not None and isinstance(opened, DB):
            opened = opened.collection(collection, metric=metric)
        self._collection = opened

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    @property
    def collection(self) -> Collection:
        """Where the documents are."""
        return self._collection

    def close(self) -> None:
        """Closes the database that this store opened; one that it was given stays open."""
        if self._owned is not None:
            self._owned.close()

    # Writing.

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds and stores texts; returns their ids.

        A text whose id is None, or all without `ids`, gets a random UUID; one whose id is there is
        replaced. `ValueError` if there are not as many ids or metadata objects as texts, if
        metadata is not JSON, or if a vector has another dimension than those stored before.
        """
        texts = list(texts)
        metadatas = metadatas or [{}] * len(texts)
        _must_be_as_many("metadatas", metadatas, texts)
        if ids is None:
            ids = [None] * len(texts)
        _must_be_as_many("ids", ids, texts)
        if not texts:
            return []
        names = [one or str(uuid.uuid4()) for one in ids]
        records = [
            {_TEXT: text, _METADATA: dict(metadata or {})}
            for text, metadata in zip(texts, metadatas, strict=True)
        ]
        self._collection.add_batch(self._embedding.embed_documents(texts), names, records)
        return names

    def add_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds and stores documents, which stay as they are; returns their ids.

        They are named by `ids`, else by their own `id`; otherwise as `add_texts`.
        """
        return self.add_texts(
            [one.page_content for one in documents],
            [one.metadata for one in documents],
            ids=[one.id for one in documents] if ids is None else ids,
        )

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Removes the documents of those ids, or all without `ids`; missing ones are no error.

        Anything else to choose by is a `TypeError`: ignored, it would remove everything.
        """
        if kwargs:
            raise TypeError(f"delete takes ids only, not {', '.join(kwargs)}")
        if ids is None:
            self._collection.clear()
        else:
            self._collection.delete_batch(ids)
        return True

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store of these texts; `kwargs` as for `OmenDBVectorStore`."""
        store = cls(embedding, **kwargs)
        try:
            store.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            store.close()
            raise
        return store

    # Reading.

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of those ids, in their order; missing ones are left out."""
        records = self._collection.get_many(ids, with_vector=False)
        return [_document(one.id, one.metadata) for one in records if one is not None]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` nearest documents, at most 10,000; fewer if there are not as many."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their distances, which are smaller for nearer ones.

        One minus the cosine for `cosine`, the squared Euclidean distance for `l2`, minus the inner
        product for `ip`. `similarity_search_with_relevance_scores` has scores from 0 to 1.
        """
        _must_not_filter(kwargs)
        hits = self._search(self._embedding.embed_query(query), k, **kwargs)
        return [(_document(hit.id, hit.metadata), hit.distance) for hit in hits]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """As `similarity_search` for a vector, shape [dim]."""
        return [_document(hit.id, hit.metadata) for hit in self._search(embedding, k, **kwargs)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """`k` of the `fetch_k` nearest documents that are near the query and unlike each other.

        `lambda_mult` is 1 for near ones only and 0 for different ones only. Among the nearest,
        likeness is the cosine, whatever the metric.
        """
        _must_not_filter(kwargs)
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search` for a vector, shape [dim]."""
        hits = self._search(embedding, fetch_k, with_vector=True, **kwargs)
        query = np.asarray(embedding, np.float32)
        vectors: list[Any] = [hit.vector for hit in hits]
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult, k)
        return [_document(hits[i].id, hits[i].metadata) for i in chosen]

    def _search(self, vector: list[float], limit: int, **options: Any) -> list[SearchResult]:
        _must_not_filter(options)
        return self._collection.search(vector, limit, **options)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """What makes scores from 0 (unlike) to 1 (like) of distances.

        The cosine, with 0 for negative ones; 1 / (1 + distance) for `l2`; the inner product cut
        to 0...1 for `ip`, which means something if vectors have the length 1.
        """
        if self._collection.metric == "l2":
            return lambda distance: 1 / (1 + distance)
        if self._collection.metric == "cosine":
            return lambda distance: _between_0_and_1(1 - distance)
        return lambda distance: _between_0_and_1(-distance)


def _document(id: int | str, stored: Mapping[str, Any]) -> Document:
    if _TEXT not in stored:
        raise ValidationError(f"record {id!r} is no document: this store did not write it")
    return Document(id=str(id), page_content=stored[_TEXT], metadata=stored[_METADATA])


def _must_be_as_many(what: str, given: Sequence[Any], texts: Sequence[str]) -> None:
    if len(given) != len(texts):
        raise ValidationError(f"{len(given)} {what} for {len(texts)} texts")


def _must_not_filter(options: dict[str, Any]) -> None:
    if options.pop("filter", None) is not None:
        raise ValidationError("the engine has no filters yet; filter must be None")


def _between_0_and_1(score: float) -> float:
    # Rounding leads out of the range too, by a little, and LangChain then warns.
    return min(max(score, 0.0), 1.0)
