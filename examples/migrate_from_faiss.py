#!/usr/bin/env python3
"""Moves faiss indexes into OmenDB and compares the answers of both.

    pip install -r examples/requirements.txt
    examples/migrate_from_faiss.py

What changes in a program:

    index = faiss.IndexHNSWFlat(128, 32)               db = omendb.DB("path", metric="l2")
    index = faiss.IndexIDMap(index)                    nothing; every record has an id
    index = faiss.read_index("file")                   nothing; what is written is on disk
    index.add_with_ids(vectors, ids)                   db.add_batch(vectors, ids)
    index.hnsw.efSearch = 100                          ef=100 or recall=0.95 in each search
    distances, ids = index.search(queries, k)          found = db.search_batch(queries, k)
                                                       found.ids, found.distances, found.counts
    index.remove_ids(ids), not with HNSW               db.delete_batch(ids)
    faiss.write_index(index, "file")                   nothing

Note the order of ids and distances. METRIC_L2 is `l2`, squared in both. METRIC_INNER_PRODUCT is
`ip`: faiss has the product, largest first, OmenDB's distance is minus the product. What faiss users
normalise to have the cosine can be stored as it is with the metric `cosine`.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
from comparison import LIMIT, Floats, Ids, compare, heading, sample

import omendb

BATCH = 1000
METRICS = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "ip"}


def build(metric: int, file: Path, vectors: Floats, ids: Ids) -> None:
    """An index as a program may have left it: a graph, and a map from its rows to ids."""
    index = faiss.IndexIDMap(faiss.IndexHNSWFlat(vectors.shape[1], 32, metric))
    index.add_with_ids(vectors, ids)
    faiss.write_index(index, str(file))


def contents(index: faiss.Index) -> Iterator[tuple[Ids, Floats]]:
    """Ids and vectors in batches; of an index without a map, the ids are the rows.

    Quantised indexes give back what is left of the vectors: migrate from the originals then.
    """
    index = faiss.downcast_index(index)
    ids = np.arange(index.ntotal)
    if isinstance(index, faiss.IndexIDMap):
        ids = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    for first in range(0, index.ntotal, BATCH):
        count = min(BATCH, index.ntotal - first)
        yield ids[first : first + count], index.reconstruct_n(first, count)


def migrate(index: faiss.Index, db: omendb.DB) -> None:
    for ids, vectors in contents(index):
        db.add_batch(vectors, ids)


def nearest(metric: int, queries: Floats, vectors: Floats, ids: Ids) -> tuple[Floats, Ids]:
    """The true neighbours, by faiss's brute force."""
    index = faiss.IndexIDMap(faiss.IndexFlat(vectors.shape[1], metric))
    index.add_with_ids(vectors, ids)
    return index.search(queries, LIMIT)


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    vectors, ids, queries = sample()
    heading("faiss")
    with tempfile.TemporaryDirectory() as folder:
        for metric, name in METRICS.items():
            file = Path(folder, f"{name}.faiss")
            build(metric, file, vectors, ids)

            index = faiss.read_index(str(file))
            with omendb.DB(Path(folder, f"{name}.db"), metric=METRICS[index.metric_type]) as db:
                migrate(index, db)
                assert len(db) == index.ntotal
                parameters = faiss.SearchParametersHNSW(efSearch=100)
                distances, found_ids = index.search(queries, LIMIT, params=parameters)
                found = db.search_batch(queries, LIMIT, ef=100)

            _, truth = nearest(metric, queries, vectors, ids)
            compare(name, truth, found_ids, -distances if name == "ip" else distances, found)


if __name__ == "__main__":
    main()
