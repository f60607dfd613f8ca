"""What runs in a process of its own for one hard set and metric: `python -m omenbench.hard_process SPEC`.

SPEC is JSON: set, metric, rows (None for all), seed, data, codes (names to measure), library of another
build of ours or None. Prints JSON: points, times and recalls of each engine.
"""

import json
import sys
import time

import numpy as np

from omenbench import hard_sets

K = 10
OUR_EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512]
PEER_EFS = [64, 128, 256]
WIDEST = 10_000
OWN_EF, OWN_COUNT = 1024, 500
RECALLS = [0.9, 0.95, 0.99]
CLUSTER_SHARDS = 4
# A cluster refuses requests that it cannot answer in time; exact searches of long vectors take long.
CLUSTER_BATCH = 25
PASSES = 3
PIECE = 1000
THREADS = 2
M, EF_CONSTRUCTION = 16, 200
# Rows on which codes other than the default are measured: each of them is built twice.
CODES_ROWS = 20_000
# Narrow codes need dimensions.
DIM_MIN = {"u4": 64, "u1": 256}


class Truth:
    """The distances of the nearest rows of some queries, in float64, and what counts as found."""

    def __init__(self, base, queries, metric: str, alive):
        self.metric = metric
        self.base = self.prepared(base)
        self.queries = self.prepared(queries)
        if metric == "l2":
            # Distances stay what they are, and lose no digits to a common mean.
            mean = self.base.mean(axis=0)
            self.base, self.queries = self.base - mean, self.queries - mean
        self.nearest = np.stack([self.smallest(query, alive) for query in self.queries])

    def prepared(self, vectors):
        vectors = vectors.astype(np.float64)
        if self.metric == "cosine":
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def smallest(self, query, alive):
        product = self.base @ query
        rough = -product if self.metric == "ip" else (self.base ** 2).sum(axis=1) - 2 * product
        rough[~alive] = np.inf
        count = min(300, int(alive.sum()))
        chosen = np.argpartition(rough, count - 1)[:count]
        return np.sort(self.distances(query, chosen))[:100]

    def distances(self, query, rows):
        if self.metric == "ip":
            return -(self.base[rows] @ query)
        return ((self.base[rows] - query) ** 2).sum(axis=1)

    def recall(self, found, k: int, queries=None) -> float:
        """The part of the nearest `k` that was found; rows that are as near count as well."""
        right = 0
        for i, rows in enumerate(found):
            rows = np.unique(np.asarray(rows[:k], dtype=np.int64))
            rows = rows[rows >= 0]
            limit = self.nearest[i][k - 1]
            limit += abs(limit) * 2e-6 + np.finfo(float).tiny
            right += int((self.distances(self.queries[i], rows) <= limit).sum())
        return right / (len(found) * k)


class Ours:
    """A database in memory, in process, or a cluster; filled at once or in pieces."""

    def __init__(self, hard, base, dead, metric: str, codes: str | None, in_pieces: bool,
                 shards: int | None = None):
        import omendb
        # Without a path a cluster ends with its database.
        self.db = omendb.DB(metric=metric, shards=shards, **({"codes": codes} if codes else {}))
        self.query_batch = CLUSTER_BATCH if shards else hard_sets.QUERY_COUNT
        random = np.random.default_rng(1)
        start, start_cpu = time.perf_counter(), time.process_time()
        for turn in range(hard.writes):
            last = turn == hard.writes - 1
            self.add(base if last else base[random.permutation(len(base))], in_pieces)
        self.seconds = time.perf_counter() - start
        self.cpu_seconds = time.process_time() - start_cpu
        for first in range(0, len(dead), 10_000):
            self.db.delete_batch(dead[first:first + 10_000])
        self.db.wait_linked()

    def add(self, base, in_pieces: bool) -> None:
        piece = PIECE if in_pieces else len(base)
        for first in range(0, len(base), piece):
            self.db.add_batch(base[first:first + piece], range(first, min(len(base), first + piece)))
            if in_pieces:
                self.db.wait_linked()
        self.db.wait_linked()

    def search(self, queries, k: int, **options):
        return np.concatenate([
            self.db.search_batch(queries[first:first + self.query_batch], k, threads=1, **options)
            .ids.astype(np.int64)
            for first in range(0, len(queries), self.query_batch)])

    def searches(self) -> dict:
        (found,) = self.db.info()["collections"].values()
        return found["searches"]

    def info(self) -> dict:
        (found,) = self.db.info()["collections"].values()
        return {key: found[key] for key in ("codes", "linked") if key in found}


class Hnswlib:
    def __init__(self, hard, base, dead, metric: str):
        import hnswlib
        self.index = hnswlib.Index(metric, base.shape[1])
        self.index.init_index(len(base), M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        self.index.set_num_threads(THREADS)
        random = np.random.default_rng(1)
        start = time.perf_counter()
        for turn in range(hard.writes):
            last = turn == hard.writes - 1
            self.index.add_items(base if last else base[random.permutation(len(base))],
                                 np.arange(len(base)))
        self.seconds = time.perf_counter() - start
        for row in dead:
            self.index.mark_deleted(int(row))

    def search(self, queries, k: int, ef: int):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k, num_threads=1)[0].astype(np.int64)


class Faiss:
    def __init__(self, hard, base, dead, metric: str):
        import faiss
        self.faiss = faiss
        faiss.omp_set_num_threads(THREADS)
        self.unit = metric == "cosine"
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.IndexHNSWFlat(base.shape[1], M, kind)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        start = time.perf_counter()
        self.index.add(self.converted(base))
        self.seconds = time.perf_counter() - start
        faiss.omp_set_num_threads(1)

    def converted(self, vectors):
        if not self.unit:
            return vectors
        return (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
                ).astype(np.float32)

    def search(self, queries, k: int, ef: int):
        self.index.hnsw.efSearch = ef
        return self.index.search(self.converted(queries), k)[1]


def timed(search) -> tuple:
    """What a search of all queries finds, and the least processor time of some passes."""
    best = float("inf")
    for _ in range(PASSES):
        start = time.process_time()
        found = search()
        best = min(best, time.process_time() - start)
    return found, best


def points(engine, truth, queries, efs, k: int = K) -> list[dict]:
    measured = []
    for ef in efs:
        found, seconds = timed(lambda: engine.search(queries, k, ef=ef))
        measured.append({"ef": ef, "recall": truth.recall(found, k),
                         "us": seconds / len(queries) * 1e6})
    return measured


def own_rows(engine, base, metric: str, alive) -> float | None:
    """The part of stored rows that find themselves, or an equal row, first."""
    if metric == "ip":
        return None
    rows = np.flatnonzero(alive)
    rows = rows[np.linspace(0, len(rows) - 1, min(OWN_COUNT, len(rows))).astype(int)]
    found = engine.search(base[rows], 1, ef=OWN_EF)[:, 0]
    if metric == "l2":
        return float((base[found] == base[rows]).all(axis=1).mean())
    def unit(vectors):
        vectors = vectors.astype(np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((((unit(base[found]) - unit(base[rows])) ** 2).sum(axis=1) < 1e-10).mean())


def promises(engine, truth, queries) -> dict:
    """What was found where a recall was asked for, for each k."""
    return {str(k): {str(recall): truth.recall(engine.search(queries, k, recall=recall), k)
                     for recall in RECALLS}
            for k in (1, K, 100) if len(truth.nearest[0]) >= k}


def measure_cluster(hard, arrays, metric: str) -> dict:
    """What a cluster promises; its searches have other processes and other times."""
    engine = Ours(hard, arrays.base, arrays.dead, metric, None, False, CLUSTER_SHARDS)
    truth, queries = arrays.truth, arrays.queries
    try:
        return {"build_seconds": engine.seconds, "promises": promises(engine, truth, queries),
                "default": truth.recall(engine.search(queries, K), K)}
    finally:
        engine.db.close()


def measure_ours(hard, arrays, metric: str, codes: str | None, in_pieces: bool) -> dict:
    truth, queries = arrays.truth, arrays.queries
    engine = Ours(hard, arrays.base, arrays.dead, metric, codes, in_pieces)
    efs = OUR_EFS if codes is None else PEER_EFS
    measured = {
        "rows": len(arrays.base),
        "build_seconds": engine.seconds,
        "build_cpu_seconds": engine.cpu_seconds,
        "info": engine.info(),
        "points": points(engine, truth, queries, efs),
        "widest": truth.recall(engine.search(queries, K, ef=WIDEST), K),
        "default": truth.recall(engine.search(queries, K), K),
        "own": own_rows(engine, arrays.base, metric, arrays.alive),
        "promises": promises(engine, truth, queries),
        "k": {str(k): points(engine, truth, queries, [128, 256], k) for k in (1, 100)
              if len(truth.nearest[0]) >= k},
    }
    before = engine.searches()
    found = engine.search(queries, K, ef=64)
    done = {key: count - before[key] for key, count in engine.searches().items()}
    measured["distances"] = done["distances"] / done["queries"]
    measured["scans"] = done["scans"] / done["queries"]
    engine.db.close()
    if codes is None:
        # The same calls again.
        engine = Ours(hard, arrays.base, arrays.dead, metric, codes, in_pieces)
        measured["same"] = bool((engine.search(queries, K, ef=64) == found).all())
        engine.db.close()
    return measured


class Arrays:
    """A set as it is measured: rows, those of them that are deleted, queries, and what is right."""

    def __init__(self, hard, metric: str, rows: int | None, seed: int, query_step: int = 1):
        self.base, queries = hard.make(rows, seed)
        self.queries = queries[::query_step]
        count = len(self.base)
        self.dead = np.random.default_rng(3).permutation(count)[:int(hard.deleted * count)]
        self.alive = np.ones(count, dtype=bool)
        self.alive[self.dead] = False
        self.truth = Truth(self.base, self.queries, metric, self.alive)


def main(spec: dict) -> dict:
    hard = hard_sets.SETS[spec["set"]]
    metric = spec["metric"]
    whole = Arrays(hard, metric, spec["rows"], spec["seed"])
    result = {"rows": len(whole.base), "dim": whole.base.shape[1], "ours": {}, "peers": {}}
    for way in spec["ways"]:
        measured = measure_cluster(hard, whole, metric) if way == "cluster" else measure_ours(
            hard, whole, metric, None, way == "streamed")
        result["ours"][way] = {"default": measured}
    measure_peers(hard, whole, metric, spec["peers"], result["peers"])
    codes = [name for name in spec["codes"] if name != "default"
             and whole.base.shape[1] >= DIM_MIN.get(name, 1)]
    part = whole
    if codes and len(whole.base) > CODES_ROWS:
        part = Arrays(hard, metric, CODES_ROWS, spec["seed"])
    for name in codes:
        for way in spec["ways"]:
            if way != "cluster":
                result["ours"][way][name] = measure_ours(hard, part, metric, name,
                                                         way == "streamed")
    return result


def measure_peers(hard, arrays: Arrays, metric: str, names: list[str], measured: dict) -> None:
    for name, kind in (("hnswlib", Hnswlib), ("faiss", Faiss)):
        # Its graphs do not know of deleted rows and of new versions.
        if name not in names or name == "faiss" and (hard.deleted or hard.writes > 1):
            continue
        engine = kind(hard, arrays.base, arrays.dead, metric)
        measured[name] = {
            "build_seconds": engine.seconds,
            "points": points(engine, arrays.truth, arrays.queries, PEER_EFS)}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
