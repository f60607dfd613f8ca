"""The peers' libraries behind one interface: built once, searched at several widths.

Each takes float32 or what it can do better with, cosine as unit vectors, and its usual parameters.
The libraries are imported where they are used: each runs in a process of its own.
"""

import os

import numpy

K = 10
SEED = 1


def unit(vectors):
    """Float32 rows of length 1."""
    vectors = vectors.astype(numpy.float32)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


class Engine:
    """`build`, or `save` and `load` around a restart; then `set_threads`, `search`."""

    # What stands in the results: also the key of a kept index.
    name = ""
    package = ""
    parameters: dict = {}
    width_name = "ef"
    # Most rows it is measured with unless it is asked for by name.
    count_max: int | None = None

    def __init__(self, metric: str, dim: int):
        self.metric = metric
        self.dim = dim
        self.index = None

    def convert(self, vectors):
        """The form that base and queries are handed over in; not part of any time."""
        if self.metric == "cosine":
            return unit(vectors)
        return numpy.ascontiguousarray(vectors.astype(numpy.float32))

    def suits(self, vectors) -> bool:
        """Whether this engine adds anything for such vectors."""
        return True

    def build(self, base, threads: int) -> None:
        raise NotImplementedError

    def search(self, queries, width: int, threads: int):
        """Ids of the nearest `K`, shape [queries][K]."""
        raise NotImplementedError

    def search_one(self, query, width: int) -> None:
        """The same for one query, shape [dim], as the package is usually called."""
        self.search(query[None], width, 1)

    def save(self, path: str) -> None:
        raise NotImplementedError

    def load(self, path: str, base) -> None:
        raise NotImplementedError


class Hnswlib(Engine):
    name, package = "hnswlib", "hnswlib"
    parameters = {"M": 16, "ef_construction": 200}

    def new(self):
        import hnswlib
        return hnswlib.Index({"l2": "l2", "cosine": "ip"}[self.metric], self.dim)

    def build(self, base, threads):
        self.index = self.new()
        self.index.init_index(len(base), M=16, ef_construction=200, random_seed=SEED)
        self.index.add_items(base, num_threads=threads)

    def search(self, queries, width, threads):
        self.index.set_ef(width)
        return self.index.knn_query(queries, K, num_threads=threads)[0]

    def save(self, path):
        self.index.save_index(path)

    def load(self, path, base):
        self.index = self.new()
        self.index.load_index(path, len(base))


class Faiss(Engine):
    name, package = "faiss HNSW", "faiss-cpu"
    parameters = {"M": 16, "efConstruction": 200}

    def build(self, base, threads):
        import faiss
        faiss.omp_set_num_threads(threads)
        metric = {"l2": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}[self.metric]
        self.index = faiss.IndexHNSWFlat(self.dim, 16, metric)
        self.index.hnsw.efConstruction = 200
        self.index.add(base)

    def search(self, queries, width, threads):
        import faiss
        faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = width
        return self.index.search(queries, K)[1]

    def save(self, path):
        import faiss
        faiss.write_index(self.index, path)

    def load(self, path, base):
        import faiss
        self.index = faiss.read_index(path)


class Usearch(Engine):
    name, package, dtype = "usearch f32", "usearch", "f32"
    parameters = {"connectivity": 16, "expansion_add": 128, "dtype": "f32"}
    width_name = "expansion_search"

    def new(self):
        from usearch.index import Index
        return Index(ndim=self.dim, metric={"l2": "l2sq", "cosine": "cos"}[self.metric],
                     dtype=self.dtype, connectivity=16, expansion_add=128)

    def build(self, base, threads):
        self.index = self.new()
        self.index.add(numpy.arange(len(base), dtype=numpy.uint64), base, threads=threads)

    def search(self, queries, width, threads):
        self.index.expansion_search = width
        return self.index.search(queries, K, threads=threads).keys

    def save(self, path):
        self.index.save(path)

    def load(self, path, base):
        self.index = self.new()
        self.index.load(path)


class UsearchI8(Usearch):
    name, dtype = "usearch i8", "i8"
    parameters = {"connectivity": 16, "expansion_add": 128, "dtype": "i8"}

    def convert(self, vectors):
        # Bytes moved to -128...127 keep their distances exactly; floats the library scales itself.
        if vectors.dtype == numpy.uint8 and self.metric == "l2":
            return (vectors.astype(numpy.int16) - 128).astype(numpy.int8)
        return super().convert(vectors)


class Svs(Engine):
    """On bytes as they are, which it builds and searches faster than floats; else on float32."""

    name, package = "SVS Vamana", "scalable-vs"
    parameters = {"graph_max_degree": 32, "window_size": 128, "data": "uint8, else float32"}
    width_name = "search_window_size"

    def convert(self, vectors):
        if vectors.dtype == numpy.uint8 and self.metric == "l2":
            return numpy.ascontiguousarray(vectors)
        return super().convert(vectors)

    def distance(self):
        import svs
        return {"l2": svs.DistanceType.L2, "cosine": svs.DistanceType.MIP}[self.metric]

    def element(self, vectors):
        import svs
        return svs.DataType.uint8 if vectors.dtype == numpy.uint8 else svs.DataType.float32

    def source(self, base):
        return base

    def build(self, base, threads):
        import svs
        self.index = svs.Vamana.build(
            svs.VamanaBuildParameters(graph_max_degree=32, window_size=128), self.source(base),
            self.distance(), num_threads=threads)

    def search(self, queries, width, threads):
        # Each assignment makes new threads or buffers.
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        if self.index.search_window_size != width:
            self.index.search_window_size = width
        return self.index.search(queries, K)[0]

    def save(self, path):
        from pathlib import Path
        Path(path).mkdir(parents=True)
        self.index.save(f"{path}/config", f"{path}/graph", f"{path}/data")

    def load(self, path, base):
        import svs
        self.index = svs.Vamana(
            f"{path}/config", svs.GraphLoader(f"{path}/graph"), self.stored(f"{path}/data", base),
            self.distance(), query_type=self.element(base), num_threads=1)

    def stored(self, path, base):
        import svs
        return svs.VectorDataLoader(path, self.element(base), dims=self.dim)


class SvsLvq(Svs):
    """Its own 8-bit codes, for floats; bytes are codes already."""

    name = "SVS Vamana LVQ8"
    parameters = {"graph_max_degree": 32, "window_size": 128, "data": "LVQ8"}

    def suits(self, vectors):
        return vectors.dtype != numpy.uint8

    def source(self, base):
        import tempfile

        import svs
        # Codes are made of a file only.
        with tempfile.NamedTemporaryFile(prefix="omen-", suffix=".fvecs", delete=False) as file:
            self.file = file.name
        svs.write_vecs(base, self.file)
        floats = svs.VectorDataLoader(self.file, svs.DataType.float32, dims=self.dim)
        return svs.LVQLoader(floats, primary=8)

    def build(self, base, threads):
        import os
        super().build(base, threads)
        os.unlink(self.file)

    def stored(self, path, base):
        import svs
        return svs.LVQLoader(path)


class OldOmendb(Engine):
    """The package of this name on PyPI, whose successor this is."""

    name, package = "omendb 0.0.37", "omendb"
    parameters = {"m": 16, "ef_construction": 100}
    # Inserts under 1,700 vectors a second, and cannot be kept: each round builds it anew.
    count_max = 20_000

    def build(self, base, threads):
        import omendb
        self.index = omendb.open(":memory:", dimensions=self.dim, m=16, ef_construction=100,
                                 metric=self.metric)
        for start in range(0, len(base), 10_000):
            part = base[start:start + 10_000]
            ids = [str(start + i) for i in range(len(part))]
            self.index.set(ids=ids, vectors=part)

    def search(self, queries, width, threads):
        if threads == 1:
            answers = [self.index.search(query, K, ef=width) for query in queries]
        else:
            # As many threads as there are processors.
            answers = self.index.search_batch(queries, K, ef=width)
        found = numpy.full((len(queries), K), -1, dtype=numpy.int64)
        for row, hits in enumerate(answers):
            found[row, :len(hits)] = [int(hit["id"]) for hit in hits]
        return found


class Package(Engine):
    """This project's package. Bytes stay bytes, as for SVS."""

    name, package = "OmenDB", "omendb"
    parameters = {"m": 16, "ef_construction": 96}

    def convert(self, vectors):
        if self.metric == "cosine":
            return numpy.ascontiguousarray(vectors.astype(numpy.float32))
        return numpy.ascontiguousarray(vectors)

    def build(self, base, threads):
        import omendb
        processors = os.sched_getaffinity(0)
        # It builds with as many threads as there are processors; its threads stay on these.
        os.sched_setaffinity(0, sorted(processors)[:threads])
        try:
            self.index = omendb.DB(metric=self.metric)
        finally:
            os.sched_setaffinity(0, processors)
        self.index.add_batch(base, range(len(base)))
        self.index.wait_linked()

    def search(self, queries, width, threads):
        return self.index.search_batch(queries, K, ef=width, threads=threads).ids

    def search_one(self, query, width):
        self.index.search(query, K, ef=width)


ENGINES = {
    "hnswlib": Hnswlib,
    "faiss": Faiss,
    "usearch-f32": Usearch,
    "usearch-i8": UsearchI8,
    "svs": Svs,
    "svs-lvq": SvsLvq,
    "omendb-pypi": OldOmendb,
}

# What `bench/run python` measures beside the peers; it is none of them.
PACKAGE = "omendb-package"
