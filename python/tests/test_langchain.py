"""The LangChain vector store: LangChain's own tests of stores, and what they leave out."""

import numpy as np
import pytest

import omendb

pytest.importorskip("langchain_tests")
pytest.importorskip("pytest_asyncio")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from omendb.langchain import OmenDBVectorStore


# For the suite's coroutines; its other tests take the mark without a meaning.
@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio'")
class Suite(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, place):
        return OmenDBVectorStore(self.get_embeddings(), place)


class TestInMemory(Suite):
    @pytest.fixture
    def place(self):
        with omendb.DB(metric="cosine") as db:
            yield db


class TestOnAPath(Suite):
    @pytest.fixture
    def place(self, tmp_path):
        with omendb.DB(tmp_path / "db", metric="cosine") as db:
            yield db


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    db = omendb.DB(tmp_path_factory.mktemp("langchain") / "db", shards=4)
    yield db
    db.stop()


class TestOnACluster(Suite):
    @pytest.fixture
    def place(self, cluster):
        yield cluster.collection("tested", metric="cosine")
        if "tested" in cluster.collections():
            cluster.drop("tested")


class Axes(DeterministicFakeEmbedding):
    """The text "x 0.5 2" is the vector [0.5, 2]; counts what it is asked."""

    size: int = 2
    queries: int = 0

    def embed_query(self, text):
        self.queries += 1
        return [float(word) for word in text.split()[1:]]

    def embed_documents(self, texts):
        return [[float(word) for word in text.split()[1:]] for text in texts]


@pytest.fixture(params=["memory", "path", "cluster"])
def options(request, tmp_path):
    """Where the store is, as arguments of it."""
    if request.param == "memory":
        yield {}
    elif request.param == "path":
        yield {"path": tmp_path / "db"}
    else:
        yield {"path": tmp_path / "db", "shards": 4}
        omendb.DB(tmp_path / "db", shards=4).stop()


@pytest.fixture
def store(options):
    opened = OmenDBVectorStore(Axes(), **options)
    yield opened
    opened.close()


TEXTS = ["a 1 0", "b 1 0.1", "c 0 1"]


def test_metadata_comes_back_as_it_was(store):
    given = {
        "text": "mine",
        "metadata": {"metadata": 1},
        "id": 7,
        "none": None,
        "yes": True,
        "f": 1.0,
        "big": 2**70,
        "list": [1, "1", [None]],
        "ключ": "значение \x00 \U0001f9c0",
        "": {},
    }
    document = Document("a 1 0", metadata=given, id="a")
    before = document.model_copy(deep=True)
    assert store.add_documents([document]) == ["a"]
    assert document == before
    for found in (*store.get_by_ids(["a"]), *store.similarity_search("q 1 0")):
        assert found == before
        assert type(found.metadata["f"]) is float and type(found.metadata["yes"]) is bool
    found.metadata["id"] = 8
    assert store.get_by_ids(["a"]) == [before]


def test_ids_are_given_or_of_documents_or_random(store):
    documents = [Document("a 1 0", id="one"), Document("b 1 0.1")]
    ids = store.add_documents(documents)
    assert ids[0] == "one" and len(ids[1]) == 36 and documents[1].id is None
    assert store.add_documents(documents, ids=["x", "y"]) == ["x", "y"]
    assert store.add_texts(["c 0 1"], ids=[None]) != store.add_texts(iter(["c 0 1"]))
    assert len(store.collection) == 6
    assert [found.id for found in store.get_by_ids(["y", "missing", "one"])] == ["y", "one"]
    assert store.add_texts([]) == [] and store.add_documents([]) == []


def test_counts_that_differ_change_nothing(store):
    for wrong in ({"ids": ["1"]}, {"ids": []}, {"metadatas": [{}]}):
        with pytest.raises(ValueError, match="for 3 texts"):
            store.add_texts(TEXTS, **wrong)
    with pytest.raises(ValueError, match="JSON"):
        store.add_texts(["a 1 0"], [{"what": object()}])
    assert len(store.collection) == 0


def test_deletion(store):
    store.add_texts(TEXTS, ids=["a", "b", "c"])
    assert store.delete([]) and len(store.collection) == 3
    with pytest.raises(TypeError, match="ids only, not filter"):
        store.delete(filter={"x": 1})
    assert store.delete(["a", "zz"]) and len(store.collection) == 2
    assert store.delete() and store.similarity_search("q 1 0") == []


def test_searches_of_an_empty_store(store):
    assert store.similarity_search("q 1 0") == []
    assert store.similarity_search_with_score("q 1 0") == []
    assert store.similarity_search_by_vector([1, 0]) == []
    assert store.max_marginal_relevance_search("q 1 0") == []
    assert store.get_by_ids(["a"]) == [] and store.delete(["a"]) and store.delete()


def test_scores(store):
    store.add_texts([*TEXTS, "d -1 0"], ids=list("abcd"))
    found = store.similarity_search_with_score("q 1 0", k=4)
    assert [document.id for document, _ in found] == list("abcd")
    assert [score for _, score in found] == pytest.approx([0, 1 - 1 / 1.01**0.5, 1, 2], abs=1e-6)
    relevant = store.similarity_search_with_relevance_scores("q 1 0", k=4)
    assert [score for _, score in relevant] == pytest.approx([1, 1 / 1.01**0.5, 0, 0], abs=1e-6)
    assert len(store.similarity_search_with_relevance_scores("q 1 0", score_threshold=0.5)) == 2
    found = store.similarity_search("q 1 0", exact=True, max_distance=0.5)
    assert [document.id for document in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("metric", "distance", "relevance"), [("l2", 4, 0.2), ("ip", -0.5, 0.5), ("cosine", 0, 1)]
)
def test_relevance_by_metric(metric, distance, relevance):
    store = OmenDBVectorStore(Axes(), metric=metric)
    store.add_texts(["a 0.5 0"] if metric != "l2" else ["a 3 0"])
    assert store.similarity_search_with_score("q 1 0")[0][1] == pytest.approx(distance)
    found = store.similarity_search_with_relevance_scores("q 1 0")
    assert found[0][1] == pytest.approx(relevance)
    outside = store._select_relevance_score_fn()
    assert [outside(value) for value in (-1e9, 1e9) if metric != "l2"] in ([], [1.0, 0.0])


def test_different_ones_among_the_nearest(store):
    store.add_texts(["a 1 0", "b 1 0.01", "c 1 0.5", "d 0 1"], ids=list("abcd"))
    assert [one.id for one in store.similarity_search("q 1 0", 2)] == ["a", "b"]
    chosen = store.max_marginal_relevance_search("q 1 0", k=2, fetch_k=3, lambda_mult=0.1)
    assert [one.id for one in chosen] == ["a", "c"]
    chosen = store.max_marginal_relevance_search_by_vector([1, 0], k=2, lambda_mult=1)
    assert [one.id for one in chosen] == ["a", "b"]
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 1})
    assert [one.id for one in retriever.invoke("q 0 1")] == ["d"]


def test_a_filter_is_refused_before_anything_is_embedded(store):
    store.add_texts(TEXTS)
    for search in (
        store.similarity_search,
        store.similarity_search_with_score,
        store.max_marginal_relevance_search,
        store.similarity_search_with_relevance_scores,
    ):
        with pytest.raises(omendb.ValidationError, match="no filters yet"):
            search("q 1 0", filter={"x": 1})
    for search in (
        store.similarity_search_by_vector,
        store.max_marginal_relevance_search_by_vector,
    ):
        with pytest.raises(omendb.ValidationError, match="no filters yet"):
            search([1, 0], filter={})
    assert store.embeddings.queries == 0
    assert len(store.similarity_search("q 1 0", filter=None)) == 3


def test_from_texts_and_documents(options):
    documents = [Document("a 1 0", metadata={"n": 1}, id="a"), Document("c 0 1")]
    store = OmenDBVectorStore.from_documents(documents, Axes(), collection="named", **options)
    assert store.collection.name == "named" and store.collection.metric == "cosine"
    assert store.similarity_search("q 1 0", k=1) == documents[:1]
    store.close()
    if "path" in options:
        again = OmenDBVectorStore(Axes(), collection="named", **options)
        assert again.get_by_ids(["a"]) == documents[:1]
        again.close()


def test_a_failed_from_texts_leaves_nothing_open(tmp_path):
    with pytest.raises(ValueError, match="for 1 texts") as caught:
        OmenDBVectorStore.from_texts(["a 1 0"], Axes(), ids=["1", "2"], path=tmp_path / "db")
    omendb.DB(tmp_path / "db").close()
    # Up to here the error's frames kept the store, which would have ended with them.
    del caught


def test_what_it_is_given_stays_open():
    with omendb.DB() as db:
        named = OmenDBVectorStore(Axes(), db, collection="named", metric="ip")
        one = OmenDBVectorStore(Axes(), db.collection("other", metric="cosine"))
        for store in (named, one):
            store.add_texts(TEXTS)
            store.close()
        assert sorted(db.collections()) == ["named", "other"]
        assert named.collection.metric == "ip" and one.collection.metric == "cosine"
        assert OmenDBVectorStore(Axes(), db).collection is db
        with pytest.raises(omendb.ValidationError, match="must not be given with it"):
            OmenDBVectorStore(Axes(), db, path="/tmp/x")
        with pytest.raises(omendb.ValidationError, match="no collection in it"):
            OmenDBVectorStore(Axes(), db.collection("other"), collection="more")


def test_records_of_others_are_named():
    with omendb.DB() as db:
        db.add(5, [1, 0], {"some": "thing"})
        with pytest.raises(omendb.ValidationError, match="record 5 is no document"):
            OmenDBVectorStore(Axes(), db).similarity_search("q 1 0")


def test_langchain_indexing(store):
    """`index` adds what is new and deletes what is gone, by ids of its own."""
    manager = InMemoryRecordManager("test")
    manager.create_schema()
    documents = [Document(text, metadata={"source": text[0]}) for text in TEXTS]

    def run(chosen):
        done = index(
            chosen, manager, store, cleanup="full", source_id_key="source", key_encoder="sha256"
        )
        return done["num_added"], done["num_skipped"], done["num_deleted"]

    assert run(documents) == (3, 0, 0)
    assert run(documents[:2]) == (0, 2, 1)
    assert len(store.collection) == 2


def test_more_than_one_request_takes(store):
    count = 10_500
    angles = np.linspace(0, 3, count)
    texts = [f"{i} {np.cos(angle)} {np.sin(angle)}" for i, angle in enumerate(angles)]
    ids = store.add_texts(texts, [{"n": i} for i in range(count)])
    assert len(store.collection) == count
    assert [one.metadata["n"] for one in store.get_by_ids(ids)] == list(range(count))
    assert store.delete(ids) and len(store.collection) == 0
