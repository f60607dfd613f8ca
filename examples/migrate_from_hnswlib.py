#!/usr/bin/env python3
"""Moves an hnswlib index into OmenDB and compares the answers of both.

    pip install -r examples/requirements.txt
    examples/migrate_from_hnswlib.py

What changes in a program:

    index = hnswlib.Index("cosine", 384)               db = omendb.DB("path", metric="cosine")
    index.init_index(1_000_000, ef_construction, M)    nothing; it grows by itself
    index.load_index("file")                           nothing; what is written is on disk
    index.add_items(vectors, labels)                   db.add_batch(vectors, labels)
    index.set_ef(100)                                  ef=100 or recall=0.95 in each search
    labels, distances = index.knn_query(queries, k)    found = db.search_batch(queries, k)
                                                       found.ids, found.distances, found.counts
    index.mark_deleted(label)                          db.delete(label)
    index.save_index("file")                           nothing

Distances: `l2` is squared in both, `cosine` is one minus the cosine in both. For `ip` hnswlib has
one minus the product, OmenDB minus the product.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hnswlib
import numpy as np
from comparison import LIMIT, Floats, Ids, compare, heading, sample

import omendb

BATCH = 1000


def build(space: str, file: Path, vectors: Floats, ids: Ids) -> None:
    """An index as a program may have left it, with a few vectors marked as deleted."""
    index = hnswlib.Index(space, vectors.shape[1])
    index.init_index(len(vectors), ef_construction=200, M=16)
    index.add_items(vectors, ids)
    for label in ids[:5]:
        index.mark_deleted(label)
    index.save_index(str(file))


def contents(index: hnswlib.Index) -> Iterator[tuple[list[int], Floats]]:
    """Labels and vectors in batches, less those that are marked as deleted."""
    labels = index.get_ids_list()
    for first in range(0, len(labels), BATCH):
        part = labels[first : first + BATCH]
        try:
            vectors = index.get_items(part)
        except RuntimeError:  # some are deleted, and hnswlib does not list which
            part = [label for label in part if is_there(index, label)]
            vectors = index.get_items(part)
        yield part, vectors


def is_there(index: hnswlib.Index, label: int) -> bool:
    try:
        index.get_items([label])
    except RuntimeError:
        return False
    return True


def migrate(index: hnswlib.Index, db: omendb.DB) -> None:
    for labels, vectors in contents(index):
        db.add_batch(vectors, labels)


def nearest(space: str, queries: Floats, vectors: Floats, ids: Ids) -> Ids:
    """The ids of the true neighbours, by brute force."""
    if space == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    score = queries @ vectors.T
    if space == "l2":
        score -= np.square(vectors).sum(axis=1) / 2
    return ids[np.argsort(-score, axis=1)[:, :LIMIT]]


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    vectors, ids, queries = sample()
    heading("hnswlib")
    with tempfile.TemporaryDirectory() as folder:
        for space in ("l2", "ip", "cosine"):
            file = Path(folder, f"{space}.bin")
            build(space, file, vectors, ids)

            index = hnswlib.Index(space, vectors.shape[1])
            index.load_index(str(file))
            index.set_ef(100)
            with omendb.DB(Path(folder, f"{space}.db"), metric=space) as db:
                migrate(index, db)
                assert len(db) == len(ids) - 5
                before = index.knn_query(queries, LIMIT)
                found = db.search_batch(queries, LIMIT, ef=100)

            labels, distances = before[0].astype(np.int64), before[1]
            truth = nearest(space, queries, vectors[5:], ids[5:])
            compare(space, truth, labels, distances - (space == "ip"), found)


if __name__ == "__main__":
    main()
