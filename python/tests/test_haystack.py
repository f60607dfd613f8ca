"""The Haystack document store: Haystack's own tests of stores, and what they leave out."""

import os
from dataclasses import replace

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
import pytest

import omendb

pytest.importorskip("haystack")
pytest.importorskip("pytest_asyncio")

from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.testing.document_store import DeleteAllTest, DocumentStoreBaseTests
from haystack.testing.document_store_async import (
    CountDocumentsAsyncTest,
    DeleteAllAsyncTest,
    DeleteDocumentsAsyncTest,
    FilterDocumentsAsyncTest,
    WriteDocumentsAsyncTest,
)

from omendb.haystack import OmenDBDocumentStore, OmenDBEmbeddingRetriever


def rounded(document):
    if document.embedding is None:
        return document
    return replace(document, embedding=np.float32(document.embedding).tolist())


def assert_same(received, expected):
    """The same documents in any order; those expected with embeddings as float32 has them."""
    expected = [rounded(one) for one in expected]
    assert sorted(received, key=lambda one: one.id) == sorted(expected, key=lambda one: one.id)


class Suite(
    DocumentStoreBaseTests,
    DeleteAllTest,
    CountDocumentsAsyncTest,
    WriteDocumentsAsyncTest,
    DeleteDocumentsAsyncTest,
    DeleteAllAsyncTest,
    FilterDocumentsAsyncTest,
):
    assert_documents_are_equal = staticmethod(assert_same)

    # Cases of an option that these stores do not have.
    test_delete_all_documents_with_recreate_index = None
    test_delete_all_documents_without_recreate_index = None
    test_delete_all_documents_with_recreate_index_async = None
    test_delete_all_documents_without_recreate_index_async = None

    def test_write_documents(self, document_store):
        documents = [Document(content="one"), Document(content="two", embedding=[1, 2])]
        assert document_store.write_documents(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents(documents[1:])

    @pytest.mark.asyncio
    async def test_write_documents_async(self, document_store):
        documents = [Document(content="one"), Document(content="two", embedding=[1, 2])]
        assert await document_store.write_documents_async(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async(documents[1:])


class TestInMemory(Suite):
    @pytest.fixture
    def document_store(self):
        return OmenDBDocumentStore()


class TestOnAPath(Suite):
    @pytest.fixture
    def document_store(self, tmp_path):
        store = OmenDBDocumentStore(tmp_path / "db")
        yield store
        store.close()


class TestOnACluster(Suite):
    @pytest.fixture
    def document_store(self):
        store = OmenDBDocumentStore(shards=4)
        yield store
        store.close()


@pytest.fixture(params=["memory", "path", "cluster"])
def store(request, tmp_path):
    path = None if request.param == "memory" else str(tmp_path / "db")
    opened = OmenDBDocumentStore(path, shards=4 if request.param == "cluster" else None)
    yield opened
    opened.close()
    if request.param == "cluster":
        omendb.DB(path, shards=4).stop()


def near(id, *embedding, **meta):
    return Document(id=id, content=f"text of {id}", embedding=list(embedding), meta=meta)


NEAR = [near("a", 1, 0, n=1), near("b", 1, 0.5, n=2), near("c", 0, 1, n=3), near("d", -1, 0, n=4)]


def ids_of(documents):
    return [one.id for one in documents]


def test_documents_come_back_as_they_were(store):
    whole = Document(
        id="всё",
        content="text \x00 \U0001f9c0",
        blob=ByteStream(b"\x00\xff", meta={"k": [1]}, mime_type="image/png"),
        meta={
            "id": 1,
            "meta": {"meta": 2},
            "document": "mine",
            "none": None,
            "yes": True,
            "f": 1.0,
            "big": 2**70,
            "list": [1, "1", [None]],
            "": {},
            "embedding": "no",
        },
        score=0.25,
        embedding=[0.5, -2.0],
        sparse_embedding=SparseEmbedding([0, 7], [0.1, 1e-9]),
    )
    plain = replace(whole, id="plain", embedding=None)
    empty = Document(id="empty")
    before = [one.to_dict(flatten=False) for one in (whole, plain, empty)]
    assert store.write_documents([whole, plain, empty]) == 3
    assert [one.to_dict(flatten=False) for one in (whole, plain, empty)] == before
    found = store.embedding_retrieval([1, 0], return_embedding=True)
    assert [replace(one, score=0.25) for one in found] == [whole]
    assert_same(store.filter_documents(), [whole, plain, empty])


def test_counting_and_deleting(store):
    store.write_documents([*NEAR, Document(id="plain")])
    assert len(store.filter_documents()) == 5
    assert store.count_documents() == 5
    store.delete_documents(["a", "plain", "missing"])
    assert store.count_documents() == 3
    store.delete_all_documents()
    assert store.count_documents() == 0
    assert store.embedding_retrieval([1, 0]) == []


def test_policies(store):
    def write(policy, *documents):
        return store.write_documents(list(documents), policy)

    def content(id):
        found = [
            record.metadata["document"]["content"]
            for collection in store._collections
            if (record := collection.get(id)) is not None
        ]
        assert len(found) <= 1
        return found[0] if found else None

    one, two = Document(id="1", content="old"), Document(id="1", content="new", embedding=[1, 2])
    for policy in (DuplicatePolicy.FAIL, DuplicatePolicy.NONE):
        with pytest.raises(DuplicateDocumentError, match="'1'"):
            write(policy, Document(id="2"), one, two)
        assert store.count_documents() == 0
    assert write(DuplicatePolicy.SKIP, one, two) == 1 and content("1") == "old"
    assert write(DuplicatePolicy.SKIP, two, Document(id="2", content="x")) == 1
    assert content("1") == "old" and content("2") == "x"
    # It gains its embedding, then loses it.
    assert write(DuplicatePolicy.OVERWRITE, one, two) == 2 and content("1") == "new"
    assert ids_of(store.embedding_retrieval([1, 2])) == ["1"]
    assert write(DuplicatePolicy.OVERWRITE, two, one) == 2 and content("1") == "old"
    assert store.embedding_retrieval([1, 2]) == [] and store.count_documents() == 2
    for policy in DuplicatePolicy:
        assert write(policy) == 0


def test_what_cannot_be_written(store):
    for wrong in (iter(NEAR), None, {"id": 1}, [*NEAR, "text"]):
        with pytest.raises(ValueError, match="list of haystack"):
            store.write_documents(wrong)
    for wrong in (
        Document(meta={"what": object}),
        Document(content="x" * 70_000),
        near("z", 0, 0),
        near("nan", float("nan"), 1),
        Document(id="i" * 600),
    ):
        with pytest.raises(omendb.ValidationError):
            store.write_documents([wrong])
    assert store.count_documents() == 0


def test_retrieval(store):
    store.write_documents([*NEAR, Document(id="plain", content="text")])
    found = store.embedding_retrieval([1, 0], top_k=3)
    assert ids_of(found) == ["a", "b", "c"]
    assert [one.score for one in found] == pytest.approx([1, 1 / 1.25**0.5, 0], abs=1e-6)
    assert [one.embedding for one in found] == [None] * 3
    assert [one.meta for one in found] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert ids_of(store.embedding_retrieval([1, 0], top_k=100)) == ["a", "b", "c", "d"]
    for wrong in (0, -1, 10_001, None):
        with pytest.raises(omendb.ValidationError, match="limit"):
            store.embedding_retrieval([1, 0], top_k=wrong)


def test_retrieval_with_filters(store):
    store.write_documents([*NEAR, Document(id="plain", meta={"n": 4})])
    odd = {"field": "meta.n", "operator": "in", "value": [2, 4]}
    found = store.embedding_retrieval([1, 0], filters=odd)
    assert ids_of(found) == ["b", "d"] and found[0].embedding is None
    found = store.embedding_retrieval([1, 0], filters=odd, top_k=1, return_embedding=True)
    assert ids_of(found) == ["b"] and found[0].embedding == [1, 0.5]
    with pytest.raises(FilterError):
        store.embedding_retrieval([1, 0], filters={"operator": "AND"})
    nothing = {"field": "meta.n", "operator": "==", "value": 5}
    assert store.embedding_retrieval([1, 0], filters=nothing) == []


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_filters_that_few_of_many_match(metric):
    """They are found among all documents, and scored as the engine would."""
    store = OmenDBDocumentStore(metric=metric)
    vectors = np.random.default_rng(1).standard_normal((12_000, 8)).astype(np.float32)
    store.write_documents(
        [
            Document(id=str(i), embedding=vector.tolist(), meta={"rare": i % 1000 == 0})
            for i, vector in enumerate(vectors)
        ]
    )
    query = vectors[5] * 2
    rare = {"field": "meta.rare", "operator": "==", "value": True}
    found = store.embedding_retrieval(query.tolist(), filters=rare, top_k=12)
    hits = store._collections[0].search_batch(query[None], 10_000, exact=True, as_results=True)[0]
    scores = {hit.id: hit.score for hit in hits}
    expected = [hit.id for hit in hits if int(hit.id) % 1000 == 0]
    assert len(found) == 12 > len(expected) > 6 and ids_of(found)[: len(expected)] == expected
    for one in found[: len(expected)]:
        assert one.score == pytest.approx(scores[one.id], abs=1e-5)
    assert found[0].embedding is None
    none = {"field": "meta.rare", "operator": "==", "value": 1.5}
    assert store.embedding_retrieval(query.tolist(), filters=none) == []


def test_filters_that_nothing_matches(store):
    vectors = np.random.default_rng(1).standard_normal((10_100, 4))
    store.write_documents([near(str(i), *vector, n=i) for i, vector in enumerate(vectors.tolist())])
    none = {"field": "meta.n", "operator": "==", "value": -1}
    assert store.embedding_retrieval([1, 0, 0, 0], filters=none) == []


def test_stores_of_one_path_share_a_database(tmp_path):
    writer = OmenDBDocumentStore(tmp_path / "db")
    reader = OmenDBDocumentStore.from_dict(writer.to_dict())
    other = OmenDBDocumentStore(tmp_path / "db", collection="other", metric="l2")
    writer.write_documents([*NEAR, Document(id="plain")])
    assert_same(reader.filter_documents(), [*NEAR, Document(id="plain")])
    assert ids_of(reader.embedding_retrieval([0, 1], top_k=1)) == ["c"]
    other.write_documents([Document(id="a", embedding=[3.0])])
    assert other.embedding_retrieval([1.0])[0].score == pytest.approx(0.2)
    writer.close()
    writer.close()
    assert reader.count_documents() == 5
    with pytest.raises(omendb.Locked):
        omendb.DB(tmp_path / "db")
    reader.close()
    del other
    with omendb.DB(tmp_path / "db") as db:
        assert sorted(db.collections()) == ["documents", "documents-plain", "other"]
    assert writer.count_documents() == 5


def test_a_store_sees_what_another_wrote_first(tmp_path):
    writer, reader = OmenDBDocumentStore(tmp_path / "db"), OmenDBDocumentStore(tmp_path / "db")
    assert reader.count_documents() == 0 and reader.filter_documents() == []
    writer.write_documents([*NEAR, Document(id="plain")])
    assert_same(reader.filter_documents(), [*NEAR, Document(id="plain")])


def test_a_cluster_without_a_path_ends_with_its_store():
    store = OmenDBDocumentStore(shards=2)
    store.write_documents(NEAR)
    path = store._db.path
    store.close()
    assert not os.path.exists(path)


def test_descriptions(tmp_path):
    store = OmenDBDocumentStore(tmp_path / "db", collection="c", metric="ip")
    assert store.to_dict() == {
        "type": "omendb.haystack.OmenDBDocumentStore",
        "init_parameters": {
            "path": str(tmp_path / "db"),
            "shards": None,
            "collection": "c",
            "metric": "ip",
        },
    }
    assert not (tmp_path / "db").exists()
    filters = {"field": "meta.n", "operator": "==", "value": 2}
    retriever = OmenDBEmbeddingRetriever(store, filters, 3, True, FilterPolicy.MERGE)
    described = retriever.to_dict()
    before = repr(described)
    again = OmenDBEmbeddingRetriever.from_dict(described)
    assert again.to_dict() == described and repr(described) == before
    assert again.filter_policy is FilterPolicy.MERGE
    with pytest.raises(TypeError):
        OmenDBEmbeddingRetriever("store")
    for wrong in (0, 10_001):
        with pytest.raises(ValueError, match="top_k"):
            OmenDBEmbeddingRetriever(store, top_k=wrong)


def test_retriever_in_a_pipeline(tmp_path):
    writer = OmenDBDocumentStore(tmp_path / "db")
    writer.write_documents(NEAR)
    pipeline = Pipeline()
    pipeline.add_component("retriever", OmenDBEmbeddingRetriever(writer, top_k=2))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["omendb.haystack"])
    for one in (pipeline, again):
        found = one.run({"retriever": {"query_embedding": [0.0, 1.0]}})["retriever"]["documents"]
        assert ids_of(found) == ["c", "b"]


@pytest.mark.asyncio
async def test_retriever_options():
    store = OmenDBDocumentStore()
    store.write_documents(NEAR)
    low = {"field": "meta.n", "operator": "<", "value": 4}
    high = {"field": "meta.n", "operator": ">", "value": 1}
    merge = OmenDBEmbeddingRetriever(
        store, {"operator": "AND", "conditions": [low]}, filter_policy=FilterPolicy.MERGE
    )
    both = {"operator": "AND", "conditions": [high]}
    assert ids_of(merge.run([1, 0], filters=both)["documents"]) == ["b", "c"]
    only = OmenDBEmbeddingRetriever(store, low, top_k=1)
    assert ids_of(only.run([-1, 0])["documents"]) == ["c"]
    assert ids_of(only.run([-1, 0], filters=high)["documents"]) == ["d"]
    found = await only.run_async([-1, 0], top_k=2, return_embedding=True)
    assert ids_of(found["documents"]) == ["c", "b"]
    assert found["documents"][0].embedding == [0, 1]
